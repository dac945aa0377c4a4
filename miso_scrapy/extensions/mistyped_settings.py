"""Warn of mistyped settings."""

from __future__ import annotations

import logging

from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from miso_scrapy.mistyped import warnings_about

logger = logging.getLogger(__name__)


class Mistyped:
    """Log a warning about each setting whose name is mistyped, when the run begins."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Mistyped:
        """Look at the settings of *crawler*."""
        if not crawler.settings.getdict("ITEM_PIPELINES"):
            raise NotConfigured  # scrapy check has no log: the command says it
        for warning in warnings_about(crawler.settings):
            logger.warning("%s", warning)
        return cls()
