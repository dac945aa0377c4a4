"""Register: record a stored file and the message to send, in one atomic step."""

from __future__ import annotations

from scrapy.crawler import Crawler

from miso_scrapy.archive.record import Filed
from miso_scrapy.components import Component
from miso_scrapy.exceptions import Dropped
from miso_scrapy.extensions.connections import Connections
from miso_scrapy.registry.client import RegistryUnavailable
from miso_scrapy.stats import Outcome


class RegisterPipeline(Component):
    """Register each file, after it is stored."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self.connections = Connections.of(crawler)

    async def process_item(self, item: Filed) -> Filed:
        """Return *item* after registering it; drop it as failed if the registry is not available."""
        registry = self.connections.registry
        if registry is None:
            return item
        try:
            await self.connections.lasting(
                lambda: registry.commit(
                    item.identifier,
                    item.fingerprint,
                    self.connections.message(item),
                    candidate=item.also or None,
                )
            )
        except RegistryUnavailable as error:
            self.connections.stop(error)
            raise Dropped(
                Outcome.FAILED, f"stored at {item.location}; the next run registers it"
            ) from None
        return item
