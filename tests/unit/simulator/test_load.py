import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from itertools import chain, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miso_scrapy.feed.shape import normalise
from miso_scrapy.feed.validation import problem
from miso_scrapy.simulator.load import snapshot

BEGIN = datetime(2026, 7, 27, 5, 0, tzinfo=UTC)  # 00:00 EST
LAST = BEGIN + timedelta(hours=23, minutes=55)
INTERVAL = timedelta(minutes=5)
SEEDS = st.integers(0, 2**32)
INSTANTS = st.timedeltas(timedelta(0), timedelta(days=22_000)).map(
    lambda since: datetime(2000, 1, 1, tzinfo=UTC) + since
)
# name, wrapper, label, value
ARRAYS = [
    ("ClearedMW", "ClearedMWHourly", "Hour", "Value"),
    ("MediumTermLoadForecast", "Forecast", "HourEnding", "LoadForecast"),
    ("FiveMinTotalLoad", "Load", "Time", "Value"),
]


def live(instant, seed=1):
    return snapshot(seed, instant)["LoadInfo"]


def load(instant, seed=1):
    """The 5-minute load as published at *instant*: {"00:00": 93419, ...}."""
    rows = [row["Load"] for row in live(instant, seed)["FiveMinTotalLoad"]]
    return {row["Time"]: int(row["Value"]) for row in rows}


def values(data):
    """Every value of a normalised snapshot, in MW, by array."""
    return {name: [row[value] for row in data[name]] for name, _, _, value in ARRAYS}


def test_the_live_shape_is_exactly_the_feeds():
    answer = snapshot(1, datetime(2026, 7, 27, 13, 10, tzinfo=UTC))
    assert list(answer) == ["LoadInfo"]
    info = answer["LoadInfo"]
    assert list(info) == ["RefId", *[name for name, *_ in ARRAYS]]
    assert info["RefId"] == "27-Jul-2026 - Interval 08:10 EST"
    for name, wrapper, label, value in ARRAYS:
        assert {tuple(row) for row in info[name]} == {(wrapper,)}
        inner = [row[wrapper] for row in info[name]]
        assert {tuple(row) for row in inner} == {(label, value)}
        assert all(type(text) is str for row in inner for text in row.values())
        assert all(row[value].isdecimal() for row in inner)


def test_the_hourly_arrays_run_from_hour_1_to_24():
    info = live(BEGIN)
    hours = [str(hour) for hour in range(1, 25)]
    assert [row["ClearedMWHourly"]["Hour"] for row in info["ClearedMW"]] == hours
    assert [row["Forecast"]["HourEnding"] for row in info["MediumTermLoadForecast"]] == hours


def test_the_five_minute_array_starts_anew_at_midnight_est():
    assert list(load(BEGIN)) == ["00:00"]
    assert live(BEGIN)["RefId"] == "27-Jul-2026 - Interval 00:00 EST"
    assert len(load(BEGIN - INTERVAL)) == 288
    assert live(BEGIN - INTERVAL)["RefId"] == "26-Jul-2026 - Interval 23:55 EST"


@pytest.mark.parametrize("day", [date(2026, 7, 27), date(2026, 3, 8), date(2026, 11, 1)])
def test_the_five_minute_array_grows_by_a_row_each_interval_to_288(day):
    begin = datetime(day.year, day.month, day.day, 5, tzinfo=UTC)
    labels = [f"{n // 12:02d}:{n % 12 * 5:02d}" for n in range(288)]
    for count in range(1, 289, 7):
        assert list(load(begin + (count - 1) * INTERVAL)) == labels[:count]


def test_the_last_row_is_the_interval_of_the_ref_id():
    instant = datetime(2026, 7, 27, 13, 14, 59, tzinfo=UTC)
    assert live(instant)["RefId"] == "27-Jul-2026 - Interval 08:10 EST"
    assert list(load(instant))[-1] == "08:10"


def test_within_an_interval_the_answer_stays_the_same():
    instant = datetime(2026, 7, 27, 13, 10, tzinfo=UTC)
    assert snapshot(1, instant) == snapshot(1, instant + timedelta(minutes=4, seconds=59))
    assert snapshot(1, instant) != snapshot(1, instant + INTERVAL)


def test_a_seed_gives_the_same_load_in_every_process():
    code = (
        "import json; from datetime import *; from miso_scrapy.simulator.load import snapshot;"
        "print(json.dumps(snapshot(7, datetime(2026, 7, 27, 20, tzinfo=UTC))))"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    here = snapshot(7, datetime(2026, 7, 27, 20, tzinfo=UTC))
    assert json.loads(said[0]) == json.loads(said[1]) == here


def test_another_seed_gives_another_load():
    assert load(LAST, seed=1) != load(LAST, seed=2)


def test_another_day_gives_another_load():
    assert load(LAST) != load(LAST + timedelta(days=1))


@given(SEEDS, INSTANTS)
@settings(deadline=None)
def test_the_load_is_plausible_on_any_day(seed, instant):
    last = (instant - timedelta(hours=5)).replace(hour=23, minute=55) + timedelta(hours=5)
    for mw in values(normalise(snapshot(seed, last))).values():
        assert min(mw) >= 60_000
        assert max(mw) <= 125_000


def test_the_load_is_lower_at_night_than_in_the_afternoon_of_a_summer_day():
    day = load(LAST)
    assert day["04:00"] < day["16:00"]


@given(SEEDS)
@settings(deadline=None, max_examples=20)
def test_the_load_has_no_jumps(seed):
    day = list(load(LAST, seed).values())
    assert max(abs(b - a) for a, b in pairwise(day)) < 3_000
    assert len(set(day)) > 200


@pytest.mark.parametrize("seed", [1, 2])
def test_earlier_values_are_revised_by_later_snapshots(seed):
    final = load(LAST, seed)
    first = {}
    for n in range(288):
        published = load(BEGIN + n * INTERVAL, seed)
        label = list(published)[-1]
        first[label] = published[label]
    revised = [label for label in final if final[label] != first[label]]
    assert 1 <= len(revised) <= 100


def test_the_forecast_changes_during_the_day():
    def forecast(instant):
        return [row["Forecast"]["LoadForecast"] for row in live(instant)["MediumTermLoadForecast"]]

    assert forecast(BEGIN) != forecast(BEGIN + timedelta(hours=12))


@given(SEEDS, INSTANTS)
@settings(deadline=None)
def test_both_shapes_say_the_same(seed, instant):
    from_live = normalise(snapshot(seed, instant))
    documented = snapshot(seed, instant, documented=True)
    assert normalise(documented) == documented
    assert from_live["RefId"] == documented["RefId"]
    assert values(from_live) == values(documented)
    assert from_live.keys() == documented.keys()


@given(SEEDS, INSTANTS, st.booleans())
@settings(deadline=None)
def test_every_answer_is_a_valid_snapshot(seed, instant, documented):
    assert problem(normalise(snapshot(seed, instant, documented=documented))) is None


def test_the_documented_shape_has_the_documented_labels():
    data = snapshot(1, datetime(2025, 12, 5, 17, 35, tzinfo=UTC), documented=True)
    assert data["RefId"] == "2025-12-05T17:35:00Z"
    assert {"Time": "12:35:00", "Value": data["FiveMinTotalLoad"][-1]["Value"]} == data[
        "FiveMinTotalLoad"
    ][-1]
    assert "12:00" in [row["Hour"] for row in data["ClearedMW"]]
    assert "14:00" in [row["HourEnding"] for row in data["MediumTermLoadForecast"]]
    assert all(type(mw) is int for mw in chain(*values(data).values()))
