"""Read the files of a market day, and fold them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from miso_scrapy.archive.document import UnreadableDocument
from miso_scrapy.dataset.days import DayFiles
from miso_scrapy.dataset.documents import DocumentReader
from miso_scrapy.dataset.faults import Faults
from miso_scrapy.dataset.fold import FiledFile, MarketDay, Published, SnapshotReader, fold
from miso_scrapy.feed.candidate import candidate_of
from miso_scrapy.feed.coverage import covers
from miso_scrapy.feed.market_day import midnight
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


def read(store: Store, files: DayFiles, as_of: datetime | None = None) -> DayRead:
    """Read *files*, and return their market day, as it was known at *as_of*. Raises StoreUnavailable.

    A snapshot was known when it was collected. If that is not known, it counts as known at the interval
    for which it was published. A file that cannot be read counts as known at its candidate.

    Files that cannot be read and rows that cannot be used are left out, and recorded as faults. A
    snapshot of another market day is left out too, but it is not a fault: a file near midnight may
    belong to either day, and a snapshot that does not cover its candidate belongs to none.
    Each file is reported for one day: that of its snapshot, or of its candidate if it is not used.
    """
    done = DayRead(MarketDay(files.day))
    snapshots, filed = [], []
    documents, reader = DocumentReader(), SnapshotReader()
    keys = files.keys
    start = midnight(files.day).astimezone(UTC)
    end = start + timedelta(1)
    for key, body in zip(keys, store.get_all(keys), strict=True):
        candidate = candidate_of(key.rpartition("/")[2].removesuffix(".gz"))
        if body is None or isinstance(body, StoreUnavailable):
            done.complete = False
        try:
            snapshot = _snapshot(documents, reader, body)
        except UnreadableDocument as error:
            if start <= candidate < end and (as_of is None or candidate <= as_of):
                filed.append(_unreadable(key, candidate, str(error)))
                done.faults.add_unreadable(store.locate(key), error.kind, str(error))
            continue
        if as_of is not None and (snapshot.collected_at or snapshot.at) > as_of:
            continue
        if covers(snapshot.at, candidate):
            if start <= snapshot.at < end:
                snapshots.append(snapshot)
                filed.append(_filed(key, candidate, snapshot))
                if snapshot.unused:
                    done.faults.add_rows(store.locate(key), snapshot.unused)
        elif start <= candidate < end:
            another = _filed(key, candidate, snapshot)._replace(filed_under_another_day=True)
            filed.append(another)
    done.market_day = fold(files.day, snapshots, filed)
    return done


def _filed(key: str, candidate: datetime, snapshot: Published) -> FiledFile:
    return FiledFile(
        key,
        candidate,
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


def _snapshot(
    documents: DocumentReader, reader: SnapshotReader, body: bytes | StoreUnavailable | None
) -> Published:
    if body is None:  # removed since, or a worker on another machine does not see it
        raise UnreadableDocument("it was listed, and is not there")
    if isinstance(body, StoreUnavailable):
        raise UnreadableDocument(str(body), "the store cannot read it")
    data, metadata = documents.read(body)
    try:
        at = parse_ref_id(data["RefId"])
    except ValueError as error:
        raise UnreadableDocument(str(error), "its RefId must name an interval") from None
    return reader.read(at, _time(metadata.get("collected_at")), data)


def _time(text: Any) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None
