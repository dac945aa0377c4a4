"""Store: write the gzipped document to the archive, without overwriting a file."""

from __future__ import annotations

import asyncio
import contextlib

from scrapy.crawler import Crawler

from miso_scrapy.archive.document import UnreadableDocument, collection_metadata, key_of, pack
from miso_scrapy.archive.record import Filed, filed_from
from miso_scrapy.components import Component, spider_of
from miso_scrapy.exceptions import Dropped
from miso_scrapy.extensions.connections import Connections
from miso_scrapy.feed.candidate import candidate_of
from miso_scrapy.feed.coverage import covers
from miso_scrapy.feed.ref_id import iso_utc, parse_ref_id
from miso_scrapy.items import Snapshot
from miso_scrapy.stats import Outcome
from miso_scrapy.store import Stored, StoreUnavailable


class StorePipeline(Component):
    """File a snapshot. An existing file is kept and adopted, unless the run has ``force=1``."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self.connections = Connections.of(crawler)
        # With follow=1, snapshots wait here for a store that is down, and are stored in their order.
        self._one_at_a_time = asyncio.Lock() if spider_of(crawler).follow else None

    async def process_item(self, item: Snapshot) -> Filed:
        """Return the record of the file, or drop the candidate as failed."""
        if self._one_at_a_time and self._one_at_a_time.locked():
            item.reading = None  # read again afterwards: it takes ten times the memory of the body
        async with self._one_at_a_time or contextlib.nullcontext():
            if item.reading is None:
                item.read()
            return await self._file(item)

    async def _file(self, item: Snapshot) -> Filed:
        assert item.reading is not None
        store, key = self.connections.store, key_of(item.home)
        candidate = candidate_of(item.home)
        covered = item.covered
        if item.home != item.identifier:
            covered = covers(parse_ref_id(item.data["RefId"]), candidate)
        metadata = collection_metadata(
            candidate=candidate,
            collected_at=item.collected_at,
            source_url=item.source_url,
            source_ref_id=item.reading.source_ref_id,
            body_size=len(item.body),
            covered=covered,
        )
        body = pack(item.data, metadata)
        labels = {
            "fingerprint": item.fingerprint,
            "source-ref-id": item.reading.source_ref_id or "",
        }
        try:
            stored = await self.connections.lasting(
                lambda: asyncio.to_thread(
                    store.put, key, body, labels, overwrite=self.connections.force
                )
            )
            filed = (
                Filed(
                    identifier=item.home,
                    location=stored.location,
                    fingerprint=item.fingerprint,
                    ref_id=item.data["RefId"],
                    candidate=iso_utc(candidate),
                    collected_at=metadata["collected_at"],
                    source_url=item.source_url,
                    covered=covered,
                    etag=stored.etag,
                    size=len(body),
                    body_size=len(item.body),
                )
                if stored.created
                else await self._adopt(item, key, stored, body)
            )
        except StoreUnavailable as error:
            raise self.connections.refused(error) from None
        self.connections.refusals = 0
        if item.home != item.identifier:
            filed.also = item.identifier
        return filed

    async def _adopt(self, item: Snapshot, key: str, stored: Stored, ours: bytes) -> Filed:
        there = await self.connections.lasting(
            lambda: asyncio.to_thread(self.connections.store.get, key)
        )
        try:
            if there is None:
                raise UnreadableDocument("it was removed meanwhile")
            filed = filed_from(item.home, stored.location, there)
        except UnreadableDocument as error:
            raise Dropped(
                Outcome.FAILED,
                f"{stored.location} is there and cannot be read: {error}; move it away, or file it "
                "again with force=1",
            ) from None
        if item.home != item.identifier and filed.fingerprint != item.fingerprint:
            raise StoreUnavailable(f"{stored.location} was taken by other content meanwhile")
        # The same bytes were written by an earlier try of this put; its confirmation did not arrive.
        filed.adopted = there != ours
        return filed
