"""The export: market days become Parquet files, a day at a time, or one CSV file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from pathlib import Path

from miso_scrapy.dataset.archive import DayFiles, read
from miso_scrapy.dataset.tables import CSV_HEADER, SCHEMAS, load_csv, parquet_files, version_of
from miso_scrapy.dataset.whole_file import NothingToWrite, whole_file
from miso_scrapy.dataset.workers import Map
from miso_scrapy.store import Store
from miso_scrapy.store.directory import DirectoryStore


@dataclass
class Exported:
    """What became of a market day."""

    files: DayFiles
    snapshots: int
    tables: dict[str, bytes]
    faults: dict[str, str] = field(default_factory=dict)


def key_of(table: str, files: DayFiles) -> str:
    """Return where *table* of a day goes: ``load/market_day=2025-12-05/load.parquet``."""
    return f"{table}/market_day={files.day}/{table}.parquet"


class State(Enum):
    """What the tables of a day are, to its files."""

    CURRENT = auto()
    """Made of just these."""
    CHANGED = auto()
    """Not made yet, or of others."""
    KEPT = auto()
    """Made of more files than there are any more: the tables know more than the archive."""


def state_of(target: Path, files: DayFiles) -> State:
    """Return what the tables of a day, below *target*, are to its *files*."""
    versions = {version_of(str(target / key_of(table, files))) for table in SCHEMAS}
    if versions == {_version(files)}:
        return State.CURRENT
    (version, *others) = versions
    if version and not others:
        layout, number, _ = version.split("-")
        if layout == _LAYOUT and int(number) > len(files.keys):
            return State.KEPT
    return State.CHANGED


_LAYOUT = "1"
"""Another one as soon as the same files make other tables: then every day is done again."""


def _version(files: DayFiles) -> str:
    return f"{_LAYOUT}-{len(files.keys)}-{files.version}"


def export_parquet(
    store: Store, days: list[DayFiles], target: DirectoryStore, spread: Map
) -> Iterator[Exported]:
    """Write the tables of *days* below *target*; yield each day when its files are in place.

    Raises StoreUnavailable.
    """
    for done in spread(partial(day_parquet, store), days):
        # A day that cannot be read, or whose files are gone, keeps what was exported of it.
        if done.snapshots:
            for table, body in done.tables.items():
                target.put(key_of(table, done.files), body, {}, overwrite=True)
        yield done


def day_parquet(store: Store, files: DayFiles) -> Exported:
    """Return the Parquet files of a day, made in whichever process this is."""
    done = read(store, files)
    # What could not be read may be mended: such a day is never current.
    version = "" if done.faults else _version(files)
    tables = parquet_files(done.market_day, version)
    return Exported(files, len(done.market_day.snapshots), tables, done.faults)


def export_csv(store: Store, days: list[DayFiles], target: Path, spread: Map) -> Iterator[Exported]:
    """Write the load of *days* into the one file *target*, which is there when it is whole.

    Where no snapshot can be read, what was there stays. Raises StoreUnavailable.
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
