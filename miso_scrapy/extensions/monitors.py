"""Judge the run at its end: quiet when all is well, one line for what is not."""

from __future__ import annotations

import logging
from typing import Any

from scrapy import Spider
from spidermon.contrib.scrapy.extensions import Spidermon
from spidermon.contrib.scrapy.runners import SpiderMonitorResult, SpiderMonitorRunner

from miso_scrapy.extensions.connections import Connections

logger = logging.getLogger(__name__)


class Monitors(Spidermon):
    """Spidermon, which runs the monitors once the stats say what is owed."""

    async def spider_closed(self, spider: Spider) -> None:
        """Run the monitors."""
        await Connections.of(self.crawler).settled.wait()
        super().spider_closed(spider)

    def _run_suites(self, spider: Spider, suites: list[Any]) -> None:
        data = self._generate_data_for_spider(spider)
        for suite in suites:
            _Runner(spider).run(suite, **data)


class _Runner(SpiderMonitorRunner):
    def create_result(self) -> SpiderMonitorResult:
        return _Result(self.spider)


class _Result(SpiderMonitorResult):
    """Spidermon's report, at DEBUG; a warning per monitor that failed, an error per action."""

    def log(self, msg: object, level: int = logging.DEBUG) -> None:
        logger.debug(msg)

    def write_errors(self) -> None:
        for failed in self.step.error_results:
            # A failure has a reason; what broke has a traceback, whose last line says why.
            reason = getattr(failed, "reason", None) or failed.error.strip().splitlines()[-1]
            if hasattr(failed.item, "run_action"):
                logger.error("%s did not get through: %s", failed.item.name, reason)
            else:
                logger.warning("monitor %s: %s", failed.item.method_name, reason)
