"""Retry what may be good a moment later: with exponential backoff, jitter, and Retry-After."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.retry import RetryMiddleware
from scrapy.http import Response

from miso_scrapy.extensions.archive import Archive
from miso_scrapy.feed.shape import error_in
from miso_scrapy.options import Options

MAX_BACKOFF = 60.0
# A server that asks for longer is taken at its word: the next interval's run comes sooner.
MAX_RETRY_AFTER = 300.0


class BackoffRetryMiddleware(RetryMiddleware):
    """Scrapy's retries, but spaced, and for a 200 whose body is an error as well.

    The wait is spent here, with the request in flight: nothing else asks a feed that is in trouble.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler.settings)
        self.crawler = crawler
        self.backoff = Options.from_settings(crawler.settings).retry_backoff

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> BackoffRetryMiddleware:
        """Make it for *crawler*."""
        return cls(crawler)

    async def process_response(  # type: ignore[override]
        self, request: Request, response: Response
    ) -> Request | Response:
        """Retry *response* if it is an error that may pass."""
        reason: str | None = None
        if request.meta.get("dont_retry", False):
            return response
        if response.status >= 500 or response.status in self.retry_http_codes:
            reason = f"HTTP {response.status}"
        elif response.status == 200:
            reason = error_in(response.body)
        if reason is None:
            return response
        after = _retry_after(response)
        if after is not None and after > MAX_RETRY_AFTER:
            return response
        return await self._retry_later(request, reason, after) or response

    async def process_exception(  # type: ignore[override]
        self, request: Request, exception: Exception
    ) -> Request | None:
        """Retry a time-out, a reset, a cut-off body."""
        if isinstance(exception, self.exceptions_to_retry):
            return await self._retry_later(request, exception, None)
        return None

    async def _retry_later(
        self, request: Request, reason: str | Exception, after: float | None
    ) -> Request | None:
        retry = self._retry(request, reason)
        if retry is None:
            return None
        retry.meta["dont_cache"] = request.meta.get("dont_cache", False)
        tries = retry.meta["retry_times"]
        wait = min(self.backoff * 2 ** (tries - 1), MAX_BACKOFF) * random.uniform(0.5, 1)  # noqa: S311
        return retry if await self._sleep(max(wait, after or 0)) else None

    async def _sleep(self, seconds: float) -> bool:
        """Wait; False if the run is being stopped meanwhile."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while not self._stopping() and (left := until - loop.time()) > 0:
            await asyncio.sleep(min(left, 0.2))
        return not self._stopping()

    def _stopping(self) -> bool:
        archive = self.crawler.get_extension(Archive)
        return not self.crawler.crawling or (archive is not None and archive.stopping)


def _retry_after(response: Response) -> float | None:
    """Return the seconds that Retry-After asks for: a number, or a date (RFC 9110, 10.2.3)."""
    text = (response.headers.get("Retry-After") or b"").decode("latin-1").strip()
    if text.isdecimal():
        return float(text)
    try:
        return (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None
