"""Make the tables of a market day, or write tables to CSV files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from functools import partial, reduce
from typing import BinaryIO

import pyarrow as pa

from miso_scrapy.archive.identity import Kind
from miso_scrapy.dataset import TABLES
from miso_scrapy.dataset.audit import facts
from miso_scrapy.dataset.csv import csv_header, csv_lines
from miso_scrapy.dataset.days import DayFiles
from miso_scrapy.dataset.exported import Entry, version_of
from miso_scrapy.dataset.faults import DamagedTable, Faults
from miso_scrapy.dataset.merge import merge
from miso_scrapy.dataset.read import read
from miso_scrapy.dataset.tables import (
    market_day_of,
    parquet_files,
    read_parquet,
    version_in,
)
from miso_scrapy.dataset.workers import Map
from miso_scrapy.store import Store


@dataclass(frozen=True)
class Task:
    """A market day to export, and what was exported of it before."""

    files: DayFiles
    before: Sequence[dict[str, bytes]] = ()
    """The tables, and those of each file below _pending."""


@dataclass
class DayTables:
    """The tables of a market day."""

    day: date
    snapshots: int
    entry: Entry
    bodies: dict[str, bytes] = field(default_factory=dict)
    """The content of each table to write; empty if the tables that were exported before are kept."""


def day_tables(archive: Store, kind: Kind, task: Task) -> DayTables:
    """Return the tables of a day. This may run in a worker process.

    They keep what was exported before: since then the archive may have lost snapshots, or some may
    have become unreadable.
    """
    files, done = task.files, read(archive, task.files)
    day = done.market_day
    snapshots = sum(1 for _ in day.used())
    version = version_of(files.version) if done.complete else ""
    intact = [_intact(files.day, tables) for tables in task.before]
    exported = [market_day_of(files.day, tables) for tables in intact]
    if exported:
        before = reduce(merge, exported)
        day = merge(before, done.market_day)
    entry = Entry(version, {}, facts(day), done.faults, knew_more=day != done.market_day)
    result = DayTables(files.day, snapshots, entry)
    unchanged = len(exported) == 1 and day == before and _whole(intact[0])
    if day.snapshots and not unchanged:
        result.bodies = parquet_files(day, version, kind)
    return result


def _whole(tables: dict[str, pa.Table]) -> bool:
    """Return whether all the tables of a day are there, of the same export."""
    return len(tables) == len(TABLES) and len(set(map(version_in, tables.values()))) == 1


def _intact(day: date, tables: dict[str, bytes]) -> dict[str, pa.Table]:
    """Return those of the *tables* of a day that can be read. The export writes the others again."""
    found = {}
    for name, body in tables.items():
        with suppress(DamagedTable):
            found[name] = read_parquet(name, day, body)
    return found


@dataclass
class CsvDay:
    """A market day as CSV."""

    snapshots: int
    lines: dict[str, bytes]
    """The lines of each table."""
    faults: Faults


def export_csv(
    archive: Store, days: Sequence[DayFiles], outputs: dict[str, BinaryIO], spread: Map
) -> Iterator[CsvDay]:
    """Write *days* to *outputs*, a file for each table; yield each day. Raises StoreUnavailable."""
    for table, output in outputs.items():
        output.write(csv_header(table))
    for done in spread(partial(day_csv, archive, tuple(outputs)), days):
        for table, lines in done.lines.items():
            outputs[table].write(lines)
        yield done


def day_csv(archive: Store, tables: Sequence[str], files: DayFiles) -> CsvDay:
    """Return *tables* of a day as CSV. This may run in a worker process."""
    done = read(archive, files)
    lines = {table: csv_lines(table, done.market_day) for table in tables}
    return CsvDay(sum(1 for _ in done.market_day.used()), lines, done.faults)
