"""Find the files of each market day in the archive, and read them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache

from miso_scrapy.archive.document import ROOT
from miso_scrapy.feed.coverage import TOLERANCE
from miso_scrapy.feed.market_day import EST
from miso_scrapy.store import Entry, Store

_DAY = timedelta(days=1)
_FILED = re.compile(
    rf"{ROOT}/([1-8]\d{{3}})/(\d\d)/(\d\d)/"
    r"realtime_total_load_(\1\2\3)_((?:[01]\d|2[0-3])[0-5]\d[0-5]\d)\.json\.gz",
    re.ASCII,
)


@dataclass(frozen=True)
class DayFiles:
    """The files that may hold snapshots of the market day *day*, in the order of their candidates."""

    day: date
    keys: list[str]
    version: str
    """A hash of the files' names and versions: it changes when a file is added, removed or changed."""


@dataclass(frozen=True)
class DayRange:
    """The market days from *start* up to, but not including, *end*.

    None means from the first day of the archive, or to its last day.
    """

    start: date | None = None
    end: date | None = None

    def __contains__(self, day: date) -> bool:
        return (self.start is None or self.start <= day) and (self.end is None or day < self.end)

    def __str__(self) -> str:
        return " ".join(
            f"{word} {day}" for word, day in (("from", self.start), ("to", self.end)) if day
        )


def days(store: Store, wanted: DayRange) -> list[DayFiles]:
    """Return those of the *wanted* market days that have files, in order.

    This lists file names only. For a range with both ends, it lists only the names that may belong to
    it. Raises StoreUnavailable.
    """
    found: dict[date, tuple[list[Entry], list[Entry], list[Entry]]] = {}
    for prefix in _prefixes(wanted):
        for entry in store.entries(prefix):
            if not (match := _FILED.fullmatch(entry.key)) or not (utc_day := _date(match[4])):
                continue
            old, either, new = found.get(utc_day) or found.setdefault(utc_day, ([], [], []))
            clock = match[5]
            (old if clock < _EARLY else either if clock < _LATE else new).append(entry)
    none: tuple[list[Entry], ...] = ([], [], [])
    files = []
    for day in sorted(found.keys() | {utc_day - _DAY for utc_day in found}):
        _, early, own = found.get(day, none)
        rest, late, _ = found.get(day + _DAY, none)
        if day in wanted and (entries := early + own + rest + late):
            files.append(DayFiles(day, [entry.key for entry in entries], _version(entries)))
    return files


def with_empty_days(found: list[DayFiles], wanted: DayRange, today: date) -> list[DayFiles]:
    """Return *found*, with a DayFiles without files added for each other day of the range.

    No days are added after *today*. An end that *wanted* leaves open is the first or last day of
    *found*, which must not be empty.
    """
    by_day = {files.day: files for files in found}
    first = wanted.start or found[0].day
    last = found[-1].day
    if wanted.end:
        last = max(last, min(wanted.end - _DAY, today))
    every = [first + number * _DAY for number in range((last - first).days + 1)]
    return [by_day.get(day) or DayFiles(day, [], "") for day in every]


@cache
def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _prefixes(wanted: DayRange) -> Iterable[str]:
    """Return the key prefixes to list. A market day overlaps two UTC days."""
    if wanted.start is None or wanted.end is None:
        return [ROOT]
    number = (wanted.end - wanted.start).days + 1
    by = "%Y/%m/%d" if number <= 31 else "%Y/%m"  # each prefix costs at least one request to S3
    every = (wanted.start + count * _DAY for count in range(number))
    return dict.fromkeys(f"{ROOT}/{day:{by}}" for day in every)


_MIDNIGHT = datetime.combine(date(2000, 1, 1), time(), EST).astimezone(UTC)
# Within a UTC day, a file with a candidate before _EARLY belongs to the old market day, and from _LATE
# on to the new one. Between the two it may belong to either.
_EARLY, _LATE = (f"{_MIDNIGHT + offset:%H%M%S}" for offset in (-TOLERANCE, TOLERANCE))


def _version(entries: Iterable[Entry]) -> str:
    names = "\n".join(f"{entry.key} {entry.version}" for entry in entries)
    return hashlib.md5(names.encode(), usedforsecurity=False).hexdigest()
