"""Claim each candidate before it is fetched: what is registered, or another worker's, is not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

from scrapy import Request
from scrapy.crawler import Crawler

from miso_scrapy.extensions.archive import Archive
from miso_scrapy.items import Snapshot
from miso_scrapy.outcomes import CANDIDATES, Outcome
from miso_scrapy.registry.client import RegistryUnavailable, Step
from miso_scrapy.store import StoreUnavailable

logger = logging.getLogger(__name__)

_WAIT = 0.1


class ClaimMiddleware:
    """Let a candidate's request, or snapshot from the quarantine, through once it is claimed.

    Registered candidates are counted as skipped. Those that another worker holds are left until the
    end of the range; then this worker waits for each, and takes it over if its lease runs out.
    """

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> ClaimMiddleware:
        """Make it for *crawler*."""
        return cls(crawler)

    async def process_start(self, start: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Yield the requests of *start* whose candidates are this worker's."""
        archive = self.crawler.get_extension(Archive)
        if archive is None:  # scrapy check
            async for request in start:
                yield request
            return
        held: list[Request | Snapshot] = []
        async for wanted in start:
            self.crawler.stats.inc_value(CANDIDATES)
            step = await self._claim(archive, wanted)
            if step == Step.CLAIMED:
                yield wanted
            elif step == Step.HELD:
                held.append(wanted)
        for wanted in held:
            while (step := await self._claim(archive, wanted)) == Step.HELD:
                await asyncio.sleep(_WAIT)
            if step == Step.CLAIMED:
                yield wanted

    async def _claim(self, archive: Archive, wanted: Request | Snapshot) -> Step:
        """Claim the candidate; count it where it ends here."""
        if archive.registry is None:
            return Step.CLAIMED
        identifier = wanted.meta["identifier"] if isinstance(wanted, Request) else wanted.identifier
        outcome = Outcome.SKIPPED
        try:
            step = await archive.claim(identifier)
        except (RegistryUnavailable, StoreUnavailable) as error:
            archive.stop(error)
            step, outcome = Step.LOST, Outcome.FAILED
            logger.error(
                "%(outcome)s %(identifier)s: not fetched, as the run ends here",
                {"outcome": outcome, "identifier": identifier},
            )
        if step not in (Step.CLAIMED, Step.HELD):
            self.crawler.stats.inc_value(outcome.stat)
        return step
