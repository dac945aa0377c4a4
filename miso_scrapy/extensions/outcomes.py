"""Count how each candidate ended."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from scrapy import signals
from scrapy.crawler import Crawler

from miso_scrapy.archive.record import Filed
from miso_scrapy.components import ArchiveSpider, Component
from miso_scrapy.exceptions import Dropped
from miso_scrapy.items import Snapshot
from miso_scrapy.stats import CANDIDATES, EXPLAINED, REQUESTS, SHARED, UNFINISHED, Outcome
from miso_scrapy.text.wording import count

logger = logging.getLogger(__name__)

# Seconds after which a group is complete if no other candidate joins it.
_GROUP_ENDS = 2


@dataclass
class _Group:
    """Candidates that ended for the same reason, and are logged together."""

    end: Dropped
    first: str
    last: str
    number: int = 0


class Outcomes(Component):
    """Keep ``miso/stored``, ``miso/duplicate``, ``miso/invalid``... in the stats.

    They add up to ``miso/candidates``. Candidates that end together are logged in one line. The claim
    middleware counts the candidates that end before there is an item.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self.stats = crawler.stats
        self._group: _Group | None = None
        self._timer: asyncio.TimerHandle | None = None
        connect = crawler.signals.connect
        connect(self._scraped, signal=signals.item_scraped)
        connect(self._dropped, signal=signals.item_dropped)
        connect(self._error, signal=signals.item_error)
        connect(self._closed, signal=signals.spider_closed)

    def _scraped(self, item: Any) -> None:
        if isinstance(item, Filed):
            outcome = Outcome.DUPLICATE if item.adopted else Outcome.STORED
            self.stats.inc_value(outcome.stat)

    def _dropped(self, item: Any, exception: BaseException) -> None:
        if isinstance(exception, Dropped):
            self.stats.inc_value(exception.outcome.stat)
            if exception.together:
                self._add(item.identifier, exception)

    def _add(self, identifier: str, end: Dropped) -> None:
        """Add a candidate to the group. The next candidates of a group follow within a short time."""
        if self._group and str(self._group.end) != str(end):
            self._tell_group()
        if self._group is None:
            self._group = _Group(end, identifier, identifier)
        self._group.first = min(self._group.first, identifier)
        self._group.last = max(self._group.last, identifier)
        self._group.number += 1
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(_GROUP_ENDS, self._tell_group)

    def _tell_group(self) -> None:
        if self._timer:
            self._timer.cancel()
        group, self._group = self._group, None
        if group is None:
            return
        args = {"outcome": group.end.outcome, "identifier": group.first, "reason": group.end}
        message = "%(outcome)s %(identifier)s: %(reason)s"
        if group.number > 1:
            args |= {"candidates": group.number, "last": group.last}
            message = (
                "%(outcome)s %(candidates)d candidates, %(identifier)s to %(last)s: %(reason)s"
            )
        logger.log(logging.getLevelNamesMapping()[group.end.log_level or "ERROR"], message, args)

    def _error(self, item: Any) -> None:
        if isinstance(item, Snapshot):
            self.stats.inc_value(Outcome.FAILED.stat)

    def _closed(self, spider: ArchiveSpider, reason: str) -> None:
        self._tell_group()
        for name in (CANDIDATES, REQUESTS, SHARED, *(outcome.stat for outcome in Outcome)):
            self.stats.inc_value(name, 0)
        ended = sum(self.stats.get_value(outcome.stat) for outcome in Outcome)
        missing = self.stats.get_value(CANDIDATES) - ended
        if missing and reason == "finished":
            logger.error("%s without an outcome: please report this", count(missing, "candidate"))
            self.stats.inc_value(Outcome.FAILED.stat, missing)
        elif missing:  # stopped: candidates that were not fetched do not count for this run
            self.stats.inc_value(CANDIDATES, -missing)
        wanted = spider.due_candidates()
        if reason != "finished" and ended < wanted:
            self.stats.set_value(UNFINISHED, wanted - ended)
            if reason not in EXPLAINED:  # a line in the log says what to do
                logger.warning(
                    "Stopped after %d of %s: run the same range again",
                    ended,
                    count(wanted, "candidate"),
                )
