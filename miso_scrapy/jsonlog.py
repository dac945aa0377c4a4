"""``LOG_FORMAT=json``: one JSON object a line, for what collects logs."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import scrapy.utils.log
from pythonjsonlogger.json import JsonFormatter
from scrapy import Request
from scrapy.settings import BaseSettings

from miso_scrapy.feed.candidate import candidate_of
from miso_scrapy.feed.ref_id import iso_utc


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


def install() -> None:
    """Let Scrapy's log handler understand LOG_FORMAT=json.

    Scrapy makes that handler several times over, with a formatter that knows format strings only.
    So it is taught where it makes the formatter: then every line is JSON, from the first one on.
    """
    plain = scrapy.utils.log._get_formatter

    def formatter(handler: logging.Handler, settings: Any) -> logging.Formatter:
        return CandidateFormatter() if is_json(settings) else plain(handler, settings)

    scrapy.utils.log._get_formatter = formatter


def _about(record: logging.LogRecord) -> dict[str, Any]:
    """Return the candidate, outcome and figures that *record* tells of, if any."""
    told = record.args if isinstance(record.args, dict) else {}
    identifier = told.get("identifier")
    if isinstance(request := told.get("request"), Request):  # crawled, retried
        identifier = request.meta.get("identifier")
    about: dict[str, Any] = {}
    if identifier:
        about["candidate"] = iso_utc(candidate_of(identifier))
    about |= {name: told[name] for name in ("outcome", "requests", "shared") if name in told}
    return about
