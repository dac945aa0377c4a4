"""When a run last did what a collector is for: it collected what MISO says now."""

from __future__ import annotations

from datetime import datetime, timedelta

from scrapy.statscollectors import StatsCollector

from miso_scrapy.feed.candidate import floor_to_interval
from miso_scrapy.feed.ref_id import parse_ref_id
from miso_scrapy.stats import NEWEST_INTERVAL


class LastSuccess:
    """Keep the last time that a candidate of the current interval ended well, of a feed not stale.

    - *Current* is the newest candidate that is due, and one that comes later. A candidate of the past
      may be filed, but what it holds is not from its time.
    - *Well* is stored, duplicate or skipped.
    - *Stale* is a feed whose newest interval, of those that this run got, is more than MISO_STALE_AFTER
      behind the clock. A run that has only skipped has not asked the feed and does not know: the time
      stays as the run that asked left it. Else a second run within each interval would make a success
      of a feed that stands still.
    """

    def __init__(
        self, stats: StatsCollector, publish_delay: timedelta, stale_after: timedelta
    ) -> None:
        self.at: datetime | None = None
        self._stats = stats
        self._publish_delay = publish_delay
        self._stale_after = stale_after

    def ended_well(self, candidate: datetime, now: datetime) -> None:
        """Take note of *candidate*, which has ended well at *now*."""
        newest = self._stats.get_value(NEWEST_INTERVAL)
        current = candidate >= floor_to_interval(now - self._publish_delay)
        if current and newest and now - parse_ref_id(newest) <= self._stale_after:
            self.at = now
