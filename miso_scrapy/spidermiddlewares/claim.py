"""Claim each candidate before it is fetched, and skip those that are registered already."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator

from scrapy import Request

from miso_scrapy.components import Component
from miso_scrapy.exceptions import Stopped
from miso_scrapy.extensions.connections import Connections
from miso_scrapy.registry.client import RegistryUnavailable, Step
from miso_scrapy.signals import candidate_skipped
from miso_scrapy.stats import CANDIDATES, Outcome
from miso_scrapy.store import StoreUnavailable

logger = logging.getLogger(__name__)

_WAIT = 0.1
# With follow=1: a candidate of another worker can take its five minutes.
_WAIT_FOLLOWING = 5.0


class ClaimMiddleware(Component):
    """Pass on the request of a candidate after claiming the candidate.

    Registered candidates are counted as skipped. Requests with ``fetched`` in their meta are an
    exception: they go on without a claim, as their content is known and is compared with the stored
    one. If another worker holds a candidate, the claim is tried again while no other request is ready,
    until that worker has registered the candidate or given up its claim, or its lease has run out.
    """

    async def process_start(self, start: AsyncIterator[Request]) -> AsyncIterator[Request]:
        """Yield the requests of *start* that this worker has to fetch."""
        archive = Connections.of(self.crawler)
        pause = _WAIT if archive.outages is None else _WAIT_FOLLOWING
        held: deque[Request] = deque()
        coming: asyncio.Task[Request | None] | None = None
        ended = False
        try:
            while held or not ended:
                # The next request of *start* has priority; held ones are tried while there is none.
                if not ended:
                    coming = coming or asyncio.create_task(_next(start))
                    await asyncio.wait({coming}, timeout=pause if held else None)
                else:
                    await asyncio.sleep(pause)
                if coming and coming.done():
                    wanted, coming = coming.result(), None
                    if wanted is None:
                        ended = True
                        continue
                    self.crawler.stats.inc_value(CANDIDATES)
                else:
                    wanted = held.popleft()
                step = await self._claim(archive, wanted)
                if _passes(step, wanted):
                    yield wanted
                elif step == Step.HELD:
                    held.append(wanted)
        finally:
            if coming:
                coming.cancel()

    async def _claim(self, archive: Connections, wanted: Request) -> Step:
        """Claim the candidate of *wanted*. Count the candidate if it is not fetched."""
        if archive.registry is None:
            return Step.CLAIMED
        identifier = wanted.meta["identifier"]
        outcome = Outcome.SKIPPED
        try:
            step, wanted.meta["token"] = await archive.lasting(lambda: archive.claim(identifier))
        except Stopped:
            return Step.LOST  # without an outcome
        except (RegistryUnavailable, StoreUnavailable) as error:
            archive.stop(error)
            step, outcome = Step.LOST, Outcome.FAILED
            logger.error(
                "%(outcome)s %(identifier)s: not fetched, as the run ends here",
                {"outcome": outcome, "identifier": identifier},
            )
        if step != Step.HELD and not _passes(step, wanted):
            self.crawler.stats.inc_value(outcome.stat)
            if outcome is Outcome.SKIPPED:
                self.crawler.signals.send_catch_log(candidate_skipped, identifier=identifier)
        return step


def _passes(step: Step, wanted: Request) -> bool:
    return step == Step.CLAIMED or (step == Step.REGISTERED and "fetched" in wanted.meta)


async def _next(start: AsyncIterator[Request]) -> Request | None:
    """Return the next request of *start*, or None at its end."""
    return await anext(start, None)
