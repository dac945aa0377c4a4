"""``LOG_FORMAT=json``: one JSON object a line, for what collects logs."""

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
    """Time, level, logger and message; candidate and outcome where the record is about one."""

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        """Fill *log_data*; *message_dict* holds the traceback, where there is one."""
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
    """Log to where the settings say, in JSON, instead of Scrapy's handler.

    That one knows format strings only. Scrapy asks its add-ons before it makes it, below a command as
    in a script: so every line is JSON, from the first one on.
    https://docs.scrapy.org/en/latest/topics/addons.html
    """

    handler: logging.Handler | None = None
    """The one of this process."""

    @classmethod
    def update_pre_crawler_settings(cls, settings: BaseSettings) -> None:
        """Make the handler, and tell Scrapy to make none."""
        root = logging.getLogger()
        if cls.handler is not None:  # of a CrawlerProcess before
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
    """Return the candidate, outcome and figures that *record* tells of, if any."""
    told = record.args if isinstance(record.args, dict) else {}
    identifier = told.get("identifier")
    if isinstance(request := told.get("request"), Request):  # crawled, retried
        identifier = request.meta.get("identifier")
    about: dict[str, Any] = {}
    if identifier:
        about["candidate"] = iso_utc(candidate_of(identifier))
    about |= {name: told[name] for name in _FIELDS if name in told}
    return about
