"""`scrapy requeue`: file what is in quarantine and now validates."""

from __future__ import annotations

import argparse

from miso_scrapy.commands.crawl import Command as CrawlCommand
from miso_scrapy.spiders.miso_requeue import MisoRequeueSpider


class Command(CrawlCommand):
    """`scrapy crawl miso_requeue`, under a name that says what it does."""

    def syntax(self) -> str:
        """Return the arguments."""
        return "[options]"

    def short_desc(self) -> str:
        """Return the description."""
        return "File what is in quarantine and now validates"

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        """Refuse what cannot work before anything is started."""
        super().process_options([MisoRequeueSpider.name, *args], opts)

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Run the spider."""
        super().run([MisoRequeueSpider.name], opts)
