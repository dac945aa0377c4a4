"""Bare Scrapy: the same requests, and `response.json()`. `scrapy runspider bare.py -a requests=288`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

from scrapy import Request, Spider
from scrapy.http import Response


class BareSpider(Spider):
    """As little as a spider can do with the feed."""

    name = "bare"

    def __init__(self, requests: str, **others: Any) -> None:
        super().__init__(**others)
        self.requests = int(requests)

    async def start(self) -> AsyncIterator[Request]:
        """Yield the requests."""
        for _ in range(self.requests):
            yield Request(os.environ["MISO_API_URL"], dont_filter=True)

    def parse(self, response: Response) -> None:
        """Read the answer."""
        response.json()
