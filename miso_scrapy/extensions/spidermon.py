"""Spidermon, with one log line for each monitor that fails."""

from __future__ import annotations

import logging
from typing import Any

from scrapy import Spider
from spidermon.contrib.scrapy.extensions import Spidermon
from spidermon.contrib.scrapy.runners import SpiderMonitorResult, SpiderMonitorRunner

from miso_scrapy.extensions.connections import Connections

logger = logging.getLogger("miso_scrapy.extensions.monitors")


class OneLineSpidermon(Spidermon):
    """Spidermon, which waits until the stats count the messages that are owed."""

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
    """Log Spidermon's report at DEBUG, a warning per failed monitor, and an error per failed action."""

    def log(self, msg: object, level: int = logging.DEBUG) -> None:
        logger.debug(msg)

    def write_errors(self) -> None:
        for failed in self.step.error_results:
            # A failed monitor has a reason; an error has a traceback with the reason in its last line.
            reason = getattr(failed, "reason", None) or failed.error.strip().splitlines()[-1]
            if hasattr(failed.item, "run_action"):
                logger.error("the action %s failed: %s", failed.item.name, reason)
            else:
                logger.warning("monitor %s: %s", failed.item.method_name, reason)
