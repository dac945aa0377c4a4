"""The archive by market days: which files a day is in, and what they say of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any

import orjson

from miso_scrapy.archive.document import ROOT, UnreadableDocument, unpack
from miso_scrapy.dataset.faults import Faults, Unreadable
from miso_scrapy.dataset.fold import MarketDay, Published, SnapshotReader, fold
from miso_scrapy.feed.candidate import candidate_of
from miso_scrapy.feed.coverage import TOLERANCE
from miso_scrapy.feed.market_day import EST, market_day
from miso_scrapy.feed.ref_id import parse_ref_id
from miso_scrapy.store import Entry, Store, StoreUnavailable

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
    """Another one as soon as one of the files is another."""


@dataclass
class DayRead:
    """A market day, and what became of its files."""

    market_day: MarketDay
    faults: Faults = field(default_factory=Faults)
    """What is left out: files that cannot be read, and rows that cannot be used."""
    unreadable: list[datetime] = field(default_factory=list)
    """The candidates, of this market day, of the files that cannot be read, UTC."""
    elsewhere: list[datetime] = field(default_factory=list)
    """The candidates, of this market day, of the files that hold a snapshot of another day, UTC."""


@dataclass(frozen=True)
class DayRange:
    """The market days from *start* to the one before *end*; None: from the first, to the last."""

    start: date | None = None
    end: date | None = None

    def __contains__(self, day: date) -> bool:
        return (self.start is None or self.start <= day) and (self.end is None or day < self.end)

    def __str__(self) -> str:
        return " ".join(
            f"{word} {day}" for word, day in (("from", self.start), ("to", self.end)) if day
        )


def days(store: Store, wanted: DayRange) -> list[DayFiles]:
    """Return the market days, of those *wanted*, that have files, in order.

    Only names are read, and of a range that is closed only those that may belong to it. Raises
    StoreUnavailable.
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
    """Return *found*, and a day without files for each day of the range, until *today*, that has none.

    An end that is left open is the archive's own.
    """
    by_day = {files.day: files for files in found}
    first = wanted.start or found[0].day
    last = found[-1].day
    if wanted.end:
        last = max(last, min(wanted.end - _DAY, today))
    every = [first + number * _DAY for number in range((last - first).days + 1)]
    return [by_day.get(day) or DayFiles(day, [], "") for day in every]


def read(store: Store, files: DayFiles) -> DayRead:
    """Return the market day that *files* say. Raises StoreUnavailable.

    A file that cannot be read is left out, and so is a row that cannot be used: both are named. So is,
    without a fault, a snapshot of another day: near midnight a file may belong to either, and one that
    was filed without being covered belongs to no day that its name tells.
    """
    done = DayRead(MarketDay(files.day))
    snapshots, reader = [], SnapshotReader()
    for key, body in zip(files.keys, store.get_all(files.keys), strict=True):
        try:
            snapshot = _snapshot(reader, body)
        except UnreadableDocument as error:
            done.faults.unreadable[store.locate(key)] = Unreadable(error.kind, str(error))
            if market_day(candidate := _candidate(key)) == files.day:
                done.unreadable.append(candidate)
            continue
        if market_day(snapshot.at) == files.day:
            snapshots.append(snapshot)
            if snapshot.unused:
                done.faults.rows[store.locate(key)] = snapshot.unused
        elif market_day(candidate := _candidate(key)) == files.day and not _near(
            candidate, market_day(snapshot.at)
        ):
            done.elsewhere.append(candidate)
    done.market_day = fold(files.day, snapshots)
    return done


def _snapshot(reader: SnapshotReader, body: bytes | StoreUnavailable | None) -> Published:
    if body is None:  # to a worker elsewhere, or by now
        raise UnreadableDocument("it was listed, and is not there")
    if isinstance(body, StoreUnavailable):
        raise UnreadableDocument(str(body), "the store does not give it")
    # Three times faster than json; not where a fingerprint is taken: integers beyond 64 bits are floats.
    document = unpack(body, loads=orjson.loads)
    data, metadata = document["data"], document["collection_metadata"]
    try:
        at = parse_ref_id(data["RefId"])
    except ValueError as error:
        raise UnreadableDocument(str(error), "its RefId names no interval") from None
    return reader.read(at, _time(metadata.get("collected_at")), data)


def _candidate(key: str) -> datetime:
    return candidate_of(key.rpartition("/")[2].removesuffix(".gz"))


def _near(candidate: datetime, day: date) -> bool:
    """Return whether *candidate* is so near *day* that its file is also among the files of that day."""
    return day in (market_day(candidate - TOLERANCE), market_day(candidate + TOLERANCE))


def _time(text: Any) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None


@cache
def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _prefixes(wanted: DayRange) -> Iterable[str]:
    """Return where to look: a market day lies in two UTC days."""
    if wanted.start is None or wanted.end is None:
        return [ROOT]
    number = (wanted.end - wanted.start).days + 1
    by = "%Y/%m/%d" if number <= 31 else "%Y/%m"  # each is a request to S3, and a page or more
    every = (wanted.start + count * _DAY for count in range(number))
    return dict.fromkeys(f"{ROOT}/{day:{by}}" for day in every)


_MIDNIGHT = datetime.combine(date(2000, 1, 1), time(), EST).astimezone(UTC)
# A UTC day's candidates, by their time: up to here snapshots are of the old market day, then of either,
# and from here on of the new one.
_EARLY, _LATE = (f"{_MIDNIGHT + offset:%H%M%S}" for offset in (-TOLERANCE, TOLERANCE))


def _version(entries: Iterable[Entry]) -> str:
    names = "\n".join(f"{entry.key} {entry.version}" for entry in entries)
    return hashlib.md5(names.encode(), usedforsecurity=False).hexdigest()
