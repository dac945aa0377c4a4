"""Run the monitors at the end of a run, with one log line for each failure."""

from __future__ import annotations

from scrapy import Spider, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from miso_scrapy import settings as defaults
from miso_scrapy.components import Component
from miso_scrapy.extensions.connections import Connections
from miso_scrapy.options import Options
from miso_scrapy.run_checks import RunChecks

_OURS = ("SPIDERMON_ENABLED", "SPIDERMON_SPIDER_CLOSE_MONITORS")


class Monitors(Component):
    """Check the run when it has closed, and run Spidermon's monitors if a check fails.

    Importing Spidermon takes a tenth of the CPU time of a run of one snapshot. So a run that passes does
    without it, unless Spidermon has other settings, such as an action or other monitors.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        settings = crawler.settings
        if not settings.getbool("SPIDERMON_ENABLED"):
            raise NotConfigured
        self._suites = settings.getlist("SPIDERMON_SPIDER_CLOSE_MONITORS")
        others = [name for name in settings if name.startswith("SPIDERMON_") and name not in _OURS]
        if others or self._suites != defaults.SPIDERMON_SPIDER_CLOSE_MONITORS:
            from miso_scrapy.extensions.spidermon import OneLineSpidermon

            # It connects itself to the signals, which do not keep it.
            self._spidermon = OneLineSpidermon.from_crawler(crawler)
        else:
            crawler.signals.connect(self._closed, signal=signals.spider_closed)

    async def _closed(self, spider: Spider) -> None:
        await Connections.of(self.crawler).settled.wait()
        options = Options.from_settings(self.crawler.settings)
        if not RunChecks(self.crawler.stats.get_stats(), options).passed():
            from miso_scrapy.extensions.spidermon import OneLineSpidermon

            OneLineSpidermon(self.crawler, spider_closed_suites=self._suites).judge(spider)
