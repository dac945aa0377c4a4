"""Describe each range of days that the page can show: each day, each week, each month, and all of them.

What a chart's caption says, and every figure that is not of one day alone, is computed here for each of
these ranges. The page only chooses among them.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from miso_scrapy.dataset.audit import DayAudit, total
from miso_scrapy.dataset.day_values import DayValues, states
from miso_scrapy.dataset.forecast_error import (
    DayPeak,
    HourError,
    day_peak,
    error_table,
    hour_errors,
    lead_error,
)
from miso_scrapy.feed.market_day import INTERVALS_A_DAY
from miso_scrapy.report import words
from miso_scrapy.text.wording import spell

_BINS = 20
_SHORT = 15
"""Minutes: an axis of ages that ends before this begins at 0."""
_NAMED = 5
"""The largest number of outliers that are named."""


@dataclass(frozen=True)
class ReportDay:
    """A market day, as the page shows it."""

    values: DayValues
    audit: DayAudit
    states: str
    """A letter for each interval; see :func:`states`."""
    errors: list[HourError]
    peak: DayPeak | None
    low: tuple[float, int] | None
    """The lowest load in MW, and the number of its interval."""
    high: tuple[float, int] | None
    ages: list[float]
    """The ages of the snapshots, in minutes, in order."""


def report_day(values: DayValues, audit: DayAudit) -> ReportDay:
    """Return *values* and their *audit* as the page shows them."""
    known = [(mw, number) for number, mw in enumerate(values.load) if mw is not None]
    due = (audit.due.hour * 60 + audit.due.minute) // 5
    if audit.due.date() > audit.day:
        due = INTERVALS_A_DAY
    return ReportDay(
        values,
        audit,
        states(values, due),
        hour_errors(values),
        day_peak(values),
        min(known, default=None),
        max(known, default=None),
        sorted(age for age in values.age if age is not None),
    )


def ranges(days: Sequence[ReportDay]) -> dict[str, list[dict[str, Any]]]:
    """Return the ranges of consecutive *days*, by their length, each in order.

    A range has the numbers of its *first* day and of the day after its last one, its *name*, the
    *captions* of the charts, the *total* of the audit, the *ages*, and, if it is longer than a day, the
    *errors* by hour and lead time.
    """
    whole = [range(len(days))]
    parts = {
        "day": [range(n, n + 1) for n in whole[0]],
        "week": _runs(days, lambda day: day.values.day.isocalendar()[:2]),
        "month": _runs(days, lambda day: (day.values.day.year, day.values.day.month)),
        "all": whole,
    }
    return {
        length: [_range(days[part.start : part.stop], part) for part in of_length]
        for length, of_length in parts.items()
    }


def _runs(days: Sequence[ReportDay], key: Callable[[ReportDay], Any]) -> list[range]:
    """Return the runs of *days* with the same *key*, as ranges of their numbers."""
    start, found = 0, []
    for _, run in groupby(days, key):
        end = start + len(list(run))
        found.append(range(start, end))
        start = end
    return found


def _range(days: Sequence[ReportDay], part: range) -> dict[str, Any]:
    errors = [error for day in days for error in day.errors]
    ages, freshness = _ages(days)
    described: dict[str, Any] = {
        "first": part.start,
        "end": part.stop,
        "name": words.period(days[0].values.day, days[-1].values.day),
        "ages": ages,
        "total": _total(days),
        "captions": {
            "load": _load(days, errors),
            "map": _map(days),
            "error": _lead(errors),
            "peak": _peak(days),
            "revisions": _revisions(days),
            "age": freshness,
        },
    }
    if len(days) > 1:
        described["errors"] = [
            (
                hour,
                each.lead_hours,
                each.hours,
                round(each.mean_absolute_mw),
                round(each.bias_mw),
                round(each.mean_absolute_percent, 2),
                round(each.bias_percent, 2),
            )
            for hour, each in error_table(errors)
        ]
    return described


def _load(days: Sequence[ReportDay], errors: Sequence[HourError]) -> str:
    highs = [(*day.high, day.values.day) for day in days if day.high]
    lows = [(*day.low, day.values.day) for day in days if day.low]
    if not highs or not lows:
        return "No 5-minute load is known."
    high, low = max(highs, key=lambda each: each[0]), min(lows, key=lambda each: each[0])
    said = (
        f"Load was highest on {words.at(high[2], high[1])}, {words.mw(high[0])} MW, and lowest on "
        f"{words.at(low[2], low[1])}, {words.mw(low[0])} MW."
    )
    if near := lead_error(errors, 0):
        worst = max(
            ((error.errors[0], error.hour, day) for day in days for error in day.errors),
            key=lambda each: abs(each[0]),
        )
        said += (
            f" The forecast that stood when an hour began was off by {words.mw(near.mean_absolute_mw)} "
            f"MW on average, {words.percent(near.mean_absolute_percent)} of the load, and by "
            f"{words.signed_mw(worst[0])} MW at most, on "
            f"{words.at(worst[2].values.day, worst[1] * 12)}."
        )
    return said


def _map(days: Sequence[ReportDay]) -> str:
    counts = Counter("".join(day.states for day in days))
    bad = sum("m" in day.states for day in days)
    their = "its" if counts["c"] == 1 else "their"
    return (
        f"{words.count(counts['c'], 'interval')} collected with {their} own snapshot, {counts['h']:,} "
        f"healed by a later snapshot of their market day, {counts['m']:,} missing"
        + (f" on {words.count(bad, 'day')}." if bad else ".")
    )


def _lead(errors: Sequence[HourError]) -> str:
    if not (near := lead_error(errors, 0)):
        return "No hour has both a forecast and a complete load yet."
    far = next(found for lead in (12, 6, 3, 1, 0) if (found := lead_error(errors, lead)))
    said = (
        f"When an hour began, its forecast was off by {words.mw(near.mean_absolute_mw)} MW "
        f"({words.percent(near.mean_absolute_percent)}) on average, with a bias of "
        f"{words.signed_mw(near.bias_mw)} MW"
    )
    if far.lead_hours:
        said += (
            f"; {words.count(far.lead_hours, 'hour')} before, by {words.mw(far.mean_absolute_mw)} MW "
            f"({words.percent(far.mean_absolute_percent)}), with a bias of "
            f"{words.signed_mw(far.bias_mw)} MW"
        )
    return f"{said}. A positive bias means that forecasts were too high."


def _peak(days: Sequence[ReportDay]) -> str:
    known = [(day.values.day, day.peak) for day in days if day.peak and day.peak.load_mw]
    off = [(day, peak, peak.forecast_mw - (peak.load_mw or 0)) for day, peak in known]
    if not off:
        return "No day has both a forecast and a known peak yet."
    mean = sum(abs(mw) for _, _, mw in off) / len(off)
    day, peak, mw = max(off, key=lambda each: abs(each[2]))
    if len(days) == 1:
        return (
            f"The day's first forecasts had its peak at {words.mw(peak.forecast_mw)} MW in the hour "
            f"from {peak.forecast_hour:02d}:00; it was {words.mw(peak.load_mw)} MW in the hour from "
            f"{peak.load_hour:02d}:00."
        )
    hit = sum(peak.forecast_hour == peak.load_hour for _, peak, _ in off)
    return (
        f"The day's first forecasts missed its peak by {words.mw(mean)} MW on average, and by "
        f"{words.signed_mw(mw)} MW at most, on {words.on(day)}. They named the hour on {hit:,} of "
        f"{words.count(len(off), 'day')}."
    )


def _revisions(days: Sequence[ReportDay]) -> str:
    every = [(each, day.values.day) for day in days for each in day.values.revisions]
    if not every:
        return "No value was revised."
    most, day = max(every, key=lambda each: abs(each[0].mw))
    after = sorted(each.minutes for each, _ in every)
    intervals = sum(len({each.number for each in day.values.revisions}) for day in days)
    values = sum(day.audit.values for day in days)
    were = "was" if intervals == 1 else "were"
    return (
        f"{intervals:,} of {words.count(values, 'value')} {were} revised. The largest revision was "
        f"{words.signed_mw(most.mw)} MW, of {words.at(day, most.number)}. Half of the revisions came "
        f"within {words.span(after[(len(after) - 1) // 2])} of the first publication, and all within "
        f"{words.span(after[-1])}."
    )


def _ages(days: Sequence[ReportDay]) -> tuple[dict[str, Any], str]:
    """Return the distribution of the ages, in minutes, and what it says."""
    ages = sorted(age for day in days for age in day.ages)
    if not ages:
        return {"start": 0, "width": 1, "bins": []}, "No snapshot says when it was collected."
    start, width, counts = bins(ages)
    end = start + width * len(counts)
    outliers = [
        (age, day.values.day, number)
        for day in days
        if day.ages and (day.ages[0] < start or day.ages[-1] >= end)
        for number, age in enumerate(day.values.age)
        if age is not None and not start <= age < end
    ]
    outliers.sort(key=lambda each: abs(each[0]), reverse=True)
    said = (
        f"Half of the {words.count(len(ages), 'snapshot')} were collected within "
        f"{words.span(_quantile(ages, 0.5))} of the start of their interval, and 95% within "
        f"{words.span(_quantile(ages, 0.95))}."
    )
    if len(ages) == 1:
        said = f"The snapshot was collected {_after(ages[0])} the start of its interval."
    named = [f"{words.at(day, number)}, {_after(age)}" for age, day, number in outliers[:_NAMED]]
    if outliers:
        more = len(outliers) - len(named)
        said += (
            f" Outside the axis {'is' if len(outliers) == 1 else 'are'} "
            f"{words.count(len(outliers), 'snapshot')}: {'; '.join(named)}"
            f"{f'; and {more:,} more' if more else ''}."
        )
    return {"start": start, "width": width, "bins": counts}, said


def _after(age: float) -> str:
    return f"{words.span(abs(age))} {'after' if age >= 0 else 'before'}"


def bins(ages: Sequence[float]) -> tuple[float, float, list[int]]:
    """Return the start and the width of bins that fit all *ages* but outliers, and their counts.

    *ages* are in order. Outliers are far from the half in the middle, by the rule for box plots.
    """
    first, third = _quantile(ages, 0.25), _quantile(ages, 0.75)
    far = 3 * max(third - first, 0.25)
    first = ages[bisect_left(ages, first - far)]
    last = ages[bisect_right(ages, third + far) - 1]
    if 0 < first < last / 2 or 0 < last < _SHORT:
        first = min(first, 0.0)
    width = _nice(max((last - first) / _BINS, 0.1))
    start = round(math.floor(first / width) * width, 6)
    edges = [start]
    while edges[-1] <= last:
        edges.append(start + width * len(edges))
    places = [bisect_left(ages, edge) for edge in edges]
    return start, width, [after - before for before, after in pairwise(places)]


def _nice(value: float) -> float:
    """Return the next of 0.1, 0.2, 0.5, 1, 2, 5, 10 ..."""
    power = 10.0 ** math.floor(math.log10(value))
    return float(next(round(power * step, 6) for step in (1, 2, 5, 10) if power * step >= value))


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else 0.0


def _total(days: Sequence[ReportDay]) -> list[str]:
    """Return the cells of the audit's last row."""
    return list(audit_cells(days, None))


