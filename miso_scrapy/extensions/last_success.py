"""The last time that current data of a fresh feed was collected."""

from __future__ import annotations

from datetime import datetime, timedelta

from scrapy.statscollectors import StatsCollector

from miso_scrapy.feed.candidate import floor_to_interval
from miso_scrapy.feed.ref_id import parse_ref_id
from miso_scrapy.stats import NEWEST_INTERVAL


class LastSuccess:
    """Keep the last time that a current candidate ended well and the feed was not stale.

    - *Current*: the newest candidate that is due, or a later one. A candidate of the past may be filed,
      but its data are newer than the candidate.
    - *Well*: stored, duplicate or skipped.
    - *Stale*: the newest interval that this run received is more than MISO_STALE_AFTER behind the clock.
      A run that only skipped candidates sent no request, so it does not know the state of the feed, and
      keeps the time of an earlier run. Otherwise a second run within each interval would report success
      for a feed that has stopped.
    """

    def __init__(
        self, stats: StatsCollector, publish_delay: timedelta, stale_after: timedelta
    ) -> None:
        self.at: datetime | None = None
        self._stats = stats
        self._publish_delay = publish_delay
        self._stale_after = stale_after

    def ended_well(self, candidate: datetime, now: datetime) -> None:
        """Record that *candidate* ended well at *now*."""
        newest = self._stats.get_value(NEWEST_INTERVAL)
        current = candidate >= floor_to_interval(now - self._publish_delay)
        if current and newest and now - parse_ref_id(newest) <= self._stale_after:
            self.at = now
