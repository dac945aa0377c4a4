"""Export market days to Parquet files, three for each day, or to one CSV file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from miso_scrapy.archive.identity import Kind
from miso_scrapy.dataset.days import DayFiles
from miso_scrapy.dataset.faults import Faults
from miso_scrapy.dataset.merge import merge, same_tables
from miso_scrapy.dataset.read import read
from miso_scrapy.dataset.tables import (
    CSV_HEADER,
    SCHEMAS,
    load_csv,
    market_day_of,
    parquet_files,
    version_of,
)
from miso_scrapy.dataset.workers import Map
from miso_scrapy.store import Store
from miso_scrapy.store.directory import DirectoryStore
from miso_scrapy.store.whole_file import NothingToWrite, whole_file


@dataclass
class Exported:
    """The result of exporting a market day."""

    files: DayFiles
    snapshots: int
    tables: dict[str, bytes]
    """The content of each table to write; empty if the tables that were exported before are kept."""
    faults: Faults = field(default_factory=Faults)
    knew_more: bool = False
    """Whether the tables that were exported before hold values that the files no longer have."""


@dataclass(frozen=True)
class Task:
    """A market day to export, and the tables that were exported of it before."""

    files: DayFiles
    before: dict[str, bytes] = field(default_factory=dict)


def key_of(table: str, files: DayFiles) -> str:
    """Return the key of a day's *table*: ``load/market_day=2025-12-05/load.parquet``."""
    return f"{table}/market_day={files.day}/{table}.parquet"


def is_current(target: Path, files: DayFiles) -> bool:
    """Return whether the tables of a day below *target* were made from exactly these *files*."""
    versions = {version_of(target / key_of(table, files)) for table in SCHEMAS}
    return versions == {_version(files)}


_LAYOUT = "2"
"""The version of the tables. Change it when the same files give other tables: all days are redone."""


def _version(files: DayFiles) -> str:
    return f"{_LAYOUT}-{len(files.keys)}-{files.version}"


def _files_in(version: str | None) -> int:
    """Return the number of files that *version* was made from; 0 if it does not say."""
    match = re.fullmatch(r"\d+-(\d+)-.*", version or "")
    return int(match[1]) if match else 0


def export_parquet(
    store: Store, days: list[DayFiles], target: DirectoryStore, spread: Map, kind: Kind
) -> Iterator[Exported]:
    """Write the tables of *days* below *target*; yield each day once its files are in place.

    *spread* maps a function over the days, as :func:`workers` provides it. *kind* is the kind of the
    archive. Raises StoreUnavailable.
    """
    tasks = [Task(files, _before(target, files)) for files in days]
    for done in spread(partial(day_parquet, store, kind), tasks):
        for table, body in done.tables.items():
            target.put(key_of(table, done.files), body, {}, overwrite=True)
        yield done


def _before(target: DirectoryStore, files: DayFiles) -> dict[str, bytes]:
    bodies = {table: target.get(key_of(table, files)) for table in SCHEMAS}
    return {table: body for table, body in bodies.items() if body is not None}


def day_parquet(store: Store, kind: Kind, task: Task) -> Exported:
    """Return the Parquet files of a day. This may run in a worker process.

    The files keep the values that were exported before: since then the archive may have lost snapshots,
    or some may have become unreadable.
    """
    files, done = task.files, read(store, task.files)
    day, snapshots = done.market_day, len(done.market_day.snapshots)
    knew_more = False
    if task.before:
        before = market_day_of(files.day, task.before)
        day = merge(before, done.market_day)
        knew_more = not same_tables(day, done.market_day)
        fewer = max(map(_files_in, map(version_of, task.before.values()))) > len(files.keys)
        if knew_more and (fewer or done.faults.unreadable) and same_tables(day, before):
            return Exported(files, snapshots, {}, done.faults, knew_more)
    if not snapshots:
        return Exported(files, snapshots, {}, done.faults, knew_more)
    # An unreadable file may be repaired later, so such a day is never current.
    version = "" if done.faults.unreadable else _version(files)
    return Exported(files, snapshots, parquet_files(day, version, kind), done.faults, knew_more)


def export_csv(store: Store, days: list[DayFiles], target: Path, spread: Map) -> Iterator[Exported]:
    """Write the load of *days* to the file *target*; it appears once it is complete.

    If no snapshot can be read, an existing file is kept. Raises StoreUnavailable.
    """
    with whole_file(target) as file:
        file.write(CSV_HEADER)
        snapshots = 0
        for done in spread(partial(day_csv, store), days):
            file.write(done.tables["load"])
            snapshots += done.snapshots
            yield done
        if not snapshots:
            raise NothingToWrite


def day_csv(store: Store, files: DayFiles) -> Exported:
    """Return the load of a day as CSV."""
    done = read(store, files)
    tables = {"load": load_csv(done.market_day)}
    return Exported(files, len(done.market_day.snapshots), tables, done.faults)
