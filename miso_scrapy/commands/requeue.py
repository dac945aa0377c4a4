"""`scrapy requeue`: file the bodies in quarantine that are valid now."""

from __future__ import annotations

from miso_scrapy.cli.usage import StrictUsage
from miso_scrapy.commands.crawl import Command as CrawlCommand


class Command(CrawlCommand):
    """The same as `scrapy crawl miso_requeue`, without arguments."""

    most_words = 0

    def syntax(self) -> str:
        """Return the arguments."""
        return "[options]"

    def short_desc(self) -> str:
        """Return the description."""
        return "File the bodies in quarantine that are valid now"

    def advice(self, unknown: str) -> str:
        """Return what to do instead of *unknown*: the spider takes no arguments."""
        return StrictUsage.advice(self, unknown)

    def spider(self, args: list[str]) -> str:
        """Return the name of the spider to run."""
        return "miso_requeue"
