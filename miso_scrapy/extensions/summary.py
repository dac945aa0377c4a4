"""Log a summary of the run in one line."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
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
    owed and lost, and the number of bodies left in quarantine. LOG_FORMAT=json makes fields of these.

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
        figures = self._figures()
        outcomes = ", ".join(
            f"{figures[outcome]} {outcome}" for outcome in Outcome if figures[outcome]
        )
        line = count(figures["candidates"], "candidate")
        if outcomes:
            line += f": {outcomes}"
        if stored := figures["stored_bytes"]:
            line += f"; {stored:,} bytes stored"
        if newest := figures.get("newest_interval"):
            age = timedelta(seconds=figures["newest_age_seconds"])
            line += f"; the newest snapshot, of {newest}, is {spell(age)} old"
        for name in ("owed", "lost"):
            if messages := figures[name]:
                line += f"; {count(messages, 'message')} {name}"
        if left := figures["left_in_quarantine"]:
            line += f"; {left} left in quarantine"
        logger.info("%(line)s", {"line": line, "figures": figures})

    def _figures(self) -> dict[str, Any]:
        """Return the figures of the run, by the name of their stat without ``miso/``.

        ``newest_interval`` and ``newest_age_seconds``, its age now, are there if the feed gave one.
        """
        stats = self.crawler.stats
        figures: dict[str, Any] = {
            name.removeprefix("miso/"): stats.get_value(name, 0)
            for name in (
                CANDIDATES,
                *(outcome.stat for outcome in Outcome),
                STORED_BYTES,
                REQUESTS,
                SHARED,
                OWED,
                LOST,
                LEFT_IN_QUARANTINE,
            )
        }
        if newest := stats.get_value(NEWEST_INTERVAL):
            age = datetime.now(UTC) - parse_ref_id(newest)
            figures |= {"newest_interval": newest, "newest_age_seconds": round(age.total_seconds())}
        return figures
