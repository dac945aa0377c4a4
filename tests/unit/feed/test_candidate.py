import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miso_scrapy.feed.candidate import candidate_of, floor_to_interval, identifier, parse_range

NOW = datetime(2025, 12, 5, 12, 34, 56, 789, UTC)
INSTANTS = st.timedeltas(timedelta(0), timedelta(days=47_000)).map(
    lambda since: datetime(1970, 1, 1, tzinfo=UTC) + since
)


def times(start, end=None, now=NOW):
    return [f"{candidate:%Y-%m-%dT%H:%M:%S%z}" for candidate in parse_range(start, end, now)]


def utc(text):
    return f"{text}:00+0000"


def test_without_start_and_end_the_current_interval_is_the_candidate():
    assert times(None) == [utc("2025-12-05T12:30")]


def test_only_a_start_means_until_now():
    assert times("2025-12-05T12:20") == [
        utc("2025-12-05T12:20"),
        utc("2025-12-05T12:25"),
        utc("2025-12-05T12:30"),
    ]


def test_an_end_with_a_time_is_inclusive():
    assert times("2025-12-05T12:00", "2025-12-05T12:10") == [
        utc("2025-12-05T12:00"),
        utc("2025-12-05T12:05"),
        utc("2025-12-05T12:10"),
    ]


def test_a_start_that_is_the_end_is_one_candidate():
    assert times("2025-12-05T12:00", "2025-12-05T12:00") == [utc("2025-12-05T12:00")]


@pytest.mark.parametrize("end", ["2025-12-06", "20251206", "2025-W49-6"])
def test_a_bare_end_date_is_exclusive(end):
    day = times("2025-12-05", end)
    assert len(day) == 288
    assert (day[0], day[-1]) == (utc("2025-12-05T00:00"), utc("2025-12-05T23:55"))


@pytest.mark.parametrize(
    "end", ["2025-12-06T00:00", "2025-12-06 00:00", "2025-12-06T00", "2025-12-06T00:00:00Z"]
)
def test_an_end_at_midnight_with_a_time_is_inclusive(end):
    day = times("2025-12-05", end)
    assert len(day) == 289
    assert day[-1] == utc("2025-12-06T00:00")


def test_a_bare_start_date_is_its_midnight_in_utc():
    assert times("2025-12-05", "2025-12-05T00:00") == [utc("2025-12-05T00:00")]


