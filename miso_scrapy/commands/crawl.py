"""`scrapy crawl`, with an exit status that depends on the outcomes, and usage errors in one line."""

from __future__ import annotations

import argparse
import gc

from scrapy.commands.crawl import Command as CrawlCommand
from scrapy.settings import BaseSettings
from scrapy.spiderloader import get_spider_loader

from miso_scrapy.cli.program import program
from miso_scrapy.cli.usage import StrictUsage, usage_error
from miso_scrapy.options import Options
from miso_scrapy.stats import exit_status

# The arguments of miso_rtload, which users may give as options, each with an example.
_ARGUMENTS = {
    "start": "2025-12-05",
    "end": "2025-12-06",
    "follow": "1",
    "force": "1",
    "skip_hash_check": "1",
}


def check_run(command: str, settings: BaseSettings, name: str, spargs: dict[str, str]) -> None:
    """End with a usage error unless the spider *name* can run with *settings* and *spargs*."""
    from miso_scrapy.notifications.kafka import security_options  # a slow import: redis

    try:
        spidercls = get_spider_loader(settings).load(name)
    except KeyError:
        usage_error(command, f"there is no spider {name}: use miso_rtload")
    try:
        Options.from_settings(settings)
        security_options(settings)
        spidercls(**spargs)
    except (ValueError, TypeError) as error:
        usage_error(command, error)


class Command(StrictUsage, CrawlCommand):
    """Scrapy's command, with exit status 0 if every candidate is filed, 1 if not, 2 for wrong usage."""

    most_words = 1
    warns = False

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        """Refuse wrong arguments and settings before anything is started."""
        # When Scrapy's TLS module is imported, it looks at all modules that are loaded (inspect.stack).
        # Here, where they are fewer, that takes less CPU time than before the first request.
        import scrapy.core.downloader.contextfactory  # noqa: F401

        super().process_options(args, opts)
        assert self.settings is not None
        check_run(self.name, self.settings, self.spider(args), opts.spargs)

    def advice(self, unknown: str) -> str:
        """Return what to do instead: use ``-a`` if *unknown* is an argument of the spider."""
        name, _, value = unknown.lstrip("-").partition("=")
        name = name.replace("-", "_")
        if example := _ARGUMENTS.get(name):
            return f"use -a {name}={value or example}"
        return super().advice(unknown)

    def spider(self, args: list[str]) -> str:
        """Return the name of the spider to run."""
        if not args:
            usage_error(self.name, f"give one spider: {program()} crawl miso_rtload")
        return args[0]

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Run the spider, and set the exit status according to the outcomes of its candidates."""
        assert self.crawler_process is not None
        crawler = self._create_crawler(self.spider(args))
        gc.freeze()  # as in miso_scrapy/commands/__init__.py
        self.crawler_process.crawl(crawler, **opts.spargs)
        self.crawler_process.start()
        failed = self.crawler_process.bootstrap_failed
        self.exitcode = 1 if failed else exit_status(crawler.stats.get_stats())
