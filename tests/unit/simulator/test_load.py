import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from itertools import chain, pairwise
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miso_scrapy.dataset.day_values import values_of
from miso_scrapy.dataset.fold import SnapshotReader, fold
from miso_scrapy.dataset.forecast_error import hour_errors, lead_errors
from miso_scrapy.feed.market_day import market_day
from miso_scrapy.feed.shape import normalise
from miso_scrapy.feed.validation import problem
from miso_scrapy.simulator.load import day_of, snapshot

BEGIN = datetime(2026, 7, 27, 5, 0, tzinfo=UTC)  # 00:00 EST
LAST = BEGIN + timedelta(hours=23, minutes=55)
INTERVAL = timedelta(minutes=5)
SEEDS = st.integers(0, 2**32)
INSTANTS = st.timedeltas(timedelta(0), timedelta(days=22_000)).map(
    lambda since: datetime(2000, 1, 1, tzinfo=UTC) + since
)
DAYS = st.dates(date(2000, 1, 1), date(2060, 1, 1))
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


def whole_day(day, seed=1):
    """The 288 values of the market day *day*, in MW, as published at its end."""
    midnight = datetime(day.year, day.month, day.day, 5, tzinfo=UTC)  # 00:00 EST
    return list(load(midnight + timedelta(hours=23, minutes=55), seed).values())


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
def test_the_load_is_plausible_on_any_day(seed, instant):
    last = (instant - timedelta(hours=5)).replace(hour=23, minute=55) + timedelta(hours=5)
    for mw in values(normalise(snapshot(seed, last))).values():
        assert min(mw) >= 60_000
        assert max(mw) <= 125_000


def largest_step(mw):
    return max(abs(after - before) for before, after in pairwise(mw))


@given(SEEDS, DAYS, st.integers(1, 4))
def test_the_load_does_not_jump_at_midnight(seed, first, more):
    days = [whole_day(first + timedelta(days=number), seed) for number in range(more + 1)]
    for day, following in pairwise(days):
        own = min(largest_step(day), largest_step(following))
        assert abs(following[0] - day[-1]) <= 3 * own


@pytest.mark.parametrize("month", [1, 4, 7, 10])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_weekend_has_less_load_than_the_working_days(seed, month):
    first = date(2026, month, 1)
    days = [first + timedelta(days=number) for number in range(28)]
    working, weekend = (
        fmean(fmean(whole_day(day, seed)) for day in days if (day.weekday() >= 5) is free)
        for free in (False, True)
    )
    assert 0.9 * working < weekend < 0.99 * working


def peaks(seed, first, days=28):
    """The hours of the peaks in the mean load of the hours of these days; at night there is none."""
    loads = [whole_day(first + timedelta(days=number), seed) for number in range(days)]
    mw = [fmean(load[n] for load in loads for n in range(12 * h, 12 * h + 12)) for h in range(24)]
    return [hour for hour in range(4, 23) if mw[hour - 1] < mw[hour] > mw[hour + 1]]


@given(SEEDS, st.integers(2000, 2060))
@settings(max_examples=10)
def test_winter_has_a_morning_and_an_evening_peak_and_summer_one_in_the_afternoon(seed, year):
    morning, evening = peaks(seed, date(year, 1, 5))
    assert 6 <= morning <= 9
    assert 17 <= evening <= 20
    (afternoon,) = peaks(seed, date(year, 7, 5))
    assert 14 <= afternoon <= 18


def test_the_load_is_lower_at_night_than_in_the_afternoon_of_a_summer_day():
    day = load(LAST)
    assert day["04:00"] < day["16:00"]


@given(SEEDS)
@settings(max_examples=20)
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


def test_every_revision_is_published_before_the_market_day_ends():
    for number in range(50):
        day = day_of(1, date(2026, 1, 1) + timedelta(days=number))
        assert whole_day(date(2026, 1, 1) + timedelta(days=number)) == day.load_mw
        assert sum(a != b for a, b in zip(day.first_mw, day.load_mw, strict=True)) == 9


def test_a_forecast_errs_more_the_further_ahead_and_in_both_directions():
    reader, errors = SnapshotReader(), []
    for number in range(90):
        begin = BEGIN + timedelta(days=number)
        instants = [*(begin + timedelta(hours=hour) for hour in range(24)), begin + (LAST - BEGIN)]
        snapshots = [reader.read(at, None, normalise(snapshot(1, at))) for at in instants]
        errors += hour_errors(values_of(fold(market_day(begin), snapshots)))
    leads = lead_errors(errors)
    assert [lead.lead_hours for lead in leads] == list(range(23))
    mean_absolute = [fmean(lead.mean_absolute_mw for lead in leads[n : n + 4]) for n in range(20)]
    assert mean_absolute == sorted(mean_absolute)
    assert leads[-1].mean_absolute_mw > 2 * leads[0].mean_absolute_mw
    assert all(0.002 * 80_000 < lead.mean_absolute_mw < 0.03 * 80_000 for lead in leads)
    assert all(abs(lead.bias_mw) < lead.mean_absolute_mw / 4 for lead in leads)


@given(SEEDS, DAYS)
def test_the_cleared_mw_stay_the_same_all_day_and_near_the_load(seed, day):
    midnight = datetime(day.year, day.month, day.day, 5, tzinfo=UTC)
    first, last = (
        values(normalise(snapshot(seed, midnight + since)))["ClearedMW"]
        for since in (timedelta(0), LAST - BEGIN)
    )
    assert first == last
    mw = whole_day(day, seed)
    hourly = [fmean(mw[12 * hour : 12 * hour + 12]) for hour in range(24)]
    assert all(0.97 < own / load < 1.03 for own, load in zip(last, hourly, strict=True))


def test_the_forecast_changes_during_the_day():
    def forecast(instant):
        return [row["Forecast"]["LoadForecast"] for row in live(instant)["MediumTermLoadForecast"]]

    assert forecast(BEGIN) != forecast(BEGIN + timedelta(hours=12))


@given(SEEDS, INSTANTS)
def test_both_shapes_say_the_same(seed, instant):
    from_live = normalise(snapshot(seed, instant))
    documented = snapshot(seed, instant, documented=True)
    assert normalise(documented) == documented
    assert from_live["RefId"] == documented["RefId"]
    assert values(from_live) == values(documented)
    assert from_live.keys() == documented.keys()


@given(SEEDS, INSTANTS, st.booleans())
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
