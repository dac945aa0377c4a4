"""Validate: only a whole snapshot goes on."""

from __future__ import annotations

from miso_scrapy.exceptions import Dropped
from miso_scrapy.items import Snapshot
from miso_scrapy.stats import Outcome


class ValidatePipeline:
    """Drop what was not fetched, is not JSON, or does not have the shape that the schema describes."""

    def process_item(self, item: Snapshot) -> Snapshot:
        """Return *item*, or drop it: failed where nothing was fetched, else invalid."""
        if item.trouble:
            raise item.trouble
        assert item.reading is not None
        if item.reading.problem:
            raise Dropped(
                Outcome.INVALID,
                f"{item.reading.problem}; if the feed has changed its shape, please report it",
            )
        return item