AUDIT_HEAD = (
    "Market day",
    "Verdict",
    "Missing",
    "Healed",
    f"Values of {INTERVALS_A_DAY}",
    f"Snapshots of {INTERVALS_A_DAY}",
    "Revisions",
    "Largest, MW",
    "Longest silence",
    "Faults",
)


def audit_cells(days: Sequence[ReportDay], day: ReportDay | None) -> Iterator[str]:
    """Yield the cells of the audit's row of *day*, or of *days* together; see AUDIT_HEAD."""
    each = day.audit if day else total([every.audit for every in days])
    yield words.on(day.values.day) if day else "Total"
    missing = each.values_missing
    yield "Missing" if missing else "Healed" if each.healed else "Complete"
    yield f"{missing:,}"
    yield f"{each.healed:,}"
    yield f"{each.values:,}"
    yield f"{each.snapshots:,}"
    yield f"{each.revisions:,}"
    yield words.mw(each.largest_revision_mw)
    yield spell(each.longest_silence)
    faults = {
        "unreadable": each.unreadable_files,
        "dropped row" if each.dropped_rows == 1 else "dropped rows": each.dropped_rows,
        "of another day": each.filed_under_another_day,
        "empty": each.empty_snapshots,
    }
    yield (
        ", ".join(f"{number:,} {fault}" for fault, number in faults.items() if number) or words.NONE
    )


def worst_first(days: Sequence[ReportDay]) -> list[int]:
    """Return the numbers of *days*: the days with the most missing values first, then with faults."""

    def badness(number: int) -> tuple[int, int, int, int]:
        audit = days[number].audit
        faults = audit.unreadable_files + audit.filed_under_another_day + audit.empty_snapshots
        return -audit.values_missing, -faults, -audit.dropped_rows, -audit.healed

    return sorted(range(len(days)), key=badness)
