"""Mask secrets in the log."""

from __future__ import annotations

import logging

from scrapy import signals
from scrapy.crawler import Crawler

from miso_scrapy.components import Component
from miso_scrapy.text.masking import masked, secrets_in

_TRACEBACKS = logging.Formatter()


class MaskSecrets(Component):
    """Mask the values of secret settings in all log records: Scrapy logs settings at the start."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self.secrets = secrets_in(crawler.settings)
        self._filter_handlers()
        # Scrapy replaces its handler after it creates the extensions and before it opens the spider.
        crawler.signals.connect(self._filter_handlers, signal=signals.spider_opened)

    def _filter_handlers(self) -> None:
        for handler in logging.getLogger().handlers:
            if self.mask not in handler.filters:
                handler.addFilter(self.mask)

    def mask(self, record: logging.LogRecord) -> bool:
        """Replace each secret in *record* by asterisks. Return True: no record is filtered out."""
        message = record.getMessage()
        shown = masked(message, self.secrets)
        if shown != message:
            if isinstance(record.args, dict):  # LOG_FORMAT=json reads its fields from them
                record.msg = shown.replace("%", "%%")
            else:
                record.msg, record.args = shown, None
        if record.exc_info:
            traceback = _TRACEBACKS.formatException(record.exc_info)
            if (shown := masked(traceback, self.secrets)) != traceback:
                record.exc_info, record.exc_text = None, shown  # formatters print exc_text
        return True
