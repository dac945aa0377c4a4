"""`scrapy check`: check the contracts of the spiders."""

from __future__ import annotations

import argparse
import logging
import sys

from scrapy.commands.check import Command as CheckCommand

from miso_scrapy.cli.usage import StrictUsage
from miso_scrapy.commands.crawl import check_run

MASK_SECRETS = "miso_scrapy.extensions.mask_secrets.MaskSecrets"


class Command(StrictUsage, CheckCommand):
    """Scrapy's command, with exit status 0 if every contract holds, 1 if not, 2 for wrong usage.

    It logs only that it uses a shared answer, or waits before it sends a request to the feed.
    """

    most_words = sys.maxsize

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        """Refuse wrong arguments and settings before anything is started."""
        super().process_options(args, opts)
        assert self.settings is not None
        for name in args or ["miso_rtload"]:
            check_run(self.name, self.settings, name, opts.spargs)
        # Nothing is claimed or filed: the only component of this project that is needed masks secrets.
        for setting in ("EXTENSIONS", "SPIDER_MIDDLEWARES"):
            components = self.settings.getdict(setting)
            ours = {path: None for path in components if str(path).startswith("miso_scrapy.")}
            ours.pop(MASK_SECRETS, None)
            self.settings.set(setting, {**components, **ours}, priority="cmdline")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Check the contracts."""
        assert self.settings is not None
        if not self.settings.getbool("LOG_ENABLED"):
            from miso_scrapy.downloadermiddlewares import feed_access  # a slow import

            handler = logging.StreamHandler()
            handler.setLevel(logging.INFO)
            logging.getLogger(feed_access.__name__).addHandler(handler)
        super().run(args, opts)
