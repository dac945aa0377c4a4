"""Present the audit: as a sentence, as the figures of the summary, and as a table of days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean

from miso_scrapy.dataset.audit import DayAudit, Total
from miso_scrapy.feed.market_day import INTERVALS_A_DAY
from miso_scrapy.report import words
from miso_scrapy.report.charts import Table
from miso_scrapy.report.day import ReportDay
from miso_scrapy.text.wording import spell


@dataclass(frozen=True)
class Figure:
    """A figure of the summary."""

    name: str
    value: str
    note: str


def lede(result: Total) -> str:
    """Return the audit's totals as a sentence."""
    known = f"{words.count(result.values, 'five-minute value')} known, "
    missing = f"{result.values_missing:,}" if result.values_missing else words.NONE
    healed = (
        f" {result.healed:,} of them healed: the interval's own snapshot is missing or cannot "
        "be used, but a later snapshot of its market day had the value."
        if result.healed
        else ""
    )
    return f"{known}{missing} missing.{healed}"


def figures(days: Sequence[ReportDay], result: Total, now: datetime) -> list[Figure]:
    """Return the figures of the summary."""
    audits = [day.audit for day in days]
    due = result.values + result.values_missing
    quiet = max(audits, key=lambda audit: audit.longest_silence)
    errors = [abs(error.mw) for day in days for error in day.errors]
    newest = result.newest
    return [
        Figure(
            "Values known",
            f"{result.values:,}",
            f"{words.share(result.values, due)} of {due:,} due",
        ),
        Figure(
            "Values missing", f"{result.values_missing:,}", _days_with(audits, "values_missing")
        ),
        Figure("Values healed", f"{result.healed:,}", _days_with(audits, "healed")),
        Figure(
            "Snapshots filed",
            f"{result.snapshots:,}",
            f"{words.share(result.snapshots, due)} of the intervals",
        ),
        Figure(
            "Revisions",
            f"{result.revisions:,}",
            f"the largest {words.mw(result.largest_revision_mw)} MW" if result.revisions else "",
        ),
        Figure(
            "Longest silence",
            spell(result.longest_silence),
            f"on {words.on(quiet.day)}" if quiet.longest_silence else "no snapshot is missing",
        ),
        Figure(
            "Forecast error",
            f"{words.mw(fmean(errors))} MW" if errors else words.NONE,
            "on average, when the hour began",
        ),
        Figure(
            "Newest snapshot",
            f"{spell(now - newest)} old" if newest else words.NONE,
            words.at(newest) if newest else "",
        ),
    ]


def audit_table(audits: Sequence[DayAudit], result: Total) -> Table:
    """Return the audit as a table with a row for each market day."""
    return Table(
        "Audit of each market day (EST)",
        (
            "Market day",
            f"Snapshots of {INTERVALS_A_DAY}",
            f"Values of {INTERVALS_A_DAY}",
            "Missing",
            "Healed",
            "Revisions",
            "Largest, MW",
            "Longest silence",
            "Newest",
        ),
        [
            (
                str(each.day),
                *_counts(each),
                words.clock(each.newest),
            )
            for each in audits
        ],
        ("Total", *_counts(result), ""),
    )


def _counts(each: DayAudit | Total) -> Sequence[str]:
    return (
        f"{each.snapshots:,}",
        f"{each.values:,}",
        f"{each.values_missing:,}",
        f"{each.healed:,}",
        f"{each.revisions:,}",
        words.mw(each.largest_revision_mw),
        spell(each.longest_silence),
    )


def _days_with(audits: Sequence[DayAudit], name: str) -> str:
    number = sum(1 for audit in audits if getattr(audit, name))
    return f"on {words.count(number, 'market day')}" if number else "on no market day"
