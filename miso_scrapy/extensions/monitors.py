"""Run the monitors at the end of a run, with one log line for each failure."""

from __future__ import annotations

import logging

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from miso_scrapy import settings as defaults
from miso_scrapy.components import Component
from miso_scrapy.extensions.connections import Connections
from miso_scrapy.options import Options
from miso_scrapy.run_checks import RunChecks

logger = logging.getLogger(__name__)

_OURS = ("SPIDERMON_ENABLED", "SPIDERMON_SPIDER_CLOSE_MONITORS")


class Monitors(Component):
    """Check the run when it has closed, and log a warning for each check that fails.

    Spidermon does that if it has more to do: an action, or other monitors. Importing it takes a tenth of
    the CPU time of a run of one snapshot.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        settings = crawler.settings
        if not settings.getbool("SPIDERMON_ENABLED"):
            raise NotConfigured
        suites = settings.getlist("SPIDERMON_SPIDER_CLOSE_MONITORS")
        others = [name for name in settings if name.startswith("SPIDERMON_") and name not in _OURS]
        if others or suites != defaults.SPIDERMON_SPIDER_CLOSE_MONITORS:
            from miso_scrapy.extensions.spidermon import OneLineSpidermon

            # It connects itself to the signals, which do not keep it.
            self._spidermon = OneLineSpidermon.from_crawler(crawler)
        else:
            crawler.signals.connect(self._closed, signal=signals.spider_closed)

    async def _closed(self) -> None:
        await Connections.of(self.crawler).settled.wait()
        options = Options.from_settings(self.crawler.settings)
        for name, line in RunChecks(self.crawler.stats.get_stats(), options).failures().items():
            logger.warning("monitor %s: %s", name, line)
