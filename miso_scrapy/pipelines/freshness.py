"""Freshness: record how far the feed is behind the clock."""

from __future__ import annotations

from scrapy.crawler import Crawler

from miso_scrapy.components import Component
from miso_scrapy.feed.ref_id import iso_utc, parse_ref_id
from miso_scrapy.items import Snapshot
from miso_scrapy.stats import BEHIND_SECONDS, NEWEST_INTERVAL


class FreshnessPipeline(Component):
    """Keep the newest interval of the feed, and its age when it was fetched, in the stats.

    Every valid snapshot counts, even if it is dropped later: the snapshots of a feed that has stopped
    are duplicates, and those of a feed that stopped yesterday cover no candidate of today.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self.stats = crawler.stats

    def process_item(self, item: Snapshot) -> Snapshot:
        """Return *item* unchanged."""
        if not item.quarantined:  # a quarantined body says nothing about the feed now
            interval = parse_ref_id(item.data["RefId"])
            if newest := self.stats.get_value(NEWEST_INTERVAL):
                interval = max(interval, parse_ref_id(newest))
            self.stats.set_value(NEWEST_INTERVAL, iso_utc(interval))
            self.stats.set_value(
                BEHIND_SECONDS, int((item.collected_at - interval).total_seconds())
            )
        return item
