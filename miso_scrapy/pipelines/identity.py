"""Identity: an archive takes either real or simulated snapshots, as its identity says."""

from __future__ import annotations

from scrapy.crawler import Crawler

from miso_scrapy.archive.identity import WrongArchive, kind_of
from miso_scrapy.components import Component
from miso_scrapy.exceptions import Dropped
from miso_scrapy.extensions.connections import Connections
from miso_scrapy.items import Snapshot
from miso_scrapy.registry.client import RegistryUnavailable
from miso_scrapy.stats import Outcome
from miso_scrapy.store import StoreUnavailable


class IdentityPipeline(Component):
    """Write the archive's identity with its first snapshot; end the run at one of the other kind."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self.connections = Connections.of(crawler)

    async def process_item(self, item: Snapshot) -> Snapshot:
        """Return *item* if it is of the archive's kind; drop it as failed if not."""
        try:
            kind = kind_of(item.data)
            await self.connections.lasting(lambda: self.connections.identify(kind))
        except (WrongArchive, RegistryUnavailable) as error:
            self.connections.stop(error)
            # A wrong archive affects all candidates, so it is logged once, when the run is stopped.
            level = "DEBUG" if isinstance(error, WrongArchive) else "ERROR"
            raise Dropped(
                Outcome.FAILED, "not filed, as the run ends here", log_level=level
            ) from None
        except StoreUnavailable as error:
            raise self.connections.refused(error) from None
        return item
