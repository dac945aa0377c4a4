"""Keep the bodies that cannot be filed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import Any

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.http import Response

from miso_scrapy.archive import quarantine
from miso_scrapy.archive.identity import Kind
from miso_scrapy.archive.record import Filed
from miso_scrapy.components import Component
from miso_scrapy.exceptions import Dropped, Stopped
from miso_scrapy.extensions.connections import Connections
from miso_scrapy.feed.shape import is_simulated
from miso_scrapy.items import Snapshot
from miso_scrapy.registry.client import RegistryUnavailable
from miso_scrapy.stats import LEFT_IN_QUARANTINE, Outcome
from miso_scrapy.store import StoreUnavailable

logger = logging.getLogger(__name__)

# The last bodies that were kept are not looked up again; a run may last for years.
_REMEMBERED = 100


class Quarantine(Component):
    """Keep the body of each invalid candidate, and of an uncovered one whose content is not stored.

    A body that `scrapy requeue` has filed is removed from quarantine. ``miso/left_in_quarantine`` counts
    the others.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._kept: deque[str] = deque(maxlen=_REMEMBERED)
        self._taken = 0
        """The number of bodies that stay because their candidates are registered with other content."""
        crawler.signals.connect(self._dropped, signal=signals.item_dropped)
        crawler.signals.connect(self._scraped, signal=signals.item_scraped)
        crawler.signals.connect(self._closed, signal=signals.spider_closed)

    @property
    def connections(self) -> Connections:
        """The run's connections."""
        return Connections.of(self.crawler)

    async def _dropped(self, item: Any, exception: BaseException) -> None:
        if not isinstance(item, Snapshot) or not isinstance(exception, Dropped):
            return
        if item.quarantined:
            if exception.outcome == Outcome.DUPLICATE:
                await self._let_go(item.quarantined)
            elif exception.outcome == Outcome.SKIPPED:
                self._taken += 1
            return
        try:
            if await self._belongs(item, exception.outcome):
                if is_simulated(item.data):  # it is invalid: the identity pipeline did not check it
                    await self.connections.identify(Kind.SIMULATED)
                await self._keep(item, str(exception))
        except (StoreUnavailable, RegistryUnavailable, Stopped) as error:
            logger.error("lost %s: its body cannot be kept: %s", item.identifier, error)

    async def _belongs(self, item: Snapshot, outcome: Outcome) -> bool:
        if outcome == Outcome.INVALID:
            return True
        if outcome != Outcome.UNCOVERED:
            return False
        registry = self.connections.registry
        if registry is None or item.reading is None:
            return True
        try:
            return not await registry.stored_as(item.reading.fingerprint)
        except RegistryUnavailable:
            return True  # better kept twice than lost

    async def _keep(self, item: Snapshot, reason: str) -> None:
        name = quarantine.hash_of(item.body)
        if name in self._kept:
            return
        self._kept.append(name)
        registry = self.connections.registry
        with contextlib.suppress(RegistryUnavailable):
            if registry is not None and await registry.is_quarantined(name):
                return
        try:
            key = await self.connections.lasting(
                lambda: asyncio.to_thread(
                    quarantine.keep,
                    self.connections.store,
                    item.body,
                    reason,
                    identifier=item.identifier,
                    collected_at=item.collected_at,
                    source_url=item.source_url,
                )
            )
        except (StoreUnavailable, Stopped):
            with contextlib.suppress(ValueError):  # so many others came since
                self._kept.remove(name)
            raise
        logger.info("kept the body of %s at %s", item.identifier, self._locate(key))
        with contextlib.suppress(RegistryUnavailable):  # its key has the hash: no second copy
            if registry is not None:
                await registry.quarantine(name)

    async def _scraped(self, item: Any, response: Response | None) -> None:
        snapshot = response.cb_kwargs.get("snapshot") if response else None
        if not isinstance(item, Filed) or not isinstance(snapshot, Snapshot):
            return  # not from `scrapy requeue`
        if item.fingerprint == snapshot.fingerprint:
            await self._let_go(snapshot.quarantined)
        else:  # there was a file with other content
            self._taken += 1

    def _closed(self) -> None:
        if self._taken:
            logger.warning(
                "%d left in quarantine, as other content is registered for the same candidate: copy "
                "what you need from %s before it expires there, or remove it",
                self._taken,
                self._locate(quarantine.QUARANTINE),
            )

    async def _let_go(self, key: str) -> None:
        try:
            await asyncio.to_thread(self.connections.store.delete, key)
            self.crawler.stats.inc_value(LEFT_IN_QUARANTINE, -1)
            if self.connections.registry is not None:
                await self.connections.registry.unquarantine(quarantine.hash_in(key))
        except (StoreUnavailable, RegistryUnavailable) as error:
            logger.error("%s is filed and still in quarantine: %s", self._locate(key), error)

    def _locate(self, key: str) -> str:
        return self.connections.store.locate(key)
