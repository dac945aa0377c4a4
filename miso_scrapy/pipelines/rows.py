"""Rows: count the rows that are filed but cannot be used."""

from __future__ import annotations

import logging

from scrapy.crawler import Crawler

from miso_scrapy.components import Component
from miso_scrapy.feed.ref_id import parse_ref_id
from miso_scrapy.feed.rows import RowReader
from miso_scrapy.items import Snapshot
from miso_scrapy.stats import EMPTY_SNAPSHOTS, UNUSED_ROWS

logger = logging.getLogger(__name__)


class RowsPipeline(Component):
    """Count the rows that readers ignore, and the snapshots without usable rows; warn once of each kind.

    Such snapshots are filed unchanged, so no data of the feed is lost.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self.stats = crawler.stats
        self.stats.inc_value(UNUSED_ROWS, 0)
        self.stats.inc_value(EMPTY_SNAPSHOTS, 0)
        self._reader = RowReader()
        self._told: set[str] = set()

    def process_item(self, item: Snapshot) -> Snapshot:
        """Return *item* unchanged."""
        rows = self._reader.read(parse_ref_id(item.data["RefId"]), item.data)
        self.stats.inc_value(UNUSED_ROWS, len(rows.unused))
        for what, row in rows.unused:
            if what not in self._told:
                self._told.add(what)
                logger.warning(
                    "Rows of the snapshot cannot be used: %s, such as %s, first in %s",
                    what,
                    row,
                    item.identifier,
                )
        if not (rows.load or rows.forecast or rows.cleared):
            self.stats.inc_value(EMPTY_SNAPSHOTS)
            if EMPTY_SNAPSHOTS not in self._told:
                self._told.add(EMPTY_SNAPSHOTS)
                logger.warning(
                    "No row of the snapshot can be used: it is of %s, first in %s",
                    item.data["RefId"],
                    item.identifier,
                )
        return item
