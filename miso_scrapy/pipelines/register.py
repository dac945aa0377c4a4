"""Register: what is safely stored, and the message that it owes, in one atomic step."""

from __future__ import annotations

from scrapy.crawler import Crawler

from miso_scrapy.archive.record import Filed
from miso_scrapy.exceptions import Dropped
from miso_scrapy.extensions.connections import Archive
from miso_scrapy.registry.client import RegistryUnavailable
from miso_scrapy.stats import Outcome


class RegisterPipeline:
    """Tell the registry, only now."""

    def __init__(self, crawler: Crawler) -> None:
        self.archive = Archive.of(crawler)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> RegisterPipeline:
        """Make it for *crawler*."""
        return cls(crawler)

    async def process_item(self, item: Filed) -> Filed:
        """Return *item*, registered."""
        if self.archive.registry is None:
            return item
        try:
            await self.archive.registry.commit(
                item.identifier,
                item.fingerprint,
                self.archive.message(item),
                candidate=item.also or None,
            )
        except RegistryUnavailable as error:
            self.archive.stop(error)
            raise Dropped(
                Outcome.FAILED, f"stored at {item.location}; the next run registers it"
            ) from None
        return item
