"""The spider that files quarantined bodies which a newer version of this project can read."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

from scrapy import Request, signals
from scrapy.http import Response

from miso_scrapy.archive import quarantine
from miso_scrapy.components import ArchiveSpider
from miso_scrapy.exceptions import Dropped
from miso_scrapy.extensions.connections import Connections
from miso_scrapy.feed.candidate import candidate_of, floor_to_interval
from miso_scrapy.feed.coverage import covers
from miso_scrapy.feed.ref_id import parse_ref_id
from miso_scrapy.feed.shape import NotJSON
from miso_scrapy.items import Snapshot
from miso_scrapy.spiders import refuse
from miso_scrapy.stats import LEFT_IN_QUARANTINE, Outcome
from miso_scrapy.store import AccessDenied, StoreUnavailable


class MisoRequeueSpider(ArchiveSpider):
    """Send every body in quarantine through the pipelines again, to file those that are valid now."""

    name = "miso_requeue"

    def __init__(self, **others: Any) -> None:
        super().__init__()
        refuse(others, self.name, "it has no arguments")

    async def start(self) -> AsyncIterator[Request]:
        """Yield a ``data:`` request per body in quarantine, which carries the snapshot.

        Items yielded here would bypass the engine: it would not limit their number, or wait for them.
        """
        store = Connections.of(self.crawler).store
        try:
            there = await asyncio.to_thread(lambda: list(store.entries(quarantine.QUARANTINE)))
            keys = [entry.key for entry in there if quarantine.is_body(entry.key)]
            self.crawler.stats.set_value(LEFT_IN_QUARANTINE, len(keys))
            for key in keys:
                if self.crawler.engine.needs_backout():
                    await self.crawler.signals.wait_for(signals.scheduler_empty)
                if snapshot := await asyncio.to_thread(self._read, key):
                    yield Request(
                        "data:,",
                        callback=self.parse,
                        dont_filter=True,
                        meta={"identifier": snapshot.identifier, "fetched": True},
                        cb_kwargs={"snapshot": snapshot},
                    )
        except StoreUnavailable as error:
            Connections.of(self.crawler).stop(error)

    def parse(self, response: Response, snapshot: Snapshot) -> Iterator[Snapshot]:
        """Yield *snapshot* with the token of its claim."""
        snapshot.token = response.meta["token"]
        yield snapshot

    def _read(self, key: str) -> Snapshot | None:
        store = Connections.of(self.crawler).store
        try:
            if (body := store.get(key)) is None:  # removed since it was listed
                self.crawler.stats.inc_value(LEFT_IN_QUARANTINE, -1)
                return None
            note = store.metadata(key)
            if not {"identifier", "source-url", "collected-at"} <= set(note):
                raise ValueError("the note beside it is missing; look at both, and remove them")
            return _reread(key, body, note)
        except (AccessDenied, OSError, EOFError, zlib.error, ValueError) as error:
            self.logger.error(
                "%s cannot be read, and stays in quarantine: %s", store.locate(key), error
            )
            return None


def _reread(key: str, body: bytes, note: dict[str, str]) -> Snapshot:
    """Return the *body* that is kept under *key*, with its metadata *note*, as a snapshot.

    Its candidate is the one that it was fetched for. If it does not cover that candidate, it is the
    interval of its own RefId. ``trouble`` is set if the body is still not a valid snapshot.
    """
    snapshot = Snapshot(
        candidate=candidate_of(note["identifier"]),
        body=gzip.decompress(body),
        source_url=note["source-url"],
        collected_at=datetime.fromisoformat(note["collected-at"]),
        quarantined=key,
    )
    try:
        snapshot.read()
    except NotJSON as error:
        snapshot.trouble = Dropped(Outcome.INVALID, f"{error}; it stays in quarantine")
        return snapshot
    assert snapshot.reading is not None
    if reason := snapshot.reading.problem:
        snapshot.trouble = Dropped(Outcome.INVALID, f"{reason}; it stays in quarantine")
    else:
        interval = parse_ref_id(snapshot.data["RefId"])
        if not covers(interval, snapshot.candidate):
            snapshot.candidate = floor_to_interval(interval)
    return snapshot
