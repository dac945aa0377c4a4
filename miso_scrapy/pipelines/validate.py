"""Validate: only a whole snapshot goes on."""

from __future__ import annotations

from typing import Any

from miso_scrapy.exceptions import Dropped
from miso_scrapy.feed.validation import problem
from miso_scrapy.items import Snapshot
from miso_scrapy.stats import Outcome


class ValidatePipeline:
    """Drop what was not fetched, is no JSON, or not of the shape that the schema says."""

    def __init__(self) -> None:
        self._valid: Any = object()
        """The snapshot that was last found valid: of a feed that did not change, it is the next too."""

    def process_item(self, item: Snapshot) -> Snapshot:
        """Return *item*, or drop it: failed where nothing was fetched, else invalid."""
        if item.trouble:
            raise item.trouble
        if item.data is not self._valid:
            if reason := problem(item.data):
                raise Dropped(
                    Outcome.INVALID,
                    f"{reason}; if the feed has changed its shape, please report it",
                )
            self._valid = item.data
        return item
