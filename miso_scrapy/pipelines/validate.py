"""Validate: drop items that are not a complete snapshot."""

from __future__ import annotations

from miso_scrapy.exceptions import Dropped
from miso_scrapy.items import Snapshot
from miso_scrapy.stats import Outcome


class ValidatePipeline:
    """Drop items that were not fetched, are not JSON, or do not match the schema."""

    def process_item(self, item: Snapshot) -> Snapshot:
        """Return *item*, or drop it: as failed if it was not fetched, as invalid otherwise."""
        if item.trouble:
            raise item.trouble
        assert item.reading is not None
        if item.reading.problem:
            raise Dropped(
                Outcome.INVALID,
                f"{item.reading.problem}; if the feed has changed its shape, please report it",
            )
        return item
