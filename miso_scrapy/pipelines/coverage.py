"""Coverage: refuse to file a snapshot of today under another day."""

from __future__ import annotations

import logging

from scrapy.crawler import Crawler

from miso_scrapy.components import Component
from miso_scrapy.exceptions import Dropped
from miso_scrapy.feed.coverage import covers
from miso_scrapy.feed.ref_id import parse_ref_id
from miso_scrapy.items import Snapshot
from miso_scrapy.options import Options
from miso_scrapy.stats import Outcome

logger = logging.getLogger(__name__)


class CoveragePipeline(Component):
    """Drop snapshots that do not cover their candidate; with MISO_REQUIRE_COVERAGE=0, only mark them."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self.required = Options.from_settings(crawler.settings).require_coverage
        self._warned = False

    def process_item(self, item: Snapshot) -> Snapshot:
        """Return *item*, or drop it as uncovered."""
        item.covered = covers(parse_ref_id(item.data["RefId"]), item.candidate)
        if item.covered or not self.required:
            return item
        if not self._warned:
            self._warned = True
            logger.warning(
                "The feed has no history: it answers with its newest interval, now %s, and cannot "
                "give %s; for a replay of your own, set MISO_REQUIRE_COVERAGE=0",
                item.data["RefId"],
                item.identifier,
            )
        raise Dropped(
            Outcome.UNCOVERED, f"the feed answered with {item.data['RefId']}", log_level="DEBUG"
        )
