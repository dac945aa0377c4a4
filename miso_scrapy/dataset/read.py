"""Read the files of a market day, and fold them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from miso_scrapy.archive.document import UnreadableDocument, unpack
from miso_scrapy.dataset.days import DayFiles
from miso_scrapy.dataset.faults import Faults
from miso_scrapy.dataset.fold import FiledFile, MarketDay, Published, SnapshotReader, fold
from miso_scrapy.feed.candidate import candidate_of
from miso_scrapy.feed.coverage import covers
from miso_scrapy.feed.market_day import market_day
from miso_scrapy.feed.ref_id import parse_ref_id
from miso_scrapy.feed.rows import Unused
from miso_scrapy.store import Store, StoreUnavailable


@dataclass
class DayRead:
    """A market day, and what was left out of its files."""

    market_day: MarketDay
    faults: Faults = field(default_factory=Faults)
    """The files that cannot be read, and the rows that cannot be used."""
    complete: bool = True
    """Whether the store returned all the files. If not, a later try may return them."""


def read(store: Store, files: DayFiles) -> DayRead:
    """Read *files*, and return their market day. Raises StoreUnavailable.

    Files that cannot be read and rows that cannot be used are left out, and recorded as faults. A
    snapshot of another market day is left out too, but it is not a fault: a file near midnight may
    belong to either day, and a snapshot that does not cover its candidate belongs to none.
    Each file is reported for one day: that of its snapshot, or of its candidate if it is not used.
    """
    done = DayRead(MarketDay(files.day))
    snapshots, filed, reader = [], [], SnapshotReader()
    keys = files.keys
    for key, body in zip(keys, store.get_all(keys), strict=True):
        if body is None or isinstance(body, StoreUnavailable):
            done.complete = False
        try:
            snapshot = _snapshot(reader, body)
        except UnreadableDocument as error:
            if market_day(candidate := _candidate(key)) == files.day:
                filed.append(_unreadable(key, candidate, str(error)))
                done.faults.add_unreadable(store.locate(key), error.kind, str(error))
            continue
        candidate, day = _candidate(key), market_day(snapshot.at)
        if covers(snapshot.at, candidate):
            if day == files.day:
                snapshots.append(snapshot)
                filed.append(_filed(key, snapshot))
                if snapshot.unused:
                    done.faults.add_rows(store.locate(key), snapshot.unused)
        elif market_day(candidate) == files.day:
            filed.append(_filed(key, snapshot)._replace(filed_under_another_day=True))
    done.market_day = fold(files.day, snapshots, filed)
    return done


def _filed(key: str, snapshot: Published) -> FiledFile:
    return FiledFile(
        key,
        _candidate(key),
        snapshot.at,
        snapshot.collected_at,
        rows=len(snapshot.load) + len(snapshot.forecast) + len(snapshot.cleared),
        dropped_rows=len(snapshot.unused),
        dropped_why="; ".join(_reasons(snapshot.unused)) or None,
        fault=None,
        filed_under_another_day=False,
    )


def _unreadable(key: str, candidate: datetime, fault: str) -> FiledFile:
    return FiledFile(key, candidate, None, None, 0, 0, None, fault, filed_under_another_day=False)


def _reasons(unused: tuple[Unused, ...]) -> list[str]:
    """Return what is wrong with the *unused* rows, each kind of fault once, with its first row."""
    rows: dict[str, str] = {}
    for what, row in unused:
        rows.setdefault(what, row)
    return [f"{what}, such as {row}" for what, row in rows.items()]


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


def _time(text: Any) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None
