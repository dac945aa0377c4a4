from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miso_scrapy.feed.coverage import covers
from miso_scrapy.feed.market_day import market_day

MIDNIGHT = datetime(2025, 12, 5, 5, 0, tzinfo=UTC)  # where the market day begins: 00:00 EST
CLOCKS_CHANGE = [date(2025, 3, 9), date(2025, 11, 2), date(2026, 3, 8), date(2026, 11, 1)]
INSTANTS = st.timedeltas(timedelta(0), timedelta(days=47_000)).map(
    lambda since: datetime(1970, 1, 1, tzinfo=UTC) + since
)
MINUTES = st.integers(-3000, 3000).map(lambda minutes: timedelta(minutes=minutes))


def minutes(count):
    return timedelta(minutes=count)


def begin(day):
    return datetime(day.year, day.month, day.day, 5, tzinfo=UTC)


def test_the_market_day_begins_at_midnight_est():
    assert market_day(MIDNIGHT) == date(2025, 12, 5)
    assert market_day(MIDNIGHT - timedelta(microseconds=1)) == date(2025, 12, 4)


def test_the_market_day_does_not_know_summer_time():
    assert market_day(datetime(2026, 7, 28, 4, 59, tzinfo=UTC)) == date(2026, 7, 27)
    assert market_day(datetime(2026, 7, 28, 5, 0, tzinfo=UTC)) == date(2026, 7, 28)


@pytest.mark.parametrize("day", CLOCKS_CHANGE)
def test_the_market_day_has_288_intervals_when_us_clocks_change(day):
    around = [begin(day) + minutes(5 * n) for n in range(-288, 2 * 288)]
    assert [instant for instant in around if market_day(instant) == day] == around[288 : 2 * 288]


def test_the_market_day_at_the_end_of_the_year():
    assert market_day(datetime(2026, 1, 1, 4, 55, tzinfo=UTC)) == date(2025, 12, 31)
    assert market_day(datetime(2026, 1, 1, 5, 0, tzinfo=UTC)) == date(2026, 1, 1)


@given(INSTANTS, st.integers(-14, 14))
def test_the_market_day_is_of_the_instant_whatever_its_offset(instant, hours):
    elsewhere = instant.astimezone(timezone(timedelta(hours=hours)))
    assert market_day(elsewhere) == (instant - timedelta(hours=5)).date()


@pytest.mark.parametrize("day", [date(2025, 12, 5), date(2026, 7, 27), *CLOCKS_CHANGE])
def test_a_snapshot_covers_its_whole_market_day(day):
    first, last = begin(day), begin(day) + timedelta(hours=23, minutes=55)
    assert covers(last, first)
    assert covers(first, last)


@pytest.mark.parametrize("day", [date(2025, 12, 5), date(2026, 7, 27), *CLOCKS_CHANGE])
def test_a_snapshot_covers_nothing_of_the_days_beside_its_own(day):
    noon = begin(day) + timedelta(hours=12)
    assert not covers(noon, begin(day) - minutes(5))
    assert not covers(noon, begin(day) + timedelta(days=1))


@pytest.mark.parametrize(
    ("interval", "candidate"),
    [
        (MIDNIGHT - minutes(5), MIDNIGHT),  # the feed still answers with yesterday's last interval
        (MIDNIGHT - minutes(5), MIDNIGHT + minutes(5)),
        (MIDNIGHT, MIDNIGHT - minutes(5)),
        (MIDNIGHT - minutes(5), MIDNIGHT + minutes(10)),  # exactly 15 minutes, after
        (MIDNIGHT + minutes(10), MIDNIGHT - minutes(5)),  # and before
        (MIDNIGHT - minutes(15), MIDNIGHT),
        (MIDNIGHT, MIDNIGHT - minutes(15)),
    ],
)
def test_across_midnight_est_15_minutes_are_covered(interval, candidate):
    assert covers(interval, candidate)


@pytest.mark.parametrize(
    ("interval", "candidate"),
    [
        (MIDNIGHT - minutes(5), MIDNIGHT + minutes(11)),  # 16 minutes
        (MIDNIGHT + minutes(11), MIDNIGHT - minutes(5)),
        (MIDNIGHT - minutes(16), MIDNIGHT),
        (MIDNIGHT, MIDNIGHT - minutes(16)),
        (MIDNIGHT, MIDNIGHT - minutes(15) - timedelta(seconds=1)),
        (MIDNIGHT - minutes(5), MIDNIGHT + minutes(15)),  # the next one on the grid
        (MIDNIGHT + minutes(15), MIDNIGHT - minutes(5)),
    ],
)
def test_across_midnight_est_16_minutes_are_not_covered(interval, candidate):
    assert not covers(interval, candidate)


@pytest.mark.parametrize("days", [-365, -7, -1, 1, 7, 365])
def test_a_snapshot_does_not_cover_the_same_time_of_another_day(days):
    noon = MIDNIGHT + timedelta(hours=12)
    assert not covers(noon, noon + timedelta(days=days))


def test_midnight_utc_is_no_border():
    assert covers(datetime(2025, 12, 5, 23, 0, tzinfo=UTC), datetime(2025, 12, 6, 1, 0, tzinfo=UTC))


@given(INSTANTS, MINUTES)
def test_coverage_is_the_same_market_day_or_15_minutes(interval, distance):
    candidate = interval + distance
    est = timezone(timedelta(hours=-5))
    same_day = interval.astimezone(est).date() == candidate.astimezone(est).date()
    expected = same_day or abs(distance) <= minutes(15)
    assert covers(interval, candidate) == covers(candidate, interval) == expected
