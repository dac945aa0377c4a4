"""When a candidate was a success: of the current interval, and of a feed that was not stale."""

from datetime import UTC, datetime, timedelta

import pytest
from scrapy.statscollectors import MemoryStatsCollector
from scrapy.utils.test import get_crawler

from miso_scrapy.extensions.last_success import LastSuccess
from miso_scrapy.stats import NEWEST_INTERVAL

NOW = datetime(2025, 12, 5, 12, 7, 30, tzinfo=UTC)
NOON = datetime(2025, 12, 5, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def stats():
    stats = MemoryStatsCollector(get_crawler())
    stats.set_value(NEWEST_INTERVAL, "2025-12-05T12:05:00Z")
    return stats


def success(stats, candidate, now=NOW, delay=1 * MINUTE):
    last = LastSuccess(stats, publish_delay=delay, stale_after=15 * MINUTE)
    last.ended_well(candidate, now)
    return last.at


def test_the_newest_candidate_that_is_due_is_of_the_current_interval(stats):
    assert success(stats, NOON + 5 * MINUTE) == NOW
    assert success(stats, NOON) is None
    # Until the next one is due, and ahead of that: a run without arguments does not wait.
    assert success(stats, NOON, now=NOON + 5.9 * MINUTE) is not None
    assert success(stats, NOON, now=NOON + 6 * MINUTE) is None
    assert success(stats, NOON + 5 * MINUTE, now=NOON + 5.5 * MINUTE) is not None
    # A user who lets MISO have more time is no later than that.
    assert success(stats, NOON, delay=8 * MINUTE) == NOW


@pytest.mark.parametrize(
    ("minutes", "fresh"), [(-5, True), (15, True), (15.1, False), (1440, False)]
)
def test_the_newest_interval_of_the_feed_is_not_far_behind(stats, minutes, fresh):
    stats.set_value(NEWEST_INTERVAL, (NOW - minutes * MINUTE).strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert (success(stats, NOON + 5 * MINUTE) is not None) == fresh


def test_a_run_that_has_asked_nobody_does_not_know(stats):
    stats.clear_stats()
    assert success(stats, NOON + 5 * MINUTE) is None


def test_a_later_candidate_that_is_none_leaves_the_time_as_it_was(stats):
    last = LastSuccess(stats, publish_delay=1 * MINUTE, stale_after=15 * MINUTE)
    last.ended_well(NOON + 5 * MINUTE, NOW)
    last.ended_well(NOON - 60 * MINUTE, NOW + MINUTE)
    last.ended_well(NOON + 20 * MINUTE, NOW + 15 * MINUTE)  # the feed has not gone on
    assert last.at == NOW
