"""Which files the listing finds for each market day, and in how much memory."""

import tracemalloc
from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from miso_scrapy.dataset.days import DayFiles, DayRange, days
from miso_scrapy.store import Entry
from miso_scrapy.store.directory import DirectoryStore
from tests.support.samples import EST, INTERVAL, ROOT, est, path_of

FIRST = date(2026, 2, 27)
DAYS = [FIRST + timedelta(days=number) for number in range(5)]
QUARTER = timedelta(minutes=15)


class Listing:
    """A store that lists *candidates*, one after the other, and remembers how far it came."""

    def __init__(self, candidates):
        self.candidates = candidates
        self.last = ""

    def entries(self, prefix, *, after=""):
        for candidate in self.candidates:
            key = path_of(candidate)
            if key > after:
                self.last = key
                yield Entry(key, f"{len(key)}-{candidate.timestamp()}")


def market_days(candidate):
    """The market days that a snapshot filed under *candidate* may belong to, if it covers it."""
    nearly = QUARTER - timedelta(seconds=1)  # 05:15 UTC is of the new day alone
    return {(candidate + delta).astimezone(EST).date() for delta in (-nearly, timedelta(), QUARTER)}


moments = st.integers(0, 5 * 1440 - 1).map(lambda minute: est(FIRST) + timedelta(minutes=minute))
ends = st.none() | st.sampled_from(DAYS)


@given(st.lists(moments, unique=True, max_size=40).map(sorted), ends, ends)
@settings(max_examples=200)
def test_each_day_has_the_files_that_may_be_of_it(candidates, start, end):
    wanted = DayRange(start, end)
    store = Listing(candidates)
    expected = {
        day: keys
        for day in [FIRST - timedelta(days=1), *DAYS, DAYS[-1] + timedelta(days=1)]
        if day in wanted
        and (keys := [path_of(each) for each in candidates if day in market_days(each)])
    }
    found = days(store, wanted)
    assert {files.day: files.keys for files in found} == expected
    assert [len(files) for files in found] == [len(files.keys) for files in found]


def test_the_version_of_a_day_changes_with_its_files():
    def version(candidates):
        (files,) = days(Listing(candidates), DayRange())
        return files.version

    noon, later = est(FIRST, "12:00"), est(FIRST, "12:05")
    assert version([noon]) == version([noon])
    assert len({version([noon]), version([later]), version([noon, later])}) == 3


def test_what_is_not_a_snapshot_is_left_out(tmp_path):
    good = path_of(est(FIRST, "12:00"))
    for key in (
        good,
        good.removesuffix(".gz"),
        f"{good}.gz",
        good.replace("2026/02/27", "2026/02/28"),
        good.replace("20260227_17", "20260227_25"),
        good.replace("2026/02/27", "2026/02/30").replace("20260227", "20260230"),
        f"{ROOT}/.hidden/2026/x.json.gz",
        f"{ROOT}/archive.json",
        f"{ROOT}/quarantine/{32 * '0'}.json.gz",
    ):
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(b"")
    assert [files.keys for files in days(DirectoryStore(tmp_path), DayRange())] == [[good]]


def test_many_files_are_listed_in_little_memory():
    """Of a million files, this is 35 MB; the goal is 50 MB."""
    candidates = (est(FIRST) + number * INTERVAL for number in range(28_800))
    tracemalloc.start()
    found = days(Listing(candidates), DayRange())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(found), sum(map(len, found))) == (102, 28_800 + 100 * 6)
    assert peak < 1_000_000


def test_the_listing_ends_with_the_range():
    candidates = [est(day, "12:00") for day in DAYS]
    store = Listing(candidates)
    assert len(days(store, DayRange(None, DAYS[1]))) == 1
    assert store.last == path_of(candidates[1])


@given(st.lists(moments, unique=True, min_size=1, max_size=12), moments)
@settings(max_examples=30)
def test_a_directory_is_listed_from_a_key_on(tmp_path_factory, candidates, after):
    root = tmp_path_factory.mktemp("archive")
    for each in candidates:
        (root / path_of(each)).parent.mkdir(parents=True, exist_ok=True)
        (root / path_of(each)).write_bytes(b"")
    store, after = DirectoryStore(root), path_of(after)
    every = [entry.key for entry in store.entries(ROOT)]
    assert every == sorted(map(path_of, candidates))
    assert [entry.key for entry in store.entries(ROOT, after=after)] == [
        key for key in every if key > after
    ]


def test_a_range_ends_today_unless_it_says_otherwise():
    today = DAYS[2]
    assert DayRange(DAYS[0]).until(today) == DayRange(DAYS[0], DAYS[3])
    for other in (
        DayRange(),
        DayRange(None, DAYS[4]),
        DayRange(DAYS[0], DAYS[1]),
        DayRange(DAYS[4]),
    ):
        assert other.until(today) == other
    assert DayRange.last(1, today) == DayRange(today, DAYS[3])
    assert DayRange.last(3, today) == DayRange(DAYS[0], DAYS[3])
    assert DayFiles(today).keys == []
