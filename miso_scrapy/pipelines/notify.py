"""Notify: send a message about each registered file."""

from __future__ import annotations

import contextlib

from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from miso_scrapy.archive.record import Filed
from miso_scrapy.components import Component
from miso_scrapy.exceptions import Stopped
from miso_scrapy.extensions.connections import Connections
from miso_scrapy.registry.client import RegistryUnavailable


class NotifyPipeline(Component):
    """Send the message of each stored file. If it cannot be sent, it stays in the outbox."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self.connections = Connections.of(crawler)
        if not self.connections.options.kafka_topic:
            raise NotConfigured  # without a text, so that Scrapy logs nothing

    async def process_item(self, item: Filed) -> Filed:
        """Return *item* after sending its message, or leaving it in the outbox."""
        notifier, registry = self.connections.notifier, self.connections.registry
        assert notifier is not None
        if registry and notifier.down:
            with contextlib.suppress(RegistryUnavailable, Stopped):  # it stays in the outbox
                # This message is one of them.
                await self.connections.lasting(lambda: notifier.send_owed(registry))
            return item
        message = self.connections.message(item)
        acknowledged = []
        with contextlib.suppress(Stopped):
            acknowledged = await self.connections.lasting(
                lambda: notifier.send([(item.identifier, message)])
            )
        if registry is None:
            notifier.lost += not acknowledged
        elif acknowledged:
            with contextlib.suppress(RegistryUnavailable, Stopped):  # the next run sends it again
                await self.connections.lasting(lambda: registry.sent(item.identifier, message))
        return item
