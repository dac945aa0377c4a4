"""`scrapy export`: the archive as tables."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

from miso_scrapy.dataset.archive import DayFiles, DayRange
from miso_scrapy.dataset.command import DatasetCommand, progress
from miso_scrapy.options import local_path
from miso_scrapy.outcomes import count
from miso_scrapy.store import Store
from miso_scrapy.store.directory import DirectoryStore


class Command(DatasetCommand):
    """Write load, forecast and cleared as Parquet, a partition a market day; or the load as CSV."""

    needs = ("pyarrow",)

    def short_desc(self) -> str:
        """Return the description."""
        return "Write the archive as Parquet tables, or as CSV"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add where to, in what format, and by whom."""
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
        """Refuse a target that is not, or cannot be, what the format needs."""
        if not opts.output:
            raise ValueError("-o is missing: say where to, such as -o tables")
        target = local_path("-o", opts.output)
        if opts.format == "parquet" and target.exists() and not target.is_dir():
            raise ValueError(f"{target} is no directory: the tables need one")
        if opts.format == "csv" and target.exists() and not target.is_file():
            raise ValueError(f"{target} is no file: --format csv writes one")
        if opts.dask and find_spec("distributed") is None:
            raise ValueError(
                "distributed is not installed: pip install -r requirements-dataset.txt"
            )

    def work(
        self, store: Store, found: list[DayFiles], wanted: DayRange, opts: argparse.Namespace
    ) -> None:
        """Export the days that are not exported yet, or have changed."""
        from miso_scrapy.dataset.export import State, export_csv, export_parquet, state_of
        from miso_scrapy.dataset.workers import workers

        path = Path(opts.output).absolute()
        if opts.format == "parquet":
            target = DirectoryStore(path, setting="-o")
            target.check()
            states = [state_of(path, files) for files in found]
        else:
            states = [State.CHANGED] * len(found)
        todo = [files for files, state in zip(found, states, strict=True) if state == State.CHANGED]
        faults: dict[str, str] = {}
        snapshots = exported = 0
        with workers(len(todo), opts.dask) as spread:
            if opts.format == "parquet":
                work = export_parquet(store, todo, target, spread)
            else:
                work = export_csv(store, todo, path, spread)
            for done in progress(work, len(todo)):
                snapshots += done.snapshots
                exported += done.snapshots > 0
                faults |= done.faults
        unchanged = f"{states.count(State.CURRENT)} unchanged"
        if kept := states.count(State.KEPT):
            unchanged += f", {kept} kept that the archive has fewer files of than were exported"
        print(  # noqa: T201
            f"{count(exported, 'day')} exported from {count(snapshots, 'snapshot')}, "
            f"{unchanged}: {path}"
        )
        self.name_faults(faults)
