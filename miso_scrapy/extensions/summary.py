"""Log a summary of the run in one line."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from scrapy import signals
from scrapy.crawler import Crawler

from miso_scrapy.archive.record import Filed
from miso_scrapy.components import Component
from miso_scrapy.feed.ref_id import parse_ref_id
from miso_scrapy.stats import (
    CANDIDATES,
    LEFT_IN_QUARANTINE,
    LOST,
    NEWEST_INTERVAL,
    OWED,
    REQUESTS,
    SHARED,
    STORED_BYTES,
    Outcome,
)
from miso_scrapy.text.wording import count, spell

logger = logging.getLogger(__name__)


class Summary(Component):
    """Log the candidates, their outcomes, the bytes stored, the age of the newest snapshot, the messages
    owed and lost, and the number of bodies left in quarantine.

    Keeps ``miso/stored_bytes`` in the stats.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        crawler.signals.connect(self._scraped, signal=signals.item_scraped)
        # After spider_closed: its handlers count the messages that are owed.
        crawler.signals.connect(self._stopped, signal=signals.engine_stopped)

    def _scraped(self, item: Any) -> None:
        if isinstance(item, Filed) and not item.adopted:
            self.crawler.stats.inc_value(STORED_BYTES, item.size)

    def _stopped(self) -> None:
        stats = self.crawler.stats
        outcomes = ", ".join(
            f"{number} {outcome}"
            for outcome in Outcome
            if (number := stats.get_value(outcome.stat))
        )
        line = count(stats.get_value(CANDIDATES, 0), "candidate")
        if outcomes:
            line += f": {outcomes}"
        if stored := stats.get_value(STORED_BYTES):
            line += f"; {stored:,} bytes stored"
        if newest := stats.get_value(NEWEST_INTERVAL):
            age = datetime.now(UTC) - parse_ref_id(newest)
            line += f"; the newest snapshot, of {newest}, is {spell(age)} old"
        requests, shared = stats.get_value(REQUESTS, 0), stats.get_value(SHARED, 0)
        for name, what in ((OWED, "owed"), (LOST, "lost")):
            if messages := stats.get_value(name):
                line += f"; {count(messages, 'message')} {what}"
        if left := stats.get_value(LEFT_IN_QUARANTINE):
            line += f"; {left} left in quarantine"
        logger.info("%(line)s", {"line": line, "requests": requests, "shared": shared})
