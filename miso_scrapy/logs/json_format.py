"""``LOG_FORMAT=json``: one JSON object per line, for log collectors."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter
from scrapy import Request
from scrapy.settings import BaseSettings

from miso_scrapy.feed.candidate import candidate_of
from miso_scrapy.feed.ref_id import iso_utc

_FIELDS = ("outcome", "candidates", "last")
"""Arguments of log calls that become fields; so does each figure in ``figures``."""


class CandidateFormatter(JsonFormatter):
    """Format time, level, logger and message; also candidate, outcome and figures, if there are any."""

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


def _about(record: logging.LogRecord) -> dict[str, Any]:
    """Return the candidate, outcome and figures in the arguments of *record*, if any."""
    told = record.args if isinstance(record.args, dict) else {}
    identifier = told.get("identifier")
    if isinstance(request := told.get("request"), Request):  # crawled, retried
        identifier = request.meta.get("identifier")
    about: dict[str, Any] = {}
    if identifier:
        about["candidate"] = iso_utc(candidate_of(identifier))
    about |= {name: told[name] for name in _FIELDS if name in told}
    about |= told.get("figures", {})
    return about
