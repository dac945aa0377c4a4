"""Ask the feed again for a candidate while it still has the snapshot before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.http import Response

from miso_scrapy.components import Component, spider_of
from miso_scrapy.exceptions import Stopped
from miso_scrapy.extensions.connections import Connections
from miso_scrapy.feed.candidate import INTERVAL
from miso_scrapy.feed.turns import Again, Answer
from miso_scrapy.items import Snapshot
from miso_scrapy.options import MISO_ASKS
from miso_scrapy.registry.client import RegistryUnavailable
from miso_scrapy.text.masking import masked_url


class AskAgainMiddleware(Component):
    """Replace a snapshot whose content is stored already by a request for the same candidate.

    MISO publishes about every five minutes, and a followed run asks every five minutes. Where the feed
    has not moved yet, its next snapshot may come and go before the next candidate is due. So the feed is
    asked again at each turn until it has moved or the next candidate is due; then the candidate is a
    duplicate.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        spider = spider_of(crawler)
        if not spider.reaches_ahead or spider.force:
            raise NotConfigured
        self.connections = Connections.of(crawler)
        options = self.connections.options
        self._link = Request(options.api_url).url
        self._publish_delay = timedelta(seconds=options.publish_delay)
        # Without a limit on requests, once a minute is enough.
        self._pause = timedelta(seconds=0 if options.min_interval else MISO_ASKS)
        self._last = ""
        """The fingerprint of the last snapshot that was passed on. It may not be stored yet."""

    async def process_spider_output(
        self, response: Response, result: AsyncIterator[Any]
    ) -> AsyncIterator[Any]:
        """Yield each item of *result*, or the request that replaces it."""
        async for item in result:
            if isinstance(item, Snapshot) and await self._is_before(item):
                yield self._again(response, item)
            else:
                yield item

    async def _is_before(self, item: Snapshot) -> bool:
        """Return whether the content of *item* is known, and there is time to ask again."""
        if item.trouble or item.reading is None or item.reading.problem:
            return False
        content = item.reading.fingerprint
        in_time = datetime.now(UTC) < self._until(item) and not self.connections.ending
        if in_time and (content == self._last or await self._is_stored(content)):
            return True
        self._last = content
        return False

    async def _is_stored(self, content: str) -> bool:
        registry = self.connections.registry
        if registry is None:
            return False
        try:
            stored = await self.connections.lasting(lambda: registry.stored_as(content))
        except (RegistryUnavailable, Stopped):  # the next step reports it
            return False
        return stored is not None

    def _until(self, item: Snapshot) -> datetime:
        """Return when the next candidate is due."""
        return item.candidate + INTERVAL + self._publish_delay

    def _again(self, response: Response, item: Snapshot) -> Request:
        request = response.request
        assert request is not None
        before = Answer(item.body, masked_url(response.url), item.collected_at)
        again = Again(before, self._until(item), datetime.now(UTC) + self._pause)
        kept = {name: request.meta.get(name) for name in ("identifier", "came_due", "token")}
        return request.replace(url=self._link, meta={**kept, "again": again})
