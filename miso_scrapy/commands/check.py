"""`scrapy check`, which says whether it judges a shared answer or waits for its turn."""

from __future__ import annotations

import argparse
import logging

from scrapy.commands.check import Command as CheckCommand

from miso_scrapy.downloadermiddlewares import feed_access


class Command(CheckCommand):
    """Scrapy's command, which logs nothing, with the lines about the access to the feed."""

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Check the contracts."""
        assert self.settings is not None
        if not self.settings.getbool("LOG_ENABLED"):
            handler = logging.StreamHandler()
            handler.setLevel(logging.INFO)
            logging.getLogger(feed_access.__name__).addHandler(handler)
        super().run(args, opts)
