"""Warn of mistyped names of settings, which Scrapy ignores silently."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches

from scrapy.crawler import Crawler
from scrapy.settings import BaseSettings, default_settings

from miso_scrapy import settings as defaults
from miso_scrapy.options import variables

logger = logging.getLogger(__name__)

# The least similarity of two names, by difflib: KAFKA_TOPC and KAFKA_TOPIC have 0.95, KAFKA_HOME and
# KAFKA_TOPIC 0.67. No other program's names begin with MISO_, so of those the rest is compared: CA and
# CA_FILE have 0.44, USER and STALE_AFTER 0.4.
_ALIKE = 0.85
_OURS = 0.44
# What Kubernetes sets for a service named miso.
_KUBERNETES = re.compile("_SERVICE_|_PORT(_|$)")


class Mistyped:
    """Log a warning about each mistyped name of a setting, when the run begins."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Mistyped:
        """Check the settings of *crawler*."""
        for warning in warnings_about(crawler.settings):
            logger.warning("%s", warning)
        return cls()


def warnings_about(settings: BaseSettings) -> list[str]:
    """Return a line about each mistyped name in *settings* and in the environment."""
    return [
        f"the setting {name} does not exist, and is ignored: use {meant}"
        for name, meant in mistyped(settings, os.environ).items()
    ]


def mistyped(settings: BaseSettings, environment: Mapping[str, str]) -> dict[str, str]:
    """Return {mistyped name: correct name}; names of other programs are ignored.

    A name is checked if its first word is that of one of this project's settings, such as ``KAFKA``.
    """
    ours = {name for name in variables() if not name.startswith("AWS_")}  # boto3 has more of them
    scrapys = {name for name in dir(default_settings) if name.isupper()}
    known = {*ours, *scrapys, *(name for name in dir(defaults) if name.isupper())}
    found = {}
    for names, meant in ((environment, ours), (settings, ours | scrapys)):
        for name in names:
            if name not in known and (one := _meant(name, ours, meant)):
                found[name] = one
    return found


def _meant(name: str, ours: Collection[str], candidates: Collection[str]) -> str | None:
    """Return the name in *candidates* of which *name* is a mistyped form, or None.

    Names that differ by a whole word are different names, such as KAFKA_BROKER_ID and KAFKA_BROKERS.
    """
    wanted = name.upper()
    if _first_word(wanted) not in map(_first_word, ours):
        return None
    same = [candidate for candidate in candidates if _first_word(candidate) == _first_word(wanted)]
    if _first_word(wanted) == "MISO" and not _KUBERNETES.search(wanted):
        rests = {candidate.removeprefix("MISO_"): candidate for candidate in same}
        close = get_close_matches(wanted.removeprefix("MISO_"), rests, n=1, cutoff=_OURS)
        return rests[close[0]] if close else None
    alike = [
        candidate
        for candidate in same
        if candidate.count("_") == wanted.count("_")
        or candidate.replace("_", "") == wanted.replace("_", "")
    ]
    return next(iter(get_close_matches(wanted, alike, n=1, cutoff=_ALIKE)), None)


def _first_word(name: str) -> str:
    """Return the word before the first underscore; empty for a name without an underscore."""
    return name.rpartition("_")[0] and name.partition("_")[0]
