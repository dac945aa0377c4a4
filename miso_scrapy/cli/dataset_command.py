"""The base class of `scrapy export`, `scrapy audit` and `scrapy report`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, date, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

from scrapy.commands import ScrapyCommand

from miso_scrapy.archive.document import ROOT
from miso_scrapy.archive.identity import Kind, archive_kind
from miso_scrapy.cli.usage import StrictUsage, say, usage_error
from miso_scrapy.connections.open import open_store
from miso_scrapy.dataset.audit import DayFacts, facts
from miso_scrapy.dataset.days import DayFiles, DayRange, days, with_empty_days
from miso_scrapy.dataset.faults import Faults, WrongTables
from miso_scrapy.dataset.fold import MarketDay
from miso_scrapy.dataset.workers import ClusterUnavailable, workers
from miso_scrapy.feed.market_day import market_day
from miso_scrapy.logs.terminal import bar_size
from miso_scrapy.options import Options
from miso_scrapy.store import Store, StoreUnavailable
from miso_scrapy.store.location import Location

if TYPE_CHECKING:
    from miso_scrapy.dataset.exported import ExportedTables, Manifest
    from miso_scrapy.dataset.update import Exported

T = TypeVar("T")


class DatasetCommand(StrictUsage, ScrapyCommand):
    """A command that reads market days from the archive that the settings name."""

    requires_project = True
    requires_crawler_process = False
    needs: tuple[str, ...] = ()
    """Packages of the extra "dataset" that the command requires."""
    kind = Kind.REAL
    """The kind of the archive that is read."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the range."""
        super().add_options(parser)
        parser.add_argument(
            "--start", metavar="DAY", help="first market day (default: the archive's first)"
        )
        parser.add_argument(
            "--end",
            metavar="DAY",
            help="market day to stop before (default: after today; without --start, the archive's last)",
        )
        parser.add_argument(
            "--last", metavar="N", help="the last N market days, today included, instead of a range"
        )
        parser.add_argument(
            "--dask",
            metavar="ADDRESS",
            help="scheduler of a Dask cluster to work on, e.g. tcp://scheduler:8786",
        )

    def add_tables_option(self, parser: argparse.ArgumentParser) -> None:
        """Add the option for the tables to answer from."""
        parser.add_argument(
            "--tables",
            metavar="PATH",
            help="bring the tables in this directory or s3://BUCKET/PREFIX up to date, and answer from "
            "them (default: MISO_TABLES)",
        )

    def tables(self, opts: argparse.Namespace) -> Location | None:
        """Return the location of the tables to answer from, if there is one. Raises ValueError."""
        assert self.settings is not None
        if "tables" not in opts:
            return None
        if opts.tables is not None:
            return Location.parse("--tables", opts.tables)
        text = self.settings["MISO_TABLES"]
        return Location.parse("MISO_TABLES", text) if text else None

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Run the command on the days of the range; report an error in one line."""
        assert self.settings is not None
        try:
            today = market_day(datetime.now(UTC))
            wanted = self._wanted(opts, today)
            options = Options.from_settings(self.settings)
        except ValueError as error:
            usage_error(self.name, error)
        try:
            store = open_store(self.settings, options, to_write=False)
            found = days(store, wanted.until(today))
            if found or self.tables(opts):
                self.kind = archive_kind(store)
                self.work(store, found, wanted, opts)
            else:
                self.fail_without_snapshots(store, wanted)
        except (StoreUnavailable, ClusterUnavailable, WrongTables) as error:
            self.fail(str(error))
        except BrokenProcessPool:
            self.fail("a worker process was killed, perhaps for lack of memory: run it again")
        except KeyboardInterrupt:
            self.exitcode = 130  # as a shell reports Ctrl-C

    def fail_without_snapshots(self, store: Store, wanted: DayRange) -> None:
        """Say that there is no snapshot in the range *wanted*."""
        where = f"{store.locate(ROOT)} {wanted}".rstrip()
        self.fail(f"no snapshots in {where}: collect some, or check the settings and the range")

    def check(self, opts: argparse.Namespace) -> None:
        """Check *opts*. Raises ValueError."""

    def work(
        self, store: Store, found: list[DayFiles], wanted: DayRange, opts: argparse.Namespace
    ) -> None:
        """Process the days *found* in the range *wanted*."""
        raise NotImplementedError

    def export(
        self, store: Store, found: list[DayFiles], target: Location, name: str, dask: str | None
    ) -> tuple[ExportedTables, Manifest, list[Exported]]:
        """Bring the tables at *target*, the value of *name*, up to date for the days *found*.

        Return the tables, their manifest, and the result of each day that was not up to date. Raises
        StoreUnavailable and WrongTables.
        """
        from miso_scrapy.dataset.exported import ExportedTables
        from miso_scrapy.dataset.update import Update

        assert self.settings is not None
        tables = ExportedTables(*target.open(name, self.settings))
        update = Update.prepare(store, tables, found, self.kind)
        if update.todo:
            tables.check()
        with workers(len(update.todo), dask) as spread:
            results = list(progress(update.run(spread), len(update.todo)))
        return tables, update.manifest, results

    def from_tables(
        self,
        store: Store,
        found: list[DayFiles],
        wanted: DayRange,
        target: Location,
        dask: str | None,
    ) -> tuple[ExportedTables, list[DayFacts], list[Faults]]:
        """Bring the tables at *target* up to date, and return them with what they say of *wanted*.

        That is the facts of each day, those without files included, and the faults. Both are empty if
        there is no day. Raises StoreUnavailable and WrongTables.
        """
        tables, manifest, _ = self.export(store, found, target, "--tables", dask)
        entries = manifest.within(wanted)
        if not entries:
            return tables, [], []
        today = market_day(datetime.now(UTC))
        known = [
            entries[files.day].facts if files.day in entries else facts(MarketDay(files.day))
            for files in with_empty_days(list(map(DayFiles, entries)), wanted, today)
        ]
        return tables, known, [entry.faults for entry in entries.values()]

    def _wanted(self, opts: argparse.Namespace, today: date) -> DayRange:
        needs = list(self.needs)
        if opts.dask:
            needs.append("distributed")
        if self.tables(opts):
            needs.append("pyarrow")
        if missing := [package for package in needs if find_spec(package) is None]:
            raise ValueError(not_installed(missing[0]))
        self.check(opts)
        if opts.last is not None:
            if opts.start or opts.end:
                raise ValueError("--last is a range of its own: leave out --start and --end")
            return DayRange.last(_number("--last", opts.last), today)
        wanted = DayRange(_day("--start", opts.start), _day("--end", opts.end))
        if wanted.start and wanted.end and wanted.end <= wanted.start:
            raise ValueError(
                f"--end {wanted.end} must be after --start {wanted.start}: the end is not included"
            )
        return wanted

    def fail(self, message: str) -> None:
        """Print *message* in one line, and set the exit status to 1."""
        say(self.name, message)
        self.exitcode = 1

    def say(self, line: str) -> None:
        """Print *line* to standard error, apart from the command's output."""
        print(line, file=sys.stderr)  # noqa: T201

    def name_faults(self, *of_days: Faults) -> None:
        """Print each kind of fault once; set exit status 1 if a file cannot be read."""
        faults = Faults()
        for each in of_days:
            faults.add(each)
        for line in faults.lines():
            self.say(line)
        if faults.unreadable:
            self.exitcode = 1


def progress(work: Iterable[T], total: int) -> Iterator[T]:
    """Yield from *work*, with a progress bar on a terminal."""
    if not total:  # an empty bar would need tqdm, which starts a thread
        yield from work
        return
    from tqdm import tqdm

    options = {"unit": " days", "disable": None, "file": sys.stderr, **bar_size()}
    yield from tqdm(work, total=total, **options)


def not_installed(package: str) -> str:
    """Return the message that *package*, of the extra "dataset", is not installed."""
    return (
        f"{package} is not installed: pip install miso-scrapy[dataset], or "
        "-r requirements-dataset.txt in a clone"
    )


def _day(option: str, text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise ValueError(f"{option} {text!r} must be a date, such as 2025-12-05") from None


def _number(option: str, text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,4}", text):
        raise ValueError(f"{option} {text!r} must be a number of days, such as 7")
    return int(text)
