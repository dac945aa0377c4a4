"""What is in quarantine, once more: for after a fix."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from scrapy import Spider

from miso_scrapy import quarantine
from miso_scrapy.extensions.archive import Archive
from miso_scrapy.items import Snapshot
from miso_scrapy.store import StoreUnavailable


class MisoRequeueSpider(Spider):
    """Send every body in quarantine through the pipelines again: what now validates is filed."""

    name = "miso_requeue"

    async def start(self) -> AsyncIterator[Any]:
        """Yield what is in quarantine, as snapshots."""
        store = Archive.of(self.crawler).store
        try:
            keys = await asyncio.to_thread(lambda: list(store.keys(quarantine.QUARANTINE)))
            for key in filter(quarantine.is_body, keys):
                if snapshot := await asyncio.to_thread(self._read, key):
                    yield snapshot
            # Without requests, the engine would notice the end of the last item 5 s late.
            while (slot := self.crawler.engine.scraper.slot) and not slot.is_idle():
                await asyncio.sleep(0.02)
        except StoreUnavailable as error:
            Archive.of(self.crawler).stop(error)

    def _read(self, key: str) -> Snapshot | None:
        store = Archive.of(self.crawler).store
        body, note = store.get(key), store.metadata(key)
        if body is None or not note:
            self.logger.error("%s cannot be read: it stays in quarantine", store.locate(key))
            return None
        return quarantine.reread(key, body, note)
