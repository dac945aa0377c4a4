"""The fold of a market day: against a naive one, for any sequence of snapshots."""

import gzip
import json
import tempfile
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miso_scrapy.archive.document import key_of, pack
from miso_scrapy.dataset.days import DayFiles, DayRange, days
from miso_scrapy.dataset.faults import Faults
from miso_scrapy.dataset.fold import SnapshotReader, fold
from miso_scrapy.dataset.read import read
from miso_scrapy.feed.market_day import EST
from miso_scrapy.store.directory import DirectoryStore
from tests.support import samples
from tests.support.samples import est

DAY = "2026-11-01"
TODAY = DayRange(date(2026, 11, 1), date(2026, 11, 2))
CLOCKS = [f"{n // 12:02d}:{n % 12 * 5:02d}" for n in range(24)]
MW = st.sampled_from([0, 1, 1.5, 2])  # few, so that values repeat, change, and change back
HOURS = st.lists(st.tuples(st.integers(1, 3), MW), max_size=4)


@st.composite
def snapshots(draw, at):
    """A snapshot of the interval number *at*: some intervals up to its own, in any order, or twice."""
    load = st.lists(st.tuples(st.sampled_from(CLOCKS[: at + 1]), MW), max_size=6)
    return samples.data(
        est(DAY, CLOCKS[at]), draw(load), draw(HOURS), draw(HOURS), documented=draw(st.booleans())
    )


@st.composite
def sequences(draw):
    """Snapshots with their interval's number, in the order of candidates: any order."""
    intervals = draw(st.lists(st.integers(0, 6), max_size=8))
    return [(at, draw(snapshots(at))) for at in intervals]


def naive(sequence):
    """Fold *sequence*, in the order in which it counts, by going through it for each key."""
    load, forecast, cleared = {}, {}, {}
    for at, data in sequence:
        for table, latest in (
            (load, {row["Time"][:5]: row["Value"] for row in data["FiveMinTotalLoad"]}),
            (forecast, hours(data["MediumTermLoadForecast"], "HourEnding", "LoadForecast")),
            (cleared, hours(data["ClearedMW"], "Hour", "Value")),
        ):
            for key, mw in latest.items():
                table.setdefault(key, []).append((est(DAY, CLOCKS[at]), mw))
    return (
        [
            (
                est(DAY, clock), history[-1][1], history[0][0], history[-1][0],
                len(changes(history)) - 1, largest(history),
            )
            for clock, history in sorted(load.items())
        ],
        vintages(forecast),
        vintages(cleared),
    )  # fmt: skip


def hours(rows, name, value):
    """The MW of *rows* by the number of the hour, 1 to 24; of an hour twice, the later row's."""
    starts = name == "Hour"  # the documented style's
    return {
        int(row[name].split(":")[0]) + (":" in row[name] and starts): row[value] for row in rows
    }


def changes(history):
    return [each for n, each in enumerate(history) if n == 0 or each[1] != history[n - 1][1]]


def largest(history):
    return max([abs(b[1] - a[1]) for a, b in pairwise(history)], default=0)


def vintages(table):
    return [
        (est(DAY) + timedelta(hours=number - 1), mw, at)
        for number, history in sorted(table.items())
        for at, mw in changes(history)
    ]


def tables(day):
    load = [(*value[:5], value.largest_revision_mw) for value in day.load]
    return load, *([tuple(row[:3]) for row in rows] for rows in (day.forecast, day.cleared))


@given(sequences(), st.randoms())
def test_the_load_is_what_a_naive_last_wins_fold_gives(sequence, chance):
    # Of snapshots of the same interval the one that was collected last counts.
    collected = [
        (at, est(DAY, "12:00") + number * samples.INTERVAL, data)
        for number, (at, data) in enumerate(sequence)
    ]
    reader = SnapshotReader()
    filed = collected.copy()
    chance.shuffle(filed)
    published = [reader.read(est(DAY, CLOCKS[at]), when, data) for at, when, data in filed]
    ordered = [(at, data) for at, _, data in sorted(collected, key=lambda each: each[:2])]
    day = fold(date.fromisoformat(DAY), published)
    assert tables(day) == naive(ordered)


