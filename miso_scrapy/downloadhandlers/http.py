"""The download handler for HTTP, which a followed run does not wait for when it is stopped."""

from __future__ import annotations

from scrapy import Request
from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler
from scrapy.http import Response

from miso_scrapy.extensions.connections import Connections


class StoppableDownloadHandler(HTTP11DownloadHandler):
    """Scrapy's handler. Scrapy waits for requests in progress, for DOWNLOAD_TIMEOUT at most."""

    async def download_request(self, request: Request) -> Response:
        """Download *request*. Raises Stopped if a followed run is stopped and there is no answer."""
        connections = self.crawler.get_extension(Connections)
        download = super().download_request(request)
        if connections is None or connections.outages is None:
            return await download
        return await connections.unless_stopped(download)
