"""Read the files of a market day, and fold them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import orjson

from miso_scrapy.archive.document import UnreadableDocument, unpack
from miso_scrapy.dataset.days import DayFiles
from miso_scrapy.dataset.faults import Faults, Unreadable
from miso_scrapy.dataset.fold import MarketDay, Published, SnapshotReader, fold
from miso_scrapy.feed.candidate import candidate_of
from miso_scrapy.feed.coverage import TOLERANCE
from miso_scrapy.feed.market_day import market_day
from miso_scrapy.feed.ref_id import parse_ref_id
from miso_scrapy.store import Store, StoreUnavailable


@dataclass
class DayRead:
    """A market day, and what was left out of its files."""

    market_day: MarketDay
    faults: Faults = field(default_factory=Faults)
    """The files that cannot be read, and the rows that cannot be used."""
    unreadable: list[datetime] = field(default_factory=list)
    """The files that cannot be read: their candidates on this market day, UTC."""
    elsewhere: list[datetime] = field(default_factory=list)
    """The files that hold a snapshot of another day: their candidates on this market day, UTC."""


def read(store: Store, files: DayFiles) -> DayRead:
    """Read *files*, and return their market day. Raises StoreUnavailable.

    Files that cannot be read and rows that cannot be used are left out, and recorded as faults. A
    snapshot of another market day is left out too, but it is not a fault: a file near midnight may
    belong to either day, and a snapshot that was filed without covering its candidate may be of any day.
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
    if body is None:  # removed since, or a worker on another machine does not see it
        raise UnreadableDocument("it was listed, and is not there")
    if isinstance(body, StoreUnavailable):
        raise UnreadableDocument(str(body), "the store cannot read it")
    # orjson is three times faster than json. Do not use it for fingerprints: it reads integers beyond
    # 64 bits as floats.
    document = unpack(body, loads=orjson.loads)
    data, metadata = document["data"], document["collection_metadata"]
    try:
        at = parse_ref_id(data["RefId"])
    except ValueError as error:
        raise UnreadableDocument(str(error), "its RefId must name an interval") from None
    return reader.read(at, _time(metadata.get("collected_at")), data)


def _candidate(key: str) -> datetime:
    return candidate_of(key.rpartition("/")[2].removesuffix(".gz"))


def _near(candidate: datetime, day: date) -> bool:
    """Return whether *candidate* is so near to *day* that its file is among the files of *day* too."""
    return day in (market_day(candidate - TOLERANCE), market_day(candidate + TOLERANCE))


def _time(text: Any) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None
