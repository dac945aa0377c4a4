"""The Python interface: read an archive, or exported tables, as Arrow tables."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, TypedDict, TypeVar, Unpack
from zoneinfo import ZoneInfo

import pyarrow as pa

from miso_scrapy.archive.document import ROOT
from miso_scrapy.archive.identity import Kind, archive_kind
from miso_scrapy.dataset.as_of import known_by
from miso_scrapy.dataset.audit import DayFacts, audit, facts, figures
from miso_scrapy.dataset.days import DayRange, days, every_day
from miso_scrapy.dataset.exported import ExportedTables
from miso_scrapy.dataset.faults import WrongTables
from miso_scrapy.dataset.fold import MarketDay
from miso_scrapy.dataset.read import read
from miso_scrapy.dataset.tables import SCHEMAS, TIME, arrow_table
from miso_scrapy.dataset.update import Update
from miso_scrapy.dataset.workers import ClusterUnavailable, Map, workers
from miso_scrapy.feed.market_day import market_day
from miso_scrapy.store import Store, StoreUnavailable
from miso_scrapy.store.location import Location

T = TypeVar("T")
Day = str | date
"""A market day: a date, or a text such as ``2026-11-01``."""
Instant = str | datetime
"""A time with its offset from UTC, such as ``2026-11-07T06:00-05:00``."""


class ArchiveError(Exception):
    """Raised if an archive or its tables cannot be read. The message is one line."""


class S3Options(TypedDict, total=False):
    """What boto3 takes to connect to S3, if its usual chain does not find it."""

    profile_name: str
    aws_access_key_id: str
    aws_secret_access_key: str
    aws_session_token: str
    region_name: str
    endpoint_url: str


_SETTINGS = {
    "profile_name": "AWS_PROFILE",
    "aws_access_key_id": "AWS_ACCESS_KEY_ID",
    "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "aws_session_token": "AWS_SESSION_TOKEN",
    "region_name": "AWS_REGION_NAME",
    "endpoint_url": "AWS_ENDPOINT_URL",
}


def open_archive(
    location: str | os.PathLike[str],
    *,
    tables: str | os.PathLike[str] | None = None,
    dask: Any = None,
    **s3: Unpack[S3Options],
) -> Archive:
    """Open the archive, or the exported tables, at *location*.

    *location* is a directory, ``s3://bucket``, or for tables ``s3://bucket/prefix``. If *tables* are
    given as well, each question brings them up to date for its market days, and is answered from them.
    *dask* is the cluster to read on: what ``distributed.Client`` takes, such as
    ``tcp://scheduler:8786``.

    Raises ArchiveError if there is neither an archive nor tables, and ValueError for a location that is
    not a path or an S3 address.
    """
    unknown = s3.keys() - _SETTINGS.keys()
    if unknown:
        raise TypeError(f"open_archive() has no argument {min(unknown)!r}")
    settings = {_SETTINGS[name]: value for name, value in s3.items()}
    where = Location.parse("location", os.fspath(location))
    with _plain():
        store, prefix = where.open("the location", settings)
        store.check(to_write=False)
        exported = None
        if tables is not None:
            beside = Location.parse("tables", os.fspath(tables))
            exported = ExportedTables(*beside.open("tables", settings))
        if not prefix and any(True for _ in store.entries(ROOT)):
            return Archive(str(where), store, exported, dask)
        found = ExportedTables(store, prefix)
        if exported is None and found.manifest_kind() is not None:
            return Archive(str(where), None, found, dask)
    raise ArchiveError(f"{where} holds no archive and no exported tables: check the location")


class Archive:
    """An archive, or its exported tables; see :func:`open_archive`.

    All methods take *start* and *end*: market days. The end is not included. Without *start* they begin
    with the archive's first day, and without *end* they include today. With *as_of*, they answer as at
    that time: from the snapshots that were collected by then. *tz* is the time zone of the columns with
    times, by default UTC.

    They return a ``pyarrow.Table`` with the columns that docs/data/tables.md describes, and in front
    the ``market_day``. They raise ArchiveError if the store or the cluster cannot be used, and
    ValueError for a wrong argument.
    """

    def __init__(
        self, location: str, store: Store | None, tables: ExportedTables | None, dask: Any
    ) -> None:
        self.location = location
        self._store = store
        self._tables = tables
        self._dask = dask

    def __repr__(self) -> str:
        return f"<miso_scrapy.Archive {self.location}>"

    def load(
        self,
        start: Day | None = None,
        end: Day | None = None,
        *,
        as_of: Instant | None = None,
        tz: str = "UTC",
    ) -> pa.Table:
        """Return the load: a row for each 5-minute interval."""
        return self._table("load", start, end, as_of, tz)

    def load_vintages(
        self,
        start: Day | None = None,
        end: Day | None = None,
        *,
        as_of: Instant | None = None,
        tz: str = "UTC",
    ) -> pa.Table:
        """Return each change of the load of an interval."""
        return self._table("load_vintages", start, end, as_of, tz)

    def forecast(
        self,
        start: Day | None = None,
        end: Day | None = None,
        *,
        as_of: Instant | None = None,
        tz: str = "UTC",
    ) -> pa.Table:
        """Return each change of the forecast of an hour."""
        return self._table("forecast", start, end, as_of, tz)

    def cleared(
        self,
        start: Day | None = None,
        end: Day | None = None,
        *,
        as_of: Instant | None = None,
        tz: str = "UTC",
    ) -> pa.Table:
        """Return each change of the MW cleared for an hour."""
        return self._table("cleared", start, end, as_of, tz)

    def snapshots(
        self,
        start: Day | None = None,
        end: Day | None = None,
        *,
        as_of: Instant | None = None,
        tz: str = "UTC",
    ) -> pa.Table:
        """Return what became of each file."""
        return self._table("snapshots", start, end, as_of, tz)

    def audit(
        self,
        start: Day | None = None,
        end: Day | None = None,
        *,
        as_of: Instant | None = None,
        tz: str = "UTC",
    ) -> pa.Table:
        """Return what the archive has of each market day, as ``scrapy audit --json`` does."""
        then = _instant(as_of)
        wanted = _range(start, end, then)
        with _plain():
            if then is not None or self._tables is None:
                known = [facts(day) for day in self._days(wanted, then) if day.snapshots]
            else:
                known = self._facts(self._tables, wanted)
        by_day = {day.day: day for day in known}
        now = then or datetime.now(UTC)
        every = every_day(sorted(by_day), wanted, market_day(now)) if by_day or wanted.start else []
        audits = [audit(by_day.get(day) or facts(MarketDay(day)), now) for day in every]
        rows = [
            {
                "market_day": each.day,
                **figures(each),
                "missing": [
                    {"first": gap.first, "last": gap.last, "values": len(gap)}
                    for gap in each.missing
                ],
            }
            for each in audits
        ]
        return pa.Table.from_pylist(rows, schema=_audit_schema(_time(tz)))

    def _table(
        self, name: str, start: Day | None, end: Day | None, as_of: Instant | None, tz: str
    ) -> pa.Table:
        then = _instant(as_of)
        wanted = _range(start, end, then)
        with _plain():
            if then is not None or self._tables is None:
                parts = [(day.day, arrow_table(name, day)) for day in self._days(wanted, then)]
                kind = self._kind()
            else:
                parts, kind = self._exported(self._tables, name, wanted)
        tables = [SCHEMAS[name].empty_table(), *(table for _, table in parts)]
        repeated = [
            pa.array([], pa.date32()),
            *(_repeated(day, len(table)) for day, table in parts),
        ]
        whole = pa.concat_tables(tables).add_column(0, "market_day", pa.chunked_array(repeated))
        return _in_zone(whole.replace_schema_metadata({"miso_scrapy.kind": str(kind)}), tz)

    def _days(self, wanted: DayRange, then: datetime | None) -> Iterator[MarketDay]:
        """Yield the market days, from the tables if there are some; as at *then*, if it is given.

        A market day takes 0.25 MB, ten times as much as its table of the load: do not hold many.
        """
        if self._tables is not None:
            self._update(self._tables, wanted)
            exported = self._tables.market_days(sorted(self._tables.manifest(wanted).days))
            yield from (known_by(day, then) for day in exported) if then else exported
            return
        assert self._store is not None
        files = days(self._store, wanted)
        with self._spread(len(files)) as spread:
            for done in spread(partial(read, self._store, as_of=then), files):
                yield done.market_day

    def _exported(
        self, tables: ExportedTables, name: str, wanted: DayRange
    ) -> tuple[list[tuple[date, pa.Table]], Kind]:
        self._update(tables, wanted)
        manifest = tables.manifest(wanted)
        found = sorted(day for day, entry in manifest.days.items() if entry.tables)
        return list(zip(found, tables.table(name, found), strict=True)), manifest.kind or Kind.REAL

    def _facts(self, tables: ExportedTables, wanted: DayRange) -> list[DayFacts]:
        self._update(tables, wanted)
        entries = tables.manifest(wanted).days.values()
        return [entry.facts for entry in entries if entry.tables]

    def _update(self, tables: ExportedTables, wanted: DayRange) -> None:
        """Bring *tables* up to date, if they were given beside an archive."""
        if self._store is None:
            return
        found = list(days(self._store, wanted))
        update = Update.prepare(self._store, tables, found, self._kind())
        with self._spread(len(update.todo)) as spread:
            for _ in update.run(spread):
                pass

    def _kind(self) -> Kind:
        if self._store is not None:
            return archive_kind(self._store)
        assert self._tables is not None
        return self._tables.manifest_kind() or Kind.REAL

    @contextmanager
    def _spread(self, tasks: int) -> Iterator[Map]:
        """Yield a ``map`` that reads several days at once.

        It uses threads: worker processes would import the caller's script, which runs it again unless it
        is written for that.
        """
        if self._dask is not None:
            with workers(tasks, self._dask) as spread:
                yield spread
            return
        with ThreadPoolExecutor(max(1, min(tasks, 4))) as threads:
            yield threads.map


@contextmanager
def _plain() -> Iterator[None]:
    try:
        yield
    except (StoreUnavailable, WrongTables, ClusterUnavailable) as error:
        raise ArchiveError(str(error)) from None  # the line says all that a user needs


def _range(start: Day | None, end: Day | None, then: datetime | None) -> DayRange:
    first, last = _day("start", start), _day("end", end)
    if last is None:
        last = market_day(then or datetime.now(UTC)) + timedelta(1)
    elif first and last <= first:
        raise ValueError(f"end {last} must be after start {first}: the end is not included")
    return DayRange(first, last)


def _day(name: str, value: Day | None) -> date | None:
    if isinstance(value, datetime) or not isinstance(value, (str, date, type(None))):
        raise ValueError(f"{name} {value!r} must be a market day, such as 2026-11-01")
    return _parsed(
        date.fromisoformat, f"{name} {value!r} must be a date, such as 2026-11-01", value
    )


def _instant(value: Instant | None) -> datetime | None:
    fault = f"as_of {value!r} must be a time with its offset, such as 2026-11-07T06:00-05:00"
    instant = _parsed(datetime.fromisoformat, fault, value)
    if not isinstance(instant, (datetime, type(None))) or (instant and instant.tzinfo is None):
        raise ValueError(fault)
    try:
        if instant:
            market_day(instant) + timedelta(1)
    except OverflowError:
        raise ValueError(f"as_of {value!r} is too early or too late") from None
    return instant


def _parsed(parse: Callable[[str], T], fault: str, value: str | T | None) -> T | None:
    if not isinstance(value, str):
        return value
    try:
        return parse(value)
    except ValueError:
        raise ValueError(fault) from None


def _audit_schema(time: pa.DataType) -> pa.Schema:
    return pa.schema(
        {
            "market_day": pa.date32(),
            "snapshots": pa.int32(),
            "values": pa.int32(),
            "values_missing": pa.int32(),
            "healed": pa.int32(),
            "revisions": pa.int32(),
            "largest_revision_mw": pa.float64(),
            "unreadable_files": pa.int32(),
            "dropped_rows": pa.int32(),
            "filed_under_another_day": pa.int32(),
            "empty_snapshots": pa.int32(),
            "longest_silence_minutes": pa.int32(),
            "newest": time,
            "missing": pa.list_(pa.struct({"first": time, "last": time, "values": pa.int32()})),
        }
    )


def _repeated(day: date, length: int) -> pa.Array:
    return pa.repeat(pa.scalar(day, pa.date32()), length)


def _in_zone(table: pa.Table, tz: str) -> pa.Table:
    """Return *table* with its times in the zone *tz*."""
    time = _time(tz)
    fields = [field.with_type(time) if field.type == TIME else field for field in table.schema]
    return table.cast(pa.schema(fields, metadata=table.schema.metadata))


def _time(tz: str) -> pa.DataType:
    """Return the type of a time in the zone *tz*. Raises ValueError."""
    try:
        ZoneInfo(tz)
    except (LookupError, TypeError, ValueError, OSError):
        raise ValueError(f"tz {tz!r} must be a time zone, such as EST or America/Chicago") from None
    return pa.timestamp("us", tz)
