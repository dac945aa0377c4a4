"""Dedupe: register content that is stored already, without filing it again."""

from __future__ import annotations

import asyncio

from scrapy.crawler import Crawler

from miso_scrapy.components import Component
from miso_scrapy.exceptions import Dropped
from miso_scrapy.extensions.connections import Connections
from miso_scrapy.extensions.outages import STORE
from miso_scrapy.items import Snapshot
from miso_scrapy.registry.client import RegistryUnavailable, Step
from miso_scrapy.stats import Outcome
from miso_scrapy.store import StoreUnavailable

_WAIT = 0.1


class DedupePipeline(Component):
    """Compute the fingerprint, and claim the content for the candidate."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self.connections = Connections.of(crawler)

    async def process_item(self, item: Snapshot) -> Snapshot:
        """Return *item* with its fingerprint and home, or drop it as a duplicate."""
        assert item.reading is not None
        item.fingerprint = item.reading.fingerprint
        item.home = item.identifier
        registry = self.connections.registry
        if registry is None:
            return item
        outages = self.connections.outages
        patience = 2 * self.connections.options.claim_ttl
        try:
            while True:
                step, about = await self.connections.lasting(
                    lambda: registry.hold(
                        item.identifier, item.token, item.fingerprint, force=self.connections.force
                    )
                )
                match step:
                    case Step.STORE:
                        item.home = about
                        return item
                    case Step.DUPLICATE:
                        raise Dropped(
                            Outcome.DUPLICATE, f"same content as {about}", log_level="INFO"
                        )
                    case Step.HELD:
                        # The lease of a running worker never runs out. If two workers wait for each
                        # other, one must give up. One that waits for the store is waited for.
                        if patience < 0:
                            raise Dropped(
                                Outcome.FAILED,
                                f"another worker is storing the same content, as {about}; run the "
                                "same range again",
                            )
                        if outages is None:
                            await asyncio.sleep(_WAIT)
                            patience -= _WAIT
                        else:
                            await outages.pause(1)
                            patience -= STORE not in outages
                    case Step.LOST:
                        # This process was suspended for longer than its lease, or there was no claim.
                        step, item.token = await self.connections.lasting(
                            lambda: self.connections.claim(item.identifier)
                        )
                        match step:
                            case Step.REGISTERED:
                                raise await self._registered(item)
                            case Step.HELD:
                                await asyncio.sleep(_WAIT)
        except (RegistryUnavailable, StoreUnavailable) as error:
            self.connections.stop(error)
            raise Dropped(Outcome.FAILED, "not filed, as the run ends here") from None

    async def _registered(self, item: Snapshot) -> Dropped:
        """Return the exception that drops *item*, as its candidate is registered already."""
        assert self.connections.registry is not None
        if item.quarantined and not await self.connections.registry.stored_as(item.fingerprint):
            reason = "registered with other content; this stays in quarantine"
            return Dropped(Outcome.SKIPPED, reason, log_level="INFO")
        return Dropped(Outcome.DUPLICATE, "filed by another run", log_level="INFO")
