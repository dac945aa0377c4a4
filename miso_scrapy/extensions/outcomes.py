"""Count how each candidate ended."""

from __future__ import annotations

import logging
from typing import Any

from scrapy import Spider, signals
from scrapy.crawler import Crawler

from miso_scrapy.items import Filed, Snapshot
from miso_scrapy.outcomes import CANDIDATES, Dropped, Outcome, count

logger = logging.getLogger(__name__)


class Outcomes:
    """Keep ``miso/stored``, ``miso/duplicate``, ``miso/invalid``...: they add up to
    ``miso/candidates``.

    What ends before it is an item is counted where it ends: skipped by the claim middleware, failed
    by the spider.
    """

    def __init__(self, crawler: Crawler) -> None:
        self.stats = crawler.stats
        connect = crawler.signals.connect
        connect(self._scraped, signal=signals.item_scraped)
        connect(self._dropped, signal=signals.item_dropped)
        connect(self._error, signal=signals.item_error)
        connect(self._closed, signal=signals.spider_closed)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Outcomes:
        """Make it for *crawler*."""
        return cls(crawler)

    def _scraped(self, item: Any) -> None:
        if isinstance(item, Filed):
            outcome = Outcome.DUPLICATE if item.adopted else Outcome.STORED
            self.stats.inc_value(outcome.stat)

    def _dropped(self, exception: BaseException) -> None:
        if isinstance(exception, Dropped):
            self.stats.inc_value(exception.outcome.stat)

    def _error(self, item: Any) -> None:
        if isinstance(item, Snapshot):
            self.stats.inc_value(Outcome.FAILED.stat)

    def _closed(self, spider: Spider, reason: str) -> None:
        for name in (CANDIDATES, *(outcome.stat for outcome in Outcome)):
            self.stats.inc_value(name, 0)
        ended = sum(self.stats.get_value(outcome.stat) for outcome in Outcome)
        missing = self.stats.get_value(CANDIDATES) - ended
        if missing and reason == "finished":
            logger.error("%s without an outcome: please report this", count(missing, "candidate"))
            self.stats.inc_value(Outcome.FAILED.stat, missing)
        elif missing:  # stopped: what was not fetched any more was no candidate of this run
            self.stats.inc_value(CANDIDATES, -missing)
        wanted = getattr(spider, "due_candidates", int)()
        if reason != "finished" and ended < wanted:
            self.stats.set_value("miso/unfinished", wanted - ended)
            logger.warning(
                "Stopped after %d of %s: run the same range again",
                ended,
                count(wanted, "candidate"),
            )
