"""Decompression that passes broken bodies on to FeedAccessMiddleware."""

from __future__ import annotations

from scrapy import Request
from scrapy.downloadermiddlewares.httpcompression import HttpCompressionMiddleware
from scrapy.http import Response

UNREADABLE = "unreadable"
"""The request's meta key for the error that decompression raised."""


class DecompressionMiddleware(HttpCompressionMiddleware):
    """Scrapy's HttpCompressionMiddleware, but a response that it cannot decompress is passed on.

    Other middlewares do not see an exception that ``process_response`` raises: it would end one
    candidate, and the next candidate would send another request at once.
    """

    def process_response(  # type: ignore[override]
        self, request: Request, response: Response
    ) -> Request | Response:
        """Return *response* decompressed; or unchanged, with the error in the request's meta."""
        try:
            return super().process_response(request, response)
        except Exception as error:  # noqa: BLE001  each format raises its own
            request.meta[UNREADABLE] = error
            return response
