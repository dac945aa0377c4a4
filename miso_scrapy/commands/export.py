"""`scrapy export`: write the archive as tables."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import date
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from miso_scrapy.archive.identity import Kind
from miso_scrapy.cli.dataset_command import DatasetCommand, progress
from miso_scrapy.dataset import TABLES
from miso_scrapy.dataset.days import DayFiles, DayRange
from miso_scrapy.dataset.faults import Faults
from miso_scrapy.dataset.workers import workers
from miso_scrapy.store import Store
from miso_scrapy.store.location import Location
from miso_scrapy.store.whole_file import whole_file
from miso_scrapy.text.wording import count


class Command(DatasetCommand):
    """Write the archive as Parquet tables, partitioned by market day, or as CSV."""

    needs = ("pyarrow",)

    def short_desc(self) -> str:
        """Return the description."""
        return "Write the archive as Parquet tables, or as CSV"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options for target and format."""
        parser.add_argument(
            "-o",
            "--output",
            metavar="PATH",
            help="directory or s3://BUCKET/PREFIX of the tables; or a CSV file, such as load.csv",
        )
        parser.add_argument(
            "--format", choices=("parquet", "csv"), help="default: csv for a name in .csv"
        )
        super().add_options(parser)

    def check(self, opts: argparse.Namespace) -> None:
        """Refuse a target that cannot hold the format."""
        if not opts.output:
            raise ValueError("-o is missing: say where to, such as -o tables")
        target = Location.parse("-o", opts.output)
        if opts.format is None:
            opts.format = "csv" if target.path.lower().endswith(".csv") else "parquet"
        path = Path(target.path)
        if opts.format == "parquet" and not target.bucket and path.exists() and not path.is_dir():
            raise ValueError(f"-o {path} must be a directory for the tables")
        if opts.format == "csv" and not target.bucket and path.exists():
            if path.suffix.lower() == ".csv" and not path.is_file():
                raise ValueError(f"-o {path} must be a file")
            if path.suffix.lower() != ".csv" and not path.is_dir():
                raise ValueError(f"-o {path} must be a directory for the tables, or end in .csv")

    def work(
        self, store: Store, found: list[DayFiles], wanted: DayRange, opts: argparse.Namespace
    ) -> None:
        """Export the days that are new or have changed."""
        target = Location.parse("-o", opts.output)
        if opts.format == "parquet":
            self._parquet(store, found, target, opts.dask)
        else:
            self._csv(store, found, target, opts.dask)

    def _parquet(
        self, store: Store, found: list[DayFiles], target: Location, dask: str | None
    ) -> None:
        _, manifest, results = self.export(store, found, target, "-o", dask)
        days = {files.day: manifest.days[files.day] for files in found}
        written = {done.day: done.snapshots for done in results if done.written}
        knew_more = [done for done in results if days[done.day].knew_more]
        kept = [done.day for done in knew_more if not done.written]
        completed = [done.day for done in knew_more if done.written]
        with_tables = sum(bool(entry.tables) for entry in days.values())
        unchanged = with_tables - len(written) - len(kept)
        line = (
            f"{count(len(written), 'day')} exported from {self._snapshots(sum(written.values()))}, "
            f"{unchanged} unchanged"
        )
        if kept:
            line += f", {len(kept)} kept, as the archive now has less data ({_days(kept)})"
        if completed:
            line += (
                f", {len(completed)} with data that the archive no longer has ({_days(completed)})"
            )
        print(f"{line}: {target}")  # noqa: T201
        self.name_faults(*(entry.faults for entry in days.values()))

    def _csv(self, store: Store, found: list[DayFiles], target: Location, dask: str | None) -> None:
        from miso_scrapy.dataset.export import export_csv

        path = PurePath(target.path)
        if path.suffix.lower() == ".csv":
            names = {path.stem if path.stem in TABLES else "load": ""}
        else:
            names = {table: f"{table}.csv" for table in TABLES}
        assert self.settings is not None
        days = snapshots = 0
        faults = Faults()
        with suppress(_NothingToWrite), ExitStack() as stack:
            outputs = {
                table: stack.enter_context(_output(target, name, self.settings))
                for table, name in names.items()
            }
            with workers(len(found), dask) as spread:
                for done in progress(export_csv(store, found, outputs, spread), len(found)):
                    # A file that cannot be read is a row of the snapshots.
                    days += bool(done.snapshots) or all(done.lines.values())
                    snapshots += done.snapshots
                    faults.add(done.faults)
            if not days:
                raise _NothingToWrite
        line = f"{count(days, 'day')} exported from {self._snapshots(snapshots)}, 0 unchanged"
        print(f"{line}: {target}")  # noqa: T201
        self.name_faults(faults)

    def _snapshots(self, number: int) -> str:
        return count(number, "simulated snapshot" if self.kind == Kind.SIMULATED else "snapshot")


class _NothingToWrite(Exception):
    """Raised to keep a file that is there."""


@contextmanager
def _output(target: Location, name: str, settings: Mapping[str, Any]) -> Iterator[BinaryIO]:
    """Yield a file for *name* below *target*, or for *target* itself; it appears when it is complete."""
    if not target.bucket:
        with whole_file(Path(target.path, name)) as file:
            yield file
        return
    store, prefix = target.open("-o", settings)
    store.check()
    with tempfile.TemporaryFile() as file:
        yield file
        file.seek(0)
        store.put(f"{prefix}{name}".rstrip("/"), file.read(), {}, overwrite=True)


def _days(days: list[date]) -> str:
    return str(days[0]) if len(days) == 1 else f"{days[0]} to {days[-1]}"
