"""``LOG_FORMAT=json``: one JSON object per line, for log collectors."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter
from scrapy import Request
from scrapy.settings import BaseSettings
from scrapy.utils.log import TopLevelFormatter

from miso_scrapy.feed.candidate import candidate_of
from miso_scrapy.feed.ref_id import iso_utc

_FIELDS = ("outcome", "candidates", "last", "requests", "shared")
"""Arguments of log calls that become fields."""


class CandidateFormatter(JsonFormatter):
    """Format time, level, logger and message; also candidate and outcome, if the record has them."""

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        """Fill *log_data*; *message_dict* holds the traceback, if there is one."""
        log_data |= {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_about(record),
            **message_dict,
        }


def is_json(settings: BaseSettings) -> bool:
    """Return whether the log is to be JSON."""
    return bool(settings.get("LOG_FORMAT") == "json")


class JSONLog:
    """Install a log handler for JSON, in place of Scrapy's, with the same settings.

    Scrapy's handler supports format strings only. Scrapy loads its add-ons before it creates that
    handler, in commands as in scripts, so all lines are JSON from the first one on.
    https://docs.scrapy.org/en/latest/topics/addons.html
    """

    handler: logging.Handler | None = None
    """The handler of this process."""

    @classmethod
    def update_pre_crawler_settings(cls, settings: BaseSettings) -> None:
        """Install the handler, and disable Scrapy's."""
        root = logging.getLogger()
        if cls.handler is not None:  # from an earlier CrawlerProcess
            root.removeHandler(cls.handler)
            cls.handler.close()
            cls.handler = None
        if not is_json(settings):
            return
        settings.set("LOG_INSTALL_ROOT_HANDLER", False, priority="cmdline")
        cls.handler = _handler(settings)
        root.setLevel(logging.NOTSET)
        root.addHandler(cls.handler)


def _handler(settings: BaseSettings) -> logging.Handler:
    handler: logging.Handler
    if name := settings.get("LOG_FILE"):
        mode = "a" if settings.getbool("LOG_FILE_APPEND") else "w"
        handler = logging.FileHandler(name, mode=mode, encoding=settings.get("LOG_ENCODING"))
    elif settings.getbool("LOG_ENABLED"):
        handler = logging.StreamHandler()
    else:
        handler = logging.NullHandler()
    handler.setFormatter(CandidateFormatter())
    handler.setLevel(settings.get("LOG_LEVEL"))
    if settings.getbool("LOG_SHORT_NAMES"):
        handler.addFilter(TopLevelFormatter(["scrapy"]))
    return handler


def _about(record: logging.LogRecord) -> dict[str, Any]:
    """Return the candidate, outcome and numbers in the arguments of *record*, if any."""
    told = record.args if isinstance(record.args, dict) else {}
    identifier = told.get("identifier")
    if isinstance(request := told.get("request"), Request):  # crawled, retried
        identifier = request.meta.get("identifier")
    about: dict[str, Any] = {}
    if identifier:
        about["candidate"] = iso_utc(candidate_of(identifier))
    about |= {name: told[name] for name in _FIELDS if name in told}
    return about
