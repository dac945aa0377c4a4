"""The add-on for the log of a run: text or JSON, with times in UTC, without Scrapy's own messages."""

from __future__ import annotations

import logging
import time

from scrapy.settings import BaseSettings
from scrapy.utils.log import TopLevelFormatter

from miso_scrapy.logs.json_format import CandidateFormatter, is_json
from miso_scrapy.logs.quiet import quieten
from miso_scrapy.options import flag


class Log:
    """Install a log handler in place of Scrapy's, with the same settings.

    Scrapy's handler supports neither JSON nor UTC. Scrapy loads its add-ons before it creates that
    handler, in commands as in scripts, so this one has all lines from the first one on.
    https://docs.scrapy.org/en/latest/topics/addons.html
    """

    handler: logging.Handler | None = None
    """The handler of this process."""

    @classmethod
    def update_pre_crawler_settings(cls, settings: BaseSettings) -> None:
        """Install the handler, and disable Scrapy's."""
        quieten(statistics=flag("STATS_DUMP", settings.get("STATS_DUMP")))
        root = logging.getLogger()
        if cls.handler is not None:  # from an earlier CrawlerProcess
            root.removeHandler(cls.handler)
            cls.handler.close()
        elif not settings.getbool("LOG_INSTALL_ROOT_HANDLER"):  # a script has a handler of its own
            return
        settings.set("LOG_INSTALL_ROOT_HANDLER", False, priority="cmdline")
        cls.handler = _handler(settings)
        root.setLevel(logging.NOTSET)
        root.addHandler(cls.handler)

    def update_settings(self, settings: BaseSettings) -> None:
        """Let Scrapy log its statistics in any case: without STATS_DUMP they are logged at DEBUG."""
        settings.set("STATS_DUMP", True, priority="cmdline")


def _handler(settings: BaseSettings) -> logging.Handler:
    handler: logging.Handler
    if name := settings.get("LOG_FILE"):
        mode = "a" if settings.getbool("LOG_FILE_APPEND") else "w"
        handler = logging.FileHandler(name, mode=mode, encoding=settings.get("LOG_ENCODING"))
    elif settings.getbool("LOG_ENABLED"):
        handler = logging.StreamHandler()
    else:
        handler = logging.NullHandler()
    handler.setFormatter(_formatter(settings))
    handler.setLevel(settings.get("LOG_LEVEL"))
    if settings.getbool("LOG_SHORT_NAMES"):
        handler.addFilter(TopLevelFormatter(["scrapy"]))
    return handler


def _formatter(settings: BaseSettings) -> logging.Formatter:
    if is_json(settings):
        return CandidateFormatter()
    formatter = logging.Formatter(settings.get("LOG_FORMAT"), settings.get("LOG_DATEFORMAT"))
    formatter.converter = time.gmtime
    return formatter
