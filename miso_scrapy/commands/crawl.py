"""`scrapy crawl`, with an exit status that tells how the run went, and usage errors in one line."""

from __future__ import annotations

import argparse

from scrapy.commands.crawl import Command as CrawlCommand
from scrapy.spiderloader import get_spider_loader

from miso_scrapy.commands import usage_error
from miso_scrapy.notify import security_options
from miso_scrapy.options import Options
from miso_scrapy.outcomes import exit_status


class Command(CrawlCommand):
    """Scrapy's command: 0 when every candidate is filed, 1 when one is not, 2 for wrong usage."""

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        """Refuse what cannot work before anything is started."""
        super().process_options(args, opts)
        assert self.settings is not None
        if len(args) != 1:
            usage_error("crawl", "give one spider: scrapy crawl miso_rtload")
        try:
            spidercls = get_spider_loader(self.settings).load(args[0])
        except KeyError:
            usage_error("crawl", f"there is no spider {args[0]}: there is miso_rtload")
        try:
            Options.from_settings(self.settings)
            security_options(self.settings)
            spidercls(**opts.spargs)
        except (ValueError, TypeError) as error:
            usage_error("crawl", error)

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Run the spider, and set the exit status by the outcomes of its candidates."""
        assert self.crawler_process is not None
        crawler = self._create_crawler(args[0])
        self.crawler_process.crawl(crawler, **opts.spargs)
        self.crawler_process.start()
        failed = self.crawler_process.bootstrap_failed
        self.exitcode = 1 if failed else exit_status(crawler.stats.get_stats())
