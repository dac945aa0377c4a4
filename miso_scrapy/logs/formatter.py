"""Log messages of one line each, with the candidate and its outcome, and without payloads."""

from __future__ import annotations

import logging
from typing import Any

from scrapy import Spider
from scrapy.http import Response
from scrapy.logformatter import LogFormatter, LogFormatterResult
from twisted.python.failure import Failure

from miso_scrapy.archive.record import Filed
from miso_scrapy.exceptions import Dropped
from miso_scrapy.stats import Outcome


class OneLineFormatter(LogFormatter):
    """Scrapy's log lines, without the items that it appends to them.

    The arguments include ``identifier`` and ``outcome``: LOG_FORMAT=json makes fields of them.
    """

    def scraped(
        self, item: Any, response: Response | Failure | None, spider: Spider
    ) -> LogFormatterResult:
        """Log which candidate was filed, and where."""
        if not isinstance(item, Filed):
            return super().scraped(item, response, spider)
        verb = "adopted" if item.adopted else "stored"
        return {
            "level": logging.INFO,
            "msg": "%(verb)s %(identifier)s: interval %(ref_id)s, %(size)d bytes, at %(location)s",
            "args": {
                "verb": verb,
                "outcome": Outcome.DUPLICATE if item.adopted else Outcome.STORED,
                "identifier": item.identifier,
                "ref_id": item.ref_id,
                "size": item.size,
                "location": item.location,
            },
        }

    def dropped(  # type: ignore[override]  # Scrapy logs nothing for None
        self,
        item: Any,
        exception: BaseException,
        response: Response | Failure | None,
        spider: Spider,
    ) -> LogFormatterResult | None:
        """Log how and why a candidate ended; nothing if Outcomes logs it together with others."""
        if not isinstance(exception, Dropped):
            return super().dropped(item, exception, response, spider)
        if exception.together:
            return None
        return {
            "level": logging.getLevelName(exception.log_level or "ERROR"),
            "msg": "%(outcome)s %(identifier)s: %(reason)s",
            "args": {
                "outcome": exception.outcome,
                "identifier": item.identifier,
                "reason": exception,
            },
        }
