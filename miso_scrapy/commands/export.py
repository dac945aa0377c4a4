"""`scrapy export`: write the archive as tables."""

from __future__ import annotations

import argparse
from datetime import date
from importlib.util import find_spec
from pathlib import Path

from miso_scrapy.archive.identity import Kind
from miso_scrapy.cli.dataset_command import DatasetCommand, not_installed, progress
from miso_scrapy.dataset.days import DayFiles, DayRange
from miso_scrapy.dataset.faults import Faults
from miso_scrapy.options import local_path
from miso_scrapy.store import Store
from miso_scrapy.store.directory import DirectoryStore
from miso_scrapy.text.wording import count


class Command(DatasetCommand):
    """Write load, forecast and cleared as Parquet, partitioned by market day; or the load as CSV."""

    needs = ("pyarrow",)

    def short_desc(self) -> str:
        """Return the description."""
        return "Write the archive as Parquet tables, or as CSV"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options for target, format and Dask cluster."""
        parser.add_argument(
            "-o", "--output", metavar="PATH", help="directory of the tables; or the CSV file"
        )
        parser.add_argument("--format", choices=("parquet", "csv"), default="parquet")
        parser.add_argument(
            "--dask",
            metavar="ADDRESS",
            help="scheduler of a Dask cluster to work on, e.g. tcp://scheduler:8786",
        )
        super().add_options(parser)

    def check(self, opts: argparse.Namespace) -> None:
        """Refuse a target that cannot hold the format."""
        if not opts.output:
            raise ValueError("-o is missing: say where to, such as -o tables")
        target = local_path("-o", opts.output)
        if opts.format == "parquet" and target.exists() and not target.is_dir():
            raise ValueError(f"-o {target} must be a directory for the tables")
        if opts.format == "csv" and target.exists() and not target.is_file():
            raise ValueError(f"-o {target} must be a file for --format csv")
        if opts.dask and find_spec("distributed") is None:
            raise ValueError(not_installed("distributed"))

    def work(
        self, store: Store, found: list[DayFiles], wanted: DayRange, opts: argparse.Namespace
    ) -> None:
        """Export the days that are new or have changed."""
        from miso_scrapy.dataset.export import export_csv, export_parquet, is_current
        from miso_scrapy.dataset.tables import tables_kind
        from miso_scrapy.dataset.workers import workers

        simulated = self.kind == Kind.SIMULATED
        path = Path(opts.output).absolute()
        todo = found
        if opts.format == "parquet":
            if tables_kind(path) not in (None, self.kind):
                self.fail(
                    f"{path} has tables of {'real' if simulated else 'simulated'} snapshots, and the "
                    f"archive is {self.kind}: choose another -o"
                )
                return
            target = DirectoryStore(path, setting="-o")
            target.check()
            todo = [files for files in found if not is_current(path, files)]
        faults = Faults()
        snapshots = exported = 0
        kept: list[date] = []
        completed: list[date] = []
        with workers(len(todo), opts.dask) as spread:
            if opts.format == "parquet":
                work = export_parquet(store, todo, target, spread, self.kind)
            else:
                work = export_csv(store, todo, path, spread)
            for done in progress(work, len(todo)):
                faults.add(done.faults)
                if done.tables and done.snapshots:
                    snapshots += done.snapshots
                    exported += 1
                if done.knew_more:
                    (completed if done.tables else kept).append(done.files.day)
        line = (
            f"{count(exported, 'day')} exported from "
            f"{count(snapshots, 'simulated snapshot' if simulated else 'snapshot')}, "
            f"{len(found) - len(todo)} unchanged"
        )
        if kept:
            line += f", {len(kept)} kept, as the archive now has less data ({_days(kept)})"
        if completed:
            line += (
                f", {len(completed)} with data that the archive no longer has ({_days(completed)})"
            )
        print(f"{line}: {path}")  # noqa: T201
        self.name_faults(faults)


def _days(days: list[date]) -> str:
    return str(days[0]) if len(days) == 1 else f"{days[0]} to {days[-1]}"
