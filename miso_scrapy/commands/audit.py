"""`scrapy audit`: list what the archive has, and what it lacks, for each market day."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from miso_scrapy.archive.identity import Kind
from miso_scrapy.cli.dataset_command import DatasetCommand, progress
from miso_scrapy.dataset.audit import (
    DayAudit,
    DayFacts,
    Total,
    audit,
    facts,
    figures,
    total,
    within,
)
from miso_scrapy.dataset.days import DayFiles, DayRange, with_empty_days
from miso_scrapy.dataset.faults import Faults
from miso_scrapy.dataset.read import read
from miso_scrapy.dataset.workers import workers
from miso_scrapy.feed.market_day import EST, INTERVALS_A_DAY, market_day
from miso_scrapy.feed.ref_id import iso_utc
from miso_scrapy.store import Store
from miso_scrapy.text.wording import count, spell

_HEAD = ("market day", "snapshots", "values", "healed", "revisions", "silence", "newest", "missing")


class Command(DatasetCommand):
    """Print what the archive has for each market day; exit status 1 if values are missing."""

    def short_desc(self) -> str:
        """Return the description."""
        return "List what the archive has, and what it lacks, for each market day"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the output format."""
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        super().add_options(parser)
        self.add_tables_option(parser)

    def work(
        self, store: Store, found: list[DayFiles], wanted: DayRange, opts: argparse.Namespace
    ) -> None:
        """Audit the days, including those without files."""
        now = datetime.now(UTC)
        if location := self.tables(opts):
            _, known, faults = self.from_tables(store, found, wanted, location, opts.dask)
            if not known:
                self.fail_without_snapshots(store, wanted)
                return
        else:
            every = with_empty_days(found, wanted, market_day(now))
            with workers(len(found), opts.dask) as spread:
                read_days = list(progress(spread(partial(_read, store), every), len(every)))
            known, faults = [list(each) for each in zip(*read_days, strict=True)]
        audits = [audit(day, now) for day in known]
        audits = audits[within(audits, wanted)]
        result = total(audits)
        simulated = self.kind == Kind.SIMULATED
        if opts.json:
            print(_json(audits, result, now, simulated=simulated))  # noqa: T201
        else:
            if simulated:
                print("The archive is simulated: these are not MISO's values.")  # noqa: T201
            print(*_table(audits, result, now), sep="\n")  # noqa: T201
        self.name_faults(*faults)
        if result.values_missing:
            self.exitcode = 1


def _read(store: Store, files: DayFiles) -> tuple[DayFacts, Faults]:
    done = read(store, files)
    return facts(done.market_day), done.faults


def _table(audits: list[DayAudit], result: Total, now: datetime) -> list[str]:
    rows = [_HEAD]
    rows += [
        (
            str(each.day),
            f"{each.snapshots}/{INTERVALS_A_DAY}",
            f"{each.values}/{INTERVALS_A_DAY}",
            str(each.healed),
            f"{each.revisions}{_largest(each)}",
            spell(each.longest_silence),
            f"{each.newest.astimezone(EST):%H:%M}, {spell(now - each.newest)} ago"
            if each.newest
            else "-",
            ", ".join(map(str, each.missing)) or "-",
        )
        for each in audits
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    age = f"{spell(now - result.newest)} old" if result.newest else "not there"
    lines += [
        "Times are EST; in parentheses is the largest revision.",
        f"{count(result.days, 'day')}: {count(result.snapshots, 'snapshot')}, "
        f"{count(result.values, 'value')} known, {result.healed} of them healed, "
        f"{result.values_missing} missing; {count(result.revisions, 'revision')}{_largest(result)}; "
        f"longest silence {spell(result.longest_silence)}; the newest snapshot is {age}",
    ]
    if left_out := _left_out(result):
        lines.append(left_out)
    return lines


def _left_out(result: Total) -> str:
    """Return the files and rows that are not used, such as "2 files cannot be read, ..."."""
    return ", ".join(
        f"{count(number, noun)} {what}"
        for number, noun, what in (
            (result.unreadable_files, "file", "cannot be read"),
            (result.dropped_rows, "row", "left out"),
            (result.filed_under_another_day, "snapshot", "filed under another day"),
            (result.empty_snapshots, "snapshot", "without rows"),
        )
        if number
    )


def _largest(each: DayAudit | Total) -> str:
    return f" ({each.largest_revision_mw:g} MW)" if each.revisions else ""


def _json(audits: list[DayAudit], result: Total, now: datetime, *, simulated: bool) -> str:
    days = [
        {
            "day": str(each.day),
            "missing": [
                {"first": gap.first.isoformat(), "last": gap.last.isoformat(), "values": len(gap)}
                for gap in each.missing
            ],
            **_figures(each, now),
        }
        for each in audits
    ]
    every = {"days": result.days, **_figures(result, now)}
    return json.dumps({"simulated": simulated, "days": days, "total": every})


def _figures(each: DayAudit | Total, now: datetime) -> dict[str, Any]:
    return {
        **figures(each),
        "newest": iso_utc(each.newest) if each.newest else None,
        "newest_age_minutes": (now - each.newest) // timedelta(minutes=1) if each.newest else None,
    }
