"""Decompression that leaves it to FeedAccessMiddleware what a broken body means."""

from __future__ import annotations

from scrapy import Request
from scrapy.downloadermiddlewares.httpcompression import HttpCompressionMiddleware
from scrapy.http import Response

UNREADABLE = "unreadable"
"""The request's meta key for why its response could not be decompressed."""


class DecompressionMiddleware(HttpCompressionMiddleware):
    """Scrapy's HttpCompressionMiddleware, which passes on the response that it cannot decompress.

    What a middleware raises for a response, no other middleware sees: the failure would end one
    candidate, and the next one would ask the feed again.
    """

    def process_response(  # type: ignore[override]
        self, request: Request, response: Response
    ) -> Request | Response:
        """Return *response* decompressed, or as it is, with the reason in the request's meta."""
        try:
            return super().process_response(request, response)
        except Exception as error:  # noqa: BLE001  each format has errors of its own
            request.meta[UNREADABLE] = error
            return response
