"""Find the files of each market day in the archive."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from itertools import chain, groupby
from operator import itemgetter

from miso_scrapy.archive.document import DATA_TYPE, ROOT, key_of
from miso_scrapy.feed.coverage import TOLERANCE
from miso_scrapy.feed.market_day import midnight
from miso_scrapy.store import Entry, Store

_DAY = timedelta(days=1)
_DATE = slice(len(f"{ROOT}/"), len(f"{ROOT}/YYYY/MM/DD"))
_CLOCK = slice(-len("HHMMSS.json.gz"), -len(".json.gz"))
_CLOCK_SIZE = len("HHMMSS")
_FILED = re.compile(
    rf"{ROOT}/([1-8]\d{{3}})/(\d\d)/(\d\d)/"
    rf"{DATA_TYPE}_\1\2\3_(?:[01]\d|2[0-3])[0-5]\d[0-5]\d\.json\.gz",
    re.ASCII,
)


@dataclass(frozen=True)
class DayFiles:
    """The files that may hold snapshots of the market day *day*.

    It is small, because an archive of ten years has 3,653 of them, with a million files.
    """

    day: date
    clocks: Sequence[str] = ()
    """The files' clock times on the UTC dates *day* and *day* + 1: HHMMSS, one after the other."""
    version: str = ""
    """A hash of the files' names and versions: it changes when a file is added, removed or changed."""

    def __len__(self) -> int:
        return sum(map(len, self.clocks)) // _CLOCK_SIZE

    @property
    def keys(self) -> list[str]:
        """The keys of the files, in the order of their candidates."""
        keys = []
        for utc_day, clocks in zip((self.day, self.day + _DAY), self.clocks, strict=False):
            before, after = key_of(f"{DATA_TYPE}_{utc_day:%Y%m%d}_HHMMSS.json").split("HHMMSS")
            starts = range(0, len(clocks), _CLOCK_SIZE)
            keys += [f"{before}{clocks[at : at + _CLOCK_SIZE]}{after}" for at in starts]
        return keys


@dataclass(frozen=True)
class DayRange:
    """The market days from *start* up to, but not including, *end*.

    None means from the first day of the archive, or to its last day.
    """

    start: date | None = None
    end: date | None = None

    @classmethod
    def last(cls, number: int, today: date) -> DayRange:
        """Return the last *number* days up to *today*, which is included."""
        return cls(today - (number - 1) * _DAY, today + _DAY)

    def until(self, today: date) -> DayRange:
        """Return this range; if it has a start and no end, *today* is its last day."""
        if self.end is None and self.start is not None and self.start <= today:
            return DayRange(self.start, today + _DAY)
        return self

    def __contains__(self, day: date) -> bool:
        return (self.start is None or self.start <= day) and (self.end is None or day < self.end)

    def __str__(self) -> str:
        return " ".join(
            f"{word} {day}" for word, day in (("from", self.start), ("to", self.end)) if day
        )


def days(store: Store, wanted: DayRange) -> list[DayFiles]:
    """Return those of the *wanted* market days that have files, in order.

    This lists file names only, and only those that may belong to *wanted*. It holds the names of one
    day at a time. Raises StoreUnavailable.
    """
    files = []
    for day, parts in groupby(_parts(_filed(store, wanted)), key=itemgetter(0)):
        lists = {number: entries for _, number, entries in parts}
        if day in wanted and any(lists.values()):
            both = [lists.get(number, []) for number in (0, 1)]
            clocks = tuple("".join(entry.key[_CLOCK] for entry in part) for part in both)
            files.append(DayFiles(day, clocks, _version(chain(*both))))
    return files


def every_day(held: Sequence[date], wanted: DayRange, today: date) -> list[date]:
    """Return each day of the range *wanted*, in order; *held* are those that have files, in order.

    No day after *today* is added. An end that *wanted* leaves open is the first or last day of *held*,
    which must not be empty then.
    """
    first = wanted.start or held[0]
    ends = [*held[-1:]]
    if wanted.end:
        ends.append(min(wanted.end - _DAY, today))
    return [first + number * _DAY for number in range((max(ends) - first).days + 1)]


def with_empty_days(found: list[DayFiles], wanted: DayRange, today: date) -> list[DayFiles]:
    """Return *found*, with a DayFiles without files added for each other day of the range.

    Its days are those of :func:`every_day`. *found* must not be empty.
    """
    by_day = {files.day: files for files in found}
    return [by_day.get(day) or DayFiles(day) for day in every_day(list(by_day), wanted, today)]


def _filed(store: Store, wanted: DayRange) -> Iterator[Entry]:
    """Yield the files of the archive whose candidates may be of *wanted*, in their order."""
    # Keys that begin with another character than a digit come after all dates.
    first = _before(wanted.start, _EARLY) if wanted.start else ROOT
    end = _before(wanted.end, _LATE) if wanted.end else f"{ROOT}/:"
    filed = _FILED.fullmatch
    for entry in store.entries(ROOT, after=first):
        if entry.key >= end:
            return
        if filed(entry.key):
            yield entry


def _parts(filed: Iterable[Entry]) -> Iterator[tuple[date, int, list[Entry]]]:
    """Yield the files of each UTC date twice: for the market day that ends on it, and that begins.

    Each is a market day, the index in DayFiles.clocks, and the files.
    """
    for written, group in groupby(filed, key=lambda entry: entry.key[_DATE]):
        try:
            utc_day = date.fromisoformat(written.replace("/", "-"))
        except ValueError:
            continue
        entries = list(group)
        early, late = (bisect_left(entries, clock, key=_clock) for clock in (_EARLY, _LATE))
        yield utc_day - _DAY, 1, entries[:late]
        yield utc_day, 0, entries[early:]


def _clock(entry: Entry) -> str:
    return entry.key[_CLOCK]


_MIDNIGHT = midnight(date(2000, 1, 1)).astimezone(UTC)
# Within a UTC date, a file with a candidate before _EARLY belongs to the old market day, and from _LATE
# on to the new one. Between the two it may belong to either.
_EARLY, _LATE = (f"{_MIDNIGHT + offset:%H%M%S}" for offset in (-TOLERANCE, TOLERANCE))


def _before(utc_day: date, clock: str) -> str:
    """Return a text that sorts right before the key of the candidate at *clock* on *utc_day*."""
    day = str(utc_day).replace("-", "")  # strftime writes the year 900 with three digits
    return key_of(f"{DATA_TYPE}_{day}_{clock}").removesuffix(".gz")


def _version(entries: Iterable[Entry]) -> str:
    names = "\n".join(map(" ".join, entries))
    return hashlib.md5(names.encode(), usedforsecurity=False).hexdigest()
