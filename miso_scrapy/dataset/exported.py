"""The tables of an export where they are stored, and the manifest beside them.

``_manifest.json`` has an entry for each market day: the version of the files that its tables were made
from, the versions of the tables, and the facts of its audit. A day whose entry matches the listing of
the archive and of the tables need not be read again.

A day's tables are replaced so that a reader sees either all of the old ones or all of the new ones,
even if the export is killed, and if several exports run at once:

1. All new tables are stored in one file below ``_pending``. From here on a reader takes them from it.
2. Each table is replaced, if it still has the version that was merged into the new one. If not, another
   export is at work on the day: this one begins the day again, from what is there now.
3. The file below ``_pending`` is removed.

The next export finishes a day that has a file below ``_pending``.

Arrow takes longer to import than a year of the listing takes to compare with the manifest. So it is
imported only to read tables.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from functools import reduce
from itertools import chain
from typing import TYPE_CHECKING, Any

import orjson

from miso_scrapy.archive.identity import Kind
from miso_scrapy.dataset import TABLES
from miso_scrapy.dataset.audit import DayFacts
from miso_scrapy.dataset.days import DayRange
from miso_scrapy.dataset.faults import Faults
from miso_scrapy.dataset.fold import MarketDay
from miso_scrapy.dataset.merge import merge
from miso_scrapy.store import Store, StoreUnavailable

if TYPE_CHECKING:
    import pyarrow as pa

    from miso_scrapy.dataset.day_values import DayValues

_LAYOUT = 3
"""The version of the tables. Change it when the same files give other tables: all days are redone."""
_TABLE = re.compile(rf"({'|'.join(TABLES)})/market_day=(\d{{4}}-\d\d-\d\d)/\1\.parquet", re.ASCII)
_PENDING = re.compile(r"_pending/(\d{4}-\d\d-\d\d)-[0-9a-f]+\.zip", re.ASCII)
_TRIES = 20
_AT_ONCE = 32
_READERS = 2  # threads; they hold the GIL half of the time, so more of them only wait


def key_of(table: str, day: date) -> str:
    """Return the key of a day's *table*: ``load/market_day=2025-12-05/load.parquet``."""
    return f"{table}/market_day={day}/{table}.parquet"


def version_of(files_version: str) -> str:
    """Return the version of the tables that are made from files with *files_version*."""
    return f"{_LAYOUT}-{files_version}"