@given(sequences())
@settings(max_examples=30)
def test_through_the_archives_bytes_it_comes_out_the_same(sequence):
    with tempfile.TemporaryDirectory() as directory:
        store = DirectoryStore(Path(directory))
        keys = []
        for number, (_, data) in enumerate(sequence):
            candidate = est(DAY, "12:00") + number * samples.INTERVAL
            keys.append(key_of(f"realtime_total_load_{candidate:%Y%m%d_%H%M%S}.json"))
            metadata = {"collected_at": candidate.isoformat()}
            store.put(keys[-1], pack(data, metadata), {})
        found = days(store, DayRange())
        assert [files.keys for files in found] == ([keys] if keys else [])
        files = found[0] if found else DayFiles(date.fromisoformat(DAY))
        done = read(store, files)
    assert done.faults == Faults()
    assert tables(done.market_day) == naive(sorted(sequence, key=lambda each: each[0]))


def test_a_row_that_is_wrong_does_not_spoil_the_snapshots_after_it(tmp_path):
    """They are read by comparing them with the last one, whose rows may be wrong."""
    clocks = ["00:00", "00:05", "00:10", "00:15"]
    loads = [
        [("00:00", 1)],
        [("00:00", 1), ("00:05", "many")],
        [("00:00", 1), ("00:05", 2)],
        [("00:00", 1), ("00:05", 2), ("00:00", 3)],
    ]
    for clock, load in zip(clocks, loads, strict=True):
        samples.file(tmp_path, DAY, clock, load)
    store = DirectoryStore(tmp_path)
    (files,) = days(store, TODAY)
    done = read(store, files)
    (rows,) = done.faults.rows.values()
    where = str(tmp_path / samples.path_of(est(DAY, "00:05")))
    assert (rows.first, rows.last, rows.files) == (where, where, 1)
    at = [est(DAY, clock) for clock in clocks]
    assert [row[:6] for row in done.market_day.load] == [
        (at[0], 3, at[0], at[3], 1, 1),
        (at[1], 2, at[2], at[3], 0, 2),
    ]


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"collected_at": None},
        {"collected_at": "today"},
        {"collected_at": "2026-11-01T00:05:00"},
    ],
)
def test_a_document_that_does_not_say_when_it_was_collected_is_read(tmp_path, metadata):
    """Beside one of the same interval that does, it is the older one."""
    store, at = DirectoryStore(tmp_path), est(DAY, "00:05")
    samples.put(tmp_path, at, pack(samples.data(at, {"00:00": 1, "00:05": 2}), metadata))
    samples.file(tmp_path, DAY, "00:05", {"00:00": 3}, candidate=est(DAY, "00:00"))
    (files,) = days(store, TODAY)
    done = read(store, files)
    assert done.faults == Faults()
    assert [file.collected for file in done.market_day.snapshots] == [
        est(DAY) + timedelta(seconds=30),
        None,
    ]
    assert [value.load_mw for value in done.market_day.load] == [3, 2]


def test_what_was_listed_and_is_not_there_is_named(tmp_path):
    """By a worker that does not see the directory, a day must not be taken for an empty one."""
    path = samples.file(tmp_path, DAY, "12:00", {"12:00": 1})
    store = DirectoryStore(tmp_path)
    (files,) = days(store, TODAY)
    path.unlink()
    (gone,) = read(store, files).faults.unreadable.values()
    assert gone.first == str(path)


def test_a_listing_of_some_days_asks_for_no_more(tmp_path):
    """Each day has the files that may be of it, beyond midnight as far as coverage goes."""
    for clock in ("00:00", "12:00", "23:40", "23:45", "23:50"):
        for day in ("2026-02-28", "2026-03-01", "2026-03-02"):
            samples.file(tmp_path, day, clock)
    store = DirectoryStore(tmp_path)
    (files,) = days(store, DayRange(date(2026, 3, 1), date(2026, 3, 2)))
    at = [est(files.day) - timedelta(minutes=15) + n * samples.INTERVAL for n in range(300)]
    assert set(files.keys) == {
        samples.path_of(each) for each in at if (tmp_path / samples.path_of(each)).exists()
    }
    assert len(files.keys) in (8, 9)  # 23:45, 23:50; the day's five; 00:00
    for each in files.keys:
        assert json.loads(gzip.decompress(store.get(each)))


