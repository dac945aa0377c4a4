"""Send the same requests with bare Scrapy: `scrapy runspider bare.py -a requests=288`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

from scrapy import Request, Spider
from scrapy.http import Response


class BareSpider(Spider):
    """A spider that requests the feed, and only parses the JSON."""

    name = "bare"

    def __init__(self, requests: str, **others: Any) -> None:
        super().__init__(**others)
        self.requests = int(requests)

    async def start(self) -> AsyncIterator[Request]:
        """Yield the requests."""
        for _ in range(self.requests):
            yield Request(os.environ["MISO_API_URL"], dont_filter=True)

    def parse(self, response: Response) -> None:
        """Parse the answer."""
        response.json()