@dataclass
class Entry:
    """What the manifest says of a market day."""

    version: str
    """The version of the files; empty if the store could not read all of them."""
    tables: dict[str, str]
    """The version of each table in the store. A day without snapshots has none."""
    facts: DayFacts
    faults: Faults
    knew_more: bool = False
    """Whether the tables have values that the files no longer have."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry as JSON values."""
        return {
            "version": self.version,
            "tables": self.tables,
            "facts": self.facts.to_json(),
            "faults": self.faults.to_json(),
            "knew_more": self.knew_more,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Entry:
        """Return the entry in *value*. Raises LookupError, TypeError and ValueError."""
        return cls(
            value["version"],
            value["tables"],
            DayFacts.from_json(value["facts"]),
            Faults.from_json(value["faults"]),
            value["knew_more"],
        )


@dataclass
class Manifest:
    """The entries of the market days."""

    kind: Kind | None = None
    """The kind of the archive; None if there is no manifest."""
    days: dict[date, Entry] = field(default_factory=dict)

    def within(self, wanted: DayRange) -> dict[date, Entry]:
        """Return the entries of the days *wanted*, in order."""
        return {day: entry for day, entry in sorted(self.days.items()) if day in wanted}


@dataclass
class Listing:
    """What is in the store."""

    tables: dict[date, dict[str, str]] = field(default_factory=dict)
    """The versions of a day's tables."""
    pending: dict[date, list[str]] = field(default_factory=dict)
    """The keys of a day's files below _pending."""


class ExportedTables:
    """The tables below *prefix* in *store*."""

    def __init__(self, store: Store, prefix: str = "") -> None:
        self.store = store
        self._prefix = prefix
        self._last: tuple[bytes, dict[str, Any]] = b"", {}
        """The manifest that was read last, and its JSON."""

    @property
    def location(self) -> str:
        """The location of the tables: a URI or a path."""
        return self.store.locate(self._prefix).rstrip("/")

    def manifest(self, wanted: DayRange | None = None) -> Manifest:
        """Return the manifest, with the entries of the days *wanted*. Raises StoreUnavailable.

        Without a manifest, or if it is damaged, return an empty one.
        """
        return _parsed(self._manifest()[0], wanted)

    def manifest_kind(self) -> Kind | None:
        """Return the kind in the manifest; None if there is no manifest. Raises StoreUnavailable."""
        return self.manifest(DayRange(date.max)).kind  # without the entries of the days

    def _manifest(self) -> tuple[dict[str, Any], str | None]:
        """Return the JSON of the manifest, which may be damaged, and its version.

        The JSON is kept for the next call: do not change it.
        """
        found = self.store.get_versioned(self._key("_manifest.json"))
        if found is None:
            return {}, None
        body, version = found
        if body != self._last[0]:
            try:
                value = orjson.loads(body)
            except ValueError:
                value = None
            self._last = body, value if isinstance(value, dict) else {}
        return self._last[1], version

    def save(self, days: Mapping[date, Entry], kind: Kind) -> None:
        """Put the entries of *days* into the manifest. Raises StoreUnavailable."""
        for _ in range(_TRIES):
            value, version = self._manifest()
            old = {} if _parsed(value).kind is None else value["days"]  # empty if it is damaged
            entries = old | {str(day): entry.to_json() for day, entry in days.items()}
            value = {"kind": kind, "days": dict(sorted(entries.items()))}
            body = orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
            if self.store.replace(self._key("_manifest.json"), body, version):
                return
        raise self._contended()

    def listing(self) -> Listing:
        """Return what is in the store. Raises StoreUnavailable."""
        listing = Listing()
        for table in TABLES:
            for entry in self.store.entries(self._key(table)):
                if match := _TABLE.fullmatch(entry.key[len(self._prefix) :]):
                    day = date.fromisoformat(match[2])
                    listing.tables.setdefault(day, {})[table] = entry.version
        listing.pending = self.pending()
        return listing

    def pending(self) -> dict[date, list[str]]:
        """Return the keys of the files below _pending, by market day. Raises StoreUnavailable."""
        found: dict[date, list[str]] = {}
        for entry in self.store.entries(self._key("_pending")):
            if match := _PENDING.fullmatch(entry.key[len(self._prefix) :]):
                found.setdefault(date.fromisoformat(match[1]), []).append(entry.key)
        return found

    def kind(self, listing: Listing) -> Kind | None:
        """Return the kind that one of the tables was made from; None if there are no tables."""
        from miso_scrapy.dataset.tables import kind_in

        for day, tables in listing.tables.items():
            for table in tables:
                body = self.store.get(self._key(key_of(table, day)))
                if body is not None and (kind := kind_in(body)):
                    return kind
        return None

    def read(self, day: date, tables: Iterable[str] = TABLES) -> dict[str, tuple[bytes, str]]:
        """Return the *tables* of a day that are there, with their versions. Raises StoreUnavailable."""
        found = {table: self.store.get_versioned(self._key(key_of(table, day))) for table in tables}
        return {table: body for table, body in found.items() if body is not None}

    def market_day(self, day: date, pending: Iterable[str] = ()) -> MarketDay:
        """Return the market day in the tables of *day* and in its files *pending*.

        Raises StoreUnavailable and WrongTables.
        """
        from miso_scrapy.dataset.tables import market_day_of, read_parquet, version_in

        def read(tables: Mapping[str, bytes]) -> dict[str, pa.Table]:
            return {name: read_parquet(name, day, body) for name, body in tables.items()}

        for _ in range(_TRIES):
            # Before the tables: when such a file is gone, all its tables are in place.
            bundles = [read(tables) for tables in self.bundles(pending)]
            tables = read({table: body for table, (body, _) in self.read(day).items()})
            if bundles or len({version_in(table) for table in tables.values()}) < 2:
                return reduce(merge, (market_day_of(day, each) for each in (tables, *bundles)))
            pending = self.pending().get(day, ())  # they are being replaced
        raise self._contended()

    def market_days(self, days: Sequence[date]) -> list[MarketDay]:
        """Return the market day of each of *days*. Raises StoreUnavailable and WrongTables."""
        pending = self.pending()
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return list(threads.map(lambda day: self.market_day(day, pending.get(day, ())), days))

    def table(self, name: str, days: Sequence[date]) -> list[pa.Table]:
        """Return the table *name* of each of *days*. Raises StoreUnavailable and WrongTables."""
        from miso_scrapy.dataset.tables import SCHEMAS, arrow_table, read_parquet

        pending = self.pending()

        def table(day: date, body: bytes | None) -> pa.Table:
            if day in pending:
                return arrow_table(name, self.market_day(day, pending[day]))
            return SCHEMAS[name].empty_table() if body is None else read_parquet(name, day, body)

        def tables(part: list[tuple[date, bytes | None]]) -> list[pa.Table]:
            return [table(day, body) for day, body in part]

        found = list(zip(days, self._bodies(days, (name,)), strict=True))
        # A part for each thread: if each day was a task of its own, it would take a tenth longer.
        size = len(found) // _READERS + 1
        parts = (found[first : first + size] for first in range(0, len(found), size))
        with ThreadPoolExecutor(_READERS) as threads:
            return list(chain.from_iterable(threads.map(tables, parts)))

    def values(self, days: Sequence[date]) -> list[DayValues]:
        """Return the values of each of *days*. Raises StoreUnavailable and WrongTables.

        It reads only the columns that it needs, which takes a fraction of the time of market_days().
        """
        from miso_scrapy.dataset.day_values import COLUMNS, day_values, values_of
        from miso_scrapy.dataset.tables import read_parquet, version_in

        pending = self.pending()

        def values(day: date, *bodies: bytes | None) -> DayValues:
            tables = {
                name: read_parquet(name, day, body, columns)
                for (name, columns), body in zip(COLUMNS.items(), bodies, strict=True)
                if body is not None
            }
            replaced = len({version_in(table) for table in tables.values()}) > 1
            if replaced or day in pending:
                return values_of(self.market_day(day, pending.get(day, ())))
            return day_values(day, tables)

        of_day = [self._bodies(days, COLUMNS)] * len(COLUMNS)  # one iterator: each takes the next
        with ThreadPoolExecutor(_READERS) as threads:
            return list(threads.map(values, days, *of_day))

    def _bodies(self, days: Iterable[date], tables: Collection[str]) -> Iterator[bytes | None]:
        """Yield each of *tables* of each of *days*, None if it is not there. Raises StoreUnavailable."""
        keys = [self._key(key_of(table, day)) for day in days for table in tables]
        for body in self.store.get_all(keys):
            if isinstance(body, StoreUnavailable):
                raise body
            yield body

    def check(self) -> None:
        """Raise StoreUnavailable if tables certainly cannot be stored."""
        self.store.check()

    def bundles(self, keys: Iterable[str]) -> list[dict[str, bytes]]:
        """Return the tables in each of the files *keys* below _pending. Raises StoreUnavailable."""
        bodies = self.store.get_all(list(keys))
        return [_unzip(body) for body in bodies if isinstance(body, bytes)]

    def publish(
        self, day: date, tables: Mapping[str, bytes], versions: Mapping[str, str]
    ) -> dict[str, str] | None:
        """Replace the tables of *day*, which have *versions*, by *tables*. Return the new versions.

        Return None if a table has another version by now: then the file below _pending stays. Raises
        StoreUnavailable.
        """
        pending = None
        if versions:  # a day that has no tables is not read before it is in the manifest
            bundle = _zip(tables)
            digest = hashlib.md5(bundle, usedforsecurity=False).hexdigest()
            pending = self._key(f"_pending/{day}-{digest}.zip")
            self.store.put(pending, bundle, {}, overwrite=True)

        def replace(table: str) -> str | None:
            key = self._key(key_of(table, day))
            return self.store.replace(key, tables[table], versions.get(table))

        with ThreadPoolExecutor(len(tables)) as threads:
            new = dict(zip(tables, threads.map(replace, tables), strict=True))
        done = {table: version for table, version in new.items() if version is not None}
        if len(done) < len(tables):
            return None
        if pending:
            self.store.delete(pending)
        return done

    def remove(self, pending: Iterable[str]) -> None:
        """Remove files below _pending, after their tables were published. Raises StoreUnavailable."""
        for key in pending:
            self.store.delete(key)

    def _key(self, key: str) -> str:
        return self._prefix + key

    def _contended(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"another export keeps changing {self.location}: wait for it, and run this again"
        )


def _parsed(value: dict[str, Any], wanted: DayRange | None = None) -> Manifest:
    """Return the manifest in *value*, with the entries of the days *wanted*; an empty one if damaged."""
    try:
        return Manifest(
            Kind(value["kind"]),
            {
                day: Entry.from_json(entry)
                for text, entry in value["days"].items()
                if (day := date.fromisoformat(text)) and (wanted is None or day in wanted)
            },
        )
    except (LookupError, TypeError, ValueError, AttributeError):
        return Manifest()


def _zip(tables: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        for table, body in tables.items():
            bundle.writestr(zipfile.ZipInfo(table), body)  # without the time
    return out.getvalue()


def _unzip(body: bytes) -> dict[str, bytes]:
    """Return the tables in the file *body*, none if it is damaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as bundle:
            return {table: bundle.read(table) for table in bundle.namelist()}
    except zipfile.BadZipFile:
        return {}