def read_one(ref_id, **arrays):
    data = {"FiveMinTotalLoad": [], "MediumTermLoadForecast": [], "ClearedMW": [], **arrays}
    at = datetime.fromisoformat(ref_id)
    return fold(at.astimezone(EST).date(), [SnapshotReader().read(at, None, data)])


def test_misos_documented_example_has_its_times_of_day_in_utc():
    day = read_one(
        "2025-12-05T12:35:00Z",
        ClearedMW=[{"Hour": "12:00", "Value": 32456}],
        MediumTermLoadForecast=[{"HourEnding": "14:00", "LoadForecast": 35678}],
        FiveMinTotalLoad=[{"Time": "12:35:00", "Value": 33456}],
    )
    assert str(day.load[0].interval_start) == "2025-12-05 12:35:00+00:00"
    assert str(day.cleared[0].start) == "2025-12-05 12:00:00+00:00"
    assert str(day.forecast[0].start) == "2025-12-05 13:00:00+00:00"


def test_a_day_of_times_in_utc_goes_over_their_midnight():
    midnight = datetime.fromisoformat("2025-12-05T05:00:00Z")
    times = [midnight + number * samples.INTERVAL for number in range(288)]
    rows = [{"Time": f"{at:%H:%M:%S}", "Value": number} for number, at in enumerate(times)]
    day = read_one("2025-12-06T04:55:00Z", FiveMinTotalLoad=rows)
    assert [(value.interval_start, value.load_mw) for value in day.load] == [
        (at, number) for number, at in enumerate(times)
    ]


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("FiveMinTotalLoad", {"Time": "05:03", "Value": 1}),
        ("FiveMinTotalLoad", {"Time": "03:75", "Value": 1}),
        ("FiveMinTotalLoad", {"Time": "05:00:59", "Value": 1}),
        ("FiveMinTotalLoad", {"Time": "24:00", "Value": 1}),
        ("FiveMinTotalLoad", {"Time": "05:00", "Value": 1e308}),
        ("FiveMinTotalLoad", {"Time": "05:00", "Value": True}),
        ("FiveMinTotalLoad", "\x1b[31mred\nsecond line"),
        ("ClearedMW", {"Hour": 0, "Value": 1}),
        ("ClearedMW", {"Hour": "24:00", "Value": 1}),
        ("MediumTermLoadForecast", {"HourEnding": "14:30", "LoadForecast": 1}),
    ],
)
def test_a_row_that_says_nothing_is_left_out_and_told_of_in_one_plain_line(name, row):
    data = samples.data(est("2025-12-05", "23:55"), {"00:00": 1}, {1: 1}, {1: 1})
    good = data[name]
    read = SnapshotReader().read(
        est("2025-12-05", "23:55"), None, {**data, name: [row, *good, row]}
    )
    assert (read.load, read.forecast, read.cleared) == ({0: 1}, {0: 1}, {0: 1})
    for unused in read.unused:
        assert unused.what.startswith(name)
        assert (unused.what + unused.row).isprintable()
    assert len(read.unused) == 2


@pytest.mark.parametrize("wrong", [None, 5, "text", {}])
def test_an_array_that_is_none_is_left_out_and_told_of(wrong):
    data = samples.data(est(DAY, "00:00"), {"00:00": 1}, {1: 1}, {1: 1})
    read = SnapshotReader().read(est(DAY, "00:00"), None, {**data, "FiveMinTotalLoad": wrong})
    assert (read.load, read.forecast, read.cleared) == ({}, {0: 1}, {0: 1})
    assert read.unused == (("FiveMinTotalLoad is not a list", repr(wrong)),)
