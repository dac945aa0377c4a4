"""`scrapy report`: write an HTML page about the archive."""

from __future__ import annotations

import argparse
import gc
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from miso_scrapy import __version__
from miso_scrapy.archive.identity import Kind
from miso_scrapy.cli.dataset_command import DatasetCommand, progress
from miso_scrapy.dataset.audit import DayFacts, audit, facts, within
from miso_scrapy.dataset.days import DayFiles, DayRange, with_empty_days
from miso_scrapy.dataset.faults import Faults
from miso_scrapy.dataset.read import read
from miso_scrapy.dataset.workers import workers
from miso_scrapy.feed.market_day import market_day
from miso_scrapy.options import local_path
from miso_scrapy.store import Store
from miso_scrapy.store.whole_file import whole_file
from miso_scrapy.text.wording import count

if TYPE_CHECKING:
    from miso_scrapy.dataset.day_values import DayValues


class Command(DatasetCommand):
    """Write a self-contained HTML page with charts of the archive and the figures of its audit."""

    needs = ("jinja2", "pyarrow")

    def short_desc(self) -> str:
        """Return the description."""
        return "Write an HTML page with charts of the archive"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the option for the target."""
        parser.add_argument("-o", "--output", metavar="PATH", help="the page, such as report.html")
        super().add_options(parser)
        self.add_tables_option(parser)

    def check(self, opts: argparse.Namespace) -> None:
        """Refuse a target that cannot be a page."""
        if not opts.output:
            raise ValueError("-o is missing: say where to, such as -o report.html")
        if local_path("-o", opts.output).is_dir():
            raise ValueError(f"{opts.output} is a directory: the report is one file")

    def work(
        self, store: Store, found: list[DayFiles], wanted: DayRange, opts: argparse.Namespace
    ) -> None:
        """Report the days, including those without files."""
        from miso_scrapy.report.page import Source, report

        now = datetime.now(UTC)
        path = Path(opts.output).absolute()
        if location := self.tables(opts):
            tables, known, faults = self.from_tables(store, found, wanted, location, opts.dask)
            if not known:
                self.fail_without_snapshots(store, wanted)
                return
            days = tables.values([each.day for each in known])
        else:
            every = with_empty_days(found, wanted, market_day(now))
            with workers(len(found), opts.dask) as spread:
                done = list(progress(spread(partial(_read, store), every), len(every)))
            known, days, faults = map(list, zip(*done, strict=True))
        audits = [audit(each, now) for each in known]
        if any(each.newest for each in audits):
            part = within(audits, wanted)
            simulated = self.kind == Kind.SIMULATED
            source = Source(store.locate(""), __version__, simulated)
            gc.disable()  # all that the page is made of is kept: to look for garbage takes a fifth of it
            page = report(days[part], audits[part], now, source)
            with whole_file(path) as file:
                file.write(page.encode())
            of = " of a simulated archive" if simulated else ""
            print(f"{count(len(days[part]), 'day')}{of} reported: {path}")  # noqa: T201
        else:
            self.fail("nothing to report: no file there holds a snapshot of these days")
        self.name_faults(*faults)


def _read(store: Store, files: DayFiles) -> tuple[DayFacts, DayValues, Faults]:
    """Return what the page needs of a day. A worker process returns only this, not the market day."""
    from miso_scrapy.dataset.day_values import values_of

    done = read(store, files)
    return facts(done.market_day), values_of(done.market_day), done.faults
