"""Politeness: within a minute the feed is fetched once, whatever the number of candidates.

Scrapy's HTTP cache serves the rest. Here is what it may keep, and where.
"""

from __future__ import annotations

import logging
from pathlib import Path

from scrapy import Request, Spider
from scrapy.extensions.httpcache import DummyPolicy, FilesystemCacheStorage
from scrapy.http import Response
from scrapy.settings import BaseSettings

from miso_scrapy.feed.shape import error_in

logger = logging.getLogger(__name__)


class FeedCachePolicy(DummyPolicy):
    """Keep answers, not errors: neither a status other than 200 nor a body that is an error."""

    def should_cache_response(self, response: Response, request: Request) -> bool:
        """Return whether *response* may serve the candidates of the next minute."""
        return response.status == 200 and error_in(response.body) is None


class FeedCacheStorage(FilesystemCacheStorage):
    """The cache below MISO_DATA_DIR, so that the runs of one archive share it."""

    def __init__(self, settings: BaseSettings) -> None:
        # An absolute path: Scrapy resolves others by scrapy.cfg, which a deployed egg does not have.
        super().__init__(
            BaseSettings(
                {
                    "HTTPCACHE_DIR": str(Path(settings["MISO_DATA_DIR"]).absolute() / ".httpcache"),
                    "HTTPCACHE_EXPIRATION_SECS": settings.getint("HTTPCACHE_EXPIRATION_SECS"),
                    "HTTPCACHE_GZIP": settings.getbool("HTTPCACHE_GZIP"),
                }
            )
        )

    def store_response(self, spider: Spider, request: Request, response: Response) -> None:
        """Keep *response*, or go without where the disk does not take it."""
        try:
            super().store_response(spider, request, response)
        except OSError as error:
            logger.warning(
                "The answer is not kept for the next minute: %s; check MISO_DATA_DIR", error
            )
