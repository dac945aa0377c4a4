"""Politeness: within a minute the feed is fetched once, whatever the number of candidates.

Scrapy's HTTP cache serves the rest. Here is what it may keep, and where.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import tempfile
import time
from pathlib import Path
from typing import Any

from scrapy import Request, Spider
from scrapy.extensions.httpcache import DummyPolicy
from scrapy.http import Response
from scrapy.settings import BaseSettings
from scrapy.utils.response import response_from_dict

from miso_scrapy.feed.shape import error_in

logger = logging.getLogger(__name__)


class FeedCachePolicy(DummyPolicy):
    """Keep answers, not errors: neither a status other than 200 nor a body that is an error."""

    def should_cache_response(self, response: Response, request: Request) -> bool:
        """Return whether *response* may serve the candidates of the next minute."""
        return response.status == 200 and error_in(response.body) is None


class FeedCacheStorage:
    """One file an answer, below MISO_DATA_DIR, so that the runs of one archive share it.

    Each file is replaced whole. Scrapy's own storage writes an answer's parts one after the other:
    a kill in between leaves a new time beside an old body, which would be filed as new.
    """

    def __init__(self, settings: BaseSettings) -> None:
        self.directory = Path(settings["MISO_DATA_DIR"]).absolute() / ".httpcache"
        self.lifetime = settings.getint("HTTPCACHE_EXPIRATION_SECS")
        self._read: tuple[Any, float, dict[str, Any]] = (None, 0, {})
        """The file that was last read, known again by its inode and time, and what it holds."""

    def open_spider(self, spider: Spider) -> None:
        """Take the fingerprinter that tells requests apart."""
        self._fingerprinter = spider.crawler.request_fingerprinter

    def close_spider(self, spider: Spider) -> None:
        """Keep what is there, for the next run."""

    def retrieve_response(self, spider: Spider, request: Request) -> Response | None:
        """Return the answer to *request* that is kept, if it is young enough."""
        path = self._path(request)
        try:
            status = path.stat()
            file = (path, status.st_ino, status.st_mtime_ns)
            if file != self._read[0]:
                self._read = (file, *pickle.loads(path.read_bytes()))  # noqa: S301
            _, fetched_at, answer = self._read
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            return None
        if not 0 <= time.time() - fetched_at <= self.lifetime:
            return None
        request.meta["cache_timestamp"] = fetched_at
        return response_from_dict(answer)

    def store_response(self, spider: Spider, request: Request, response: Response) -> None:
        """Keep *response*, or go without where the disk does not take it."""
        temporary = None
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=self.directory)
            with os.fdopen(descriptor, "wb") as file:
                pickle.dump((time.time(), response.to_dict()), file)
            Path(temporary).replace(self._path(request))
        except OSError as error:
            logger.warning(
                "The answer is not kept for the next minute: %s; check MISO_DATA_DIR", error
            )
            if temporary:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink()

    def _path(self, request: Request) -> Path:
        return self.directory / self._fingerprinter.fingerprint(request).hex()
