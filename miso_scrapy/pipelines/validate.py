"""Validate: only a whole snapshot goes on."""

from __future__ import annotations

from miso_scrapy.feed.validation import problem
from miso_scrapy.items import Snapshot
from miso_scrapy.outcomes import Dropped, Outcome


class ValidatePipeline:
    """Drop what was not fetched, is no JSON, or not of the shape that the schema says."""

    def process_item(self, item: Snapshot) -> Snapshot:
        """Return *item*, or drop it: failed where nothing was fetched, else invalid."""
        if item.trouble:
            raise item.trouble
        if reason := problem(item.data):
            raise Dropped(
                Outcome.INVALID, f"{reason}; if the feed has changed its shape, please report it"
            )
        return item