def test_a_bare_start_date_alone_runs_from_midnight_until_now():
    day = times("2025-12-05")
    assert len(day) == 12 * 12 + 7
    assert (day[0], day[-1]) == (utc("2025-12-05T00:00"), utc("2025-12-05T12:30"))


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("2025-12-05T12:00", "2025-12-05T12:00"),
        ("2025-12-05T12:00Z", "2025-12-05T12:00"),
        ("2025-12-05T12:00+00:00", "2025-12-05T12:00"),
        ("2025-12-05T12:00-05:00", "2025-12-05T17:00"),
        ("2025-12-05T22:00-05:00", "2025-12-06T03:00"),
        ("2025-12-05T02:00+05:45", "2025-12-04T20:15"),
        ("2025-12-05T12:00+00:03", "2025-12-05T11:55"),
    ],
)
def test_an_offset_is_honoured_and_without_one_it_is_utc(text, first):
    assert times(text, text) == [utc(first)]


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the machine's zone cannot be set")
def test_the_machines_own_time_zone_does_not_matter(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/Chicago")
        time.tzset()
        candidates = times("2025-12-05T12:00", "2025-12-05T12:00")
    time.tzset()
    assert candidates == [utc("2025-12-05T12:00")]


def test_start_and_end_are_floored_to_the_grid():
    assert times("2025-12-05T12:04:59.999", "2025-12-05T12:14:59") == [
        utc("2025-12-05T12:00"),
        utc("2025-12-05T12:05"),
        utc("2025-12-05T12:10"),
    ]


def test_now_is_floored_to_the_grid():
    assert times("2025-12-05T12:30", now=NOW.replace(minute=39, second=59)) == [
        utc("2025-12-05T12:30"),
        utc("2025-12-05T12:35"),
    ]


def test_now_in_another_time_zone_is_the_same_instant():
    est = NOW.astimezone(datetime.fromisoformat("2025-12-05T00:00-05:00").tzinfo)
    assert times(None, now=est) == [utc("2025-12-05T12:30")]


def test_a_range_crosses_the_end_of_the_year():
    assert times("2025-12-31T23:50", "2026-01-01T00:05") == [
        utc("2025-12-31T23:50"),
        utc("2025-12-31T23:55"),
        utc("2026-01-01T00:00"),
        utc("2026-01-01T00:05"),
    ]


@pytest.mark.parametrize(("year", "days"), [(2023, 1), (2024, 2), (2000, 2), (2100, 1)])
def test_a_leap_day_is_part_of_its_year_only(year, days):
    candidates = times(f"{year}-02-28", f"{year}-03-01")
    assert len(candidates) == days * 288
    assert (utc(f"{year}-02-29T12:00") in candidates) == (days == 2)


@pytest.mark.parametrize("day", ["2025-03-09", "2025-11-02"])
def test_a_day_has_288_candidates_when_us_clocks_change_too(day):
    after = f"{datetime.fromisoformat(day) + timedelta(days=1):%Y-%m-%d}"
    assert len(set(times(day, after))) == 288


def test_a_range_of_years_costs_no_memory():
    tracemalloc.start()
    try:
        candidates = parse_range("1990-01-01", "2040-01-01", NOW)
        first = list(islice(candidates, 3))
        assert len(candidates) == 18262 * 288
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [c.minute for c in first] == [0, 5, 10]
    assert peak < 100_000


def test_a_range_can_be_walked_twice():
    candidates = parse_range("2025-12-05", "2025-12-06", NOW)
    assert list(candidates) == list(candidates)


@given(INSTANTS, st.timedeltas(timedelta(0), timedelta(days=3)))
def test_candidates_are_every_five_minutes_on_the_grid(start, length):
    end = start + length
    candidates = list(parse_range(start.isoformat(), end.isoformat(), NOW))
    assert all(c.timestamp() % 300 == 0 and c.utcoffset() == timedelta(0) for c in candidates)
    assert {b - a for a, b in pairwise(candidates)} <= {timedelta(minutes=5)}
    assert timedelta(0) <= start - candidates[0] < timedelta(minutes=5)
    assert timedelta(0) <= end - candidates[-1] < timedelta(minutes=5)
    assert len(candidates) == len(parse_range(start.isoformat(), end.isoformat(), NOW))


@given(INSTANTS)
def test_flooring_goes_back_by_less_than_an_interval(instant):
    floored = floor_to_interval(instant)
    assert floored.timestamp() == instant.timestamp() // 300 * 300
    assert floor_to_interval(floored) == floored


@pytest.mark.parametrize(
    ("start", "end", "named"),
    [
        (None, "2025-12-05", "start"),
        (None, "2025-12-05T12:00", "start"),
        ("2025-12-06", "2025-12-05", "2025-12-05"),
        ("2025-12-05T12:05", "2025-12-05T12:00", "2025-12-05T12:00"),
        ("2025-12-05", "2025-12-05", "2025-12-05"),
        ("2025-12-05T12:00", "2025-12-05", "2025-12-05"),
        ("2025-12-05T12:00-05:00", "2025-12-05T16:00Z", "2025-12-05T16:00Z"),
        ("2025-12-06", None, "2025-12-06"),
        ("yesterday", None, "yesterday"),
        ("2025-12-05", "tomorrow", "tomorrow"),
        ("2025-02-29", "2025-03-01", "2025-02-29"),
        ("2025-13-01", None, "2025-13-01"),
        ("2025-12-05T25:00", None, "2025-12-05T25:00"),
        ("12/05/2025", None, "12/05/2025"),
        ("1764936000", None, "1764936000"),
        ("12:00", None, "12:00"),
        ("", None, "start"),
        ("2025-12-05", "", "end"),
        ("0001-01-01T00:00+05:00", None, "start"),
    ],
)
def test_wrong_usage_is_told_in_one_line_that_names_it(start, end, named):
    with pytest.raises(ValueError, match=r"\A.+\Z") as error:
        parse_range(start, end, NOW)
    assert named in str(error.value)


def test_text_of_several_lines_is_refused_in_one_line():
    with pytest.raises(ValueError, match="start") as error:
        parse_range("2025-12-05\nor so", None, NOW)
    assert len(str(error.value).splitlines()) == 1


@given(st.text(), st.none() | st.text())
def test_any_text_is_a_range_or_a_usage_error_in_one_line(start, end):
    try:
        candidates = parse_range(start, end, NOW)
    except ValueError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017
    else:
        assert len(candidates) > 0


@pytest.mark.parametrize("end", ["0001-01-01", "0001-01-01T00:00+05:00"])
def test_an_end_before_the_calendar_begins_is_a_usage_error(end):
    with pytest.raises(ValueError, match=r"\A.+\Z"):
        parse_range("0001-01-01", end, NOW)


def test_a_range_up_to_the_end_of_the_calendar_ends():
    last = times("9999-12-31T23:50", "9999-12-31T23:59")
    assert last == [utc("9999-12-31T23:50"), utc("9999-12-31T23:55")]


def test_the_identifier_names_the_candidate():
    candidate = datetime(2025, 12, 5, 12, 0, tzinfo=UTC)
    assert identifier(candidate) == "realtime_total_load_20251205_120000.json"


def test_the_identifier_is_in_utc_whatever_the_offset():
    candidate = datetime.fromisoformat("2025-12-31T22:05-05:00")
    assert identifier(candidate) == "realtime_total_load_20260101_030500.json"


@given(INSTANTS.map(floor_to_interval))
def test_a_candidate_is_read_back_from_its_identifier(candidate):
    read = candidate_of(identifier(candidate))
    assert (read, read.utcoffset()) == (candidate, timedelta(0))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "realtime_total_load_20251205_120000",
        "realtime_total_load_20251205_120000.json.gz",
        "realtime_total_load_20251205.json",
        "realtime_total_load_20251305_120000.json",
        "realtime_total_load_20250229_120000.json",
        "realtime_total_load_20251205_120000.json\n",
        "realtime_total_load_2025125_120000.json",
        "realtime_total_load_20251205_12000.json",
        "realtime_total_load_20251205_1200.json",
        "REALTIME_TOTAL_LOAD_20251205_120000.json",
        "md5:realtime_total_load_20251205_120000.json",
    ],
)
def test_any_other_text_names_no_candidate(name):
    with pytest.raises(ValueError, match=r"."):
        candidate_of(name)


def test_a_range_that_is_followed_has_no_end_unless_one_is_given():
    endless = parse_range(None, None, NOW, follow=True)
    assert endless.endless
    assert str(endless) == "2025-12-05T12:30:00Z and later"
    assert [f"{candidate:%H:%M}" for candidate in islice(endless, 3)] == ["12:30", "12:35", "12:40"]
    assert parse_range("2025-12-06", None, NOW, follow=True).first.day == 6  # in the future
    with_end = parse_range(None, "2025-12-05T12:40", NOW, follow=True)
    assert not with_end.endless
    assert len(with_end) == 3


@pytest.mark.parametrize("now", ["now", " NOW "])
def test_a_start_of_now_is_the_current_interval(now):
    assert times(now) == [utc("2025-12-05T12:30")]
    assert times(now, "2025-12-05T12:35") == [utc("2025-12-05T12:30"), utc("2025-12-05T12:35")]
    assert parse_range(now, None, NOW, follow=True).endless
