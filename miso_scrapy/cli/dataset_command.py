"""The base class of `scrapy export`, `scrapy audit` and `scrapy report`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from datetime import date
from importlib.util import find_spec
from typing import TypeVar

from scrapy.commands import ScrapyCommand

from miso_scrapy.archive.document import ROOT
from miso_scrapy.archive.identity import Kind, archive_kind
from miso_scrapy.cli.usage import StrictUsage, say, usage_error
from miso_scrapy.connections.open import open_store
from miso_scrapy.dataset.days import DayFiles, DayRange, days
from miso_scrapy.dataset.faults import Faults
from miso_scrapy.dataset.workers import ClusterUnavailable
from miso_scrapy.logs.terminal import bar_size
from miso_scrapy.options import Options
from miso_scrapy.store import Store, StoreUnavailable

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
            help="market day to stop before (default: after the archive's last)",
        )

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Run the command on the days of the range; report an error in one line."""
        assert self.settings is not None
        try:
            wanted = self._wanted(opts)
            options = Options.from_settings(self.settings)
        except ValueError as error:
            usage_error(self.name, error)
        try:
            store = open_store(self.settings, options, to_write=False)
            if found := days(store, wanted):
                self.kind = archive_kind(store)
                self.work(store, found, wanted, opts)
            else:
                where = f"{store.locate(ROOT)} {wanted}".rstrip()
                self.fail(
                    f"no snapshots in {where}: collect some, or check the settings and the range"
                )
        except (StoreUnavailable, ClusterUnavailable) as error:
            self.fail(str(error))
        except BrokenProcessPool:
            self.fail("a worker process was killed, perhaps for lack of memory: run it again")
        except KeyboardInterrupt:
            self.exitcode = 130  # as a shell reports Ctrl-C

    def check(self, opts: argparse.Namespace) -> None:
        """Check *opts*. Raises ValueError."""

    def work(
        self, store: Store, found: list[DayFiles], wanted: DayRange, opts: argparse.Namespace
    ) -> None:
        """Process the days *found* in the range *wanted*."""
        raise NotImplementedError

    def _wanted(self, opts: argparse.Namespace) -> DayRange:
        if missing := [package for package in self.needs if find_spec(package) is None]:
            raise ValueError(not_installed(missing[0]))
        self.check(opts)
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

    def name_faults(self, faults: Faults) -> None:
        """Print each kind of fault once; set exit status 1 if a file cannot be read."""
        for line in faults.lines():
            self.say(line)
        if faults.unreadable:
            self.exitcode = 1


def progress(work: Iterable[T], total: int) -> Iterator[T]:
    """Yield from *work*, with a progress bar on a terminal."""
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
