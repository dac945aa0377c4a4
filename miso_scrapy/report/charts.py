"""Describe each chart: its title, its texts, and its data as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean, median, quantiles
from typing import TypeVar

from miso_scrapy.dataset.forecast_error import LeadError
from miso_scrapy.report import words
from miso_scrapy.report.day import ReportDay

T = TypeVar("T")

_HOURLY_DAYS = 7
"""The largest number of days for a table with a row for each hour; beyond it, a row is a day."""
_RANGES = 8
"""The largest number of ranges in a cell."""


@dataclass(frozen=True)
class Table:
    """The data of a chart, for people who cannot see it. The first cell of a row is its header."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    total: Sequence[str] = ()


@dataclass(frozen=True)
class Chart:
    """A chart: *label* says what is drawn, *caption* describes the result."""

    id: str
    title: str
    label: str
    caption: str
    table: Table


def charts(days: Sequence[ReportDay], leads: Sequence[LeadError]) -> list[Chart]:
    """Return the charts, in reading order."""
    return [_load(days), _error(days), _lead(leads), _map(days), _revisions(days), _age(days)]


def _load(days: Sequence[ReportDay]) -> Chart:
    values = [value for day in days for value in day.market.load]
    seen = "No 5-minute load is known."
    if values:
        low = min(values, key=lambda value: value.load_mw)
        high = max(values, key=lambda value: value.load_mw)
        seen = (
            f"Load was highest on {words.at(high.interval_start)}, {words.mw(high.load_mw)} MW, "
            f"and lowest on {words.at(low.interval_start)}, {words.mw(low.load_mw)} MW."
        )
    caption = "Load, forecast and cleared, by {}, in MW"
    if len(days) <= _HOURLY_DAYS:
        table = _table(
            caption.format("hour"),
            [(day, hour) for day in days for hour in range(24)],
            {
                "Hour (EST)": lambda row: f"{row[0].market.day} {row[1]:02d}:00",
                "Load, mean MW": lambda row: words.mw(row[0].mean_load[row[1]]),
                "Forecast, MW": lambda row: words.mw(row[0].forecast[row[1]]),
                "Cleared, MW": lambda row: words.mw(row[0].cleared[row[1]]),
            },
        )
    else:
        table = _table(
            caption.format("market day"),
            days,
            {
                "Market day": _name,
                "Load, lowest MW": lambda day: words.mw(_of(min, day.load)),
                "Load, mean MW": lambda day: words.mw(_of(fmean, day.load)),
                "Load, highest MW": lambda day: words.mw(_of(max, day.load)),
                "Forecast, mean MW": lambda day: words.mw(_of(fmean, day.forecast)),
                "Cleared, mean MW": lambda day: words.mw(_of(fmean, day.cleared)),
            },
        )
    return Chart(
        "load",
        "Load, forecast and cleared",
        "Line chart of the 5-minute load, the hourly forecast and the hourly cleared MW over time.",
        f"{seen} Load (solid line) has a value every five minutes. Forecast (dashed) and cleared "
        "(dotted) have one every hour. The forecast shown is the last one published before its hour "
        "began, or the first one if there was none before.",
        table,
    )


def _error(days: Sequence[ReportDay]) -> Chart:
    errors = [error for day in days for error in day.errors]
    seen = "No hour has both a forecast and a complete load yet."
    if errors:
        worst = max(errors, key=lambda error: abs(error.mw))
        share = fmean(abs(error.mw) / error.load_mw for error in errors if error.load_mw)
        seen = (
            f"The forecast was off by {words.mw(fmean(abs(error.mw) for error in errors))} MW on "
            f"average, {share:.1%} of the load, and by {words.mw(abs(worst.mw))} MW at most, on "
            f"{words.at(worst.hour_start)}."
        )
    caption = "Forecast error, by {}, in MW"
    if len(days) <= _HOURLY_DAYS:
        table = _table(
            caption.format("hour"),
            errors,
            {
                "Hour (EST)": lambda error: words.iso(error.hour_start),
                "Forecast, MW": lambda error: words.mw(error.forecast_mw),
                "Load, mean MW": lambda error: words.mw(error.load_mw),
                "Error, MW": lambda error: words.signed_mw(error.mw),
            },
        )
    else:
        table = _table(
            caption.format("market day"),
            days,
            {
                "Market day": _name,
                "Hours": lambda day: f"{len(day.errors)}",
                "Mean absolute, MW": lambda day: words.mw(
                    _of(fmean, [abs(error.mw) for error in day.errors])
                ),
                "Bias, MW": lambda day: words.signed_mw(_of(fmean, day.error)),
                "Lowest, MW": lambda day: words.signed_mw(_of(min, day.error)),
                "Highest, MW": lambda day: words.signed_mw(_of(max, day.error)),
            },
        )
    return Chart(
        "error",
        "Forecast error",
        "Bar chart of the forecast error of each hour over time, in MW.",
        f"{seen} The error of an hour is the last forecast published before it began, minus the mean of "
        "its twelve 5-minute loads. A positive error means that the forecast was too high.",
        table,
    )


def _lead(leads: Sequence[LeadError]) -> Chart:
    seen = "No forecast can be compared with its load yet."
    if leads:
        near, far = leads[0], leads[-1]
        seen = (
            f"When their hour began, forecasts were off by {words.mw(near.mean_absolute_mw)} MW on "
            "average"
        )
        if far is not near:
            before = words.count(far.lead_hours, "hour")
            seen += f"; {before} before, by {words.mw(far.mean_absolute_mw)} MW"
        seen += "."
    return Chart(
        "lead",
        "Forecast error by lead time",
        "Line chart of the mean absolute error and the bias of forecasts, in MW, by lead time in "
        "hours.",
        f"{seen} The feed has forecasts for the current market day only, so only its late hours have "
        "long lead times. Bias is the mean error; a positive bias means that forecasts were too high.",
        _table(
            "Forecast error by lead time, in MW",
            leads,
            {
                "Hours before the hour began": lambda lead: f"{lead.lead_hours}",
                "Hours compared": lambda lead: f"{lead.hours:,}",
                "Mean absolute, MW": lambda lead: words.mw(lead.mean_absolute_mw),
                "Bias, MW": lambda lead: words.signed_mw(lead.bias_mw),
            },
        ),
    )


def _map(days: Sequence[ReportDay]) -> Chart:
    collected, healed, missing = (sum(day.state.count(name) for day in days) for name in "chm")
    return Chart(
        "map",
        "Collected, healed, missing",
        "Map of the 5-minute intervals, a row for each market day: collected, healed or missing.",
        f"{words.count(collected, 'interval')} collected with their own snapshot; {healed:,} "
        f"healed from a later snapshot of their market day; {missing:,} missing.",
        _table(
            "Collected, healed and missing intervals of each market day (EST)",
            days,
            {
                "Market day": _name,
                "Collected": lambda day: f"{day.state.count('c')}",
                "Healed": lambda day: f"{day.state.count('h')}",
                "Missing": lambda day: f"{day.state.count('m')}",
                "Healed intervals": lambda day: _ranges(day.state, "h"),
                "Missing intervals": lambda day: _ranges(day.state, "m"),
            },
        ),
    )


def _revisions(days: Sequence[ReportDay]) -> Chart:
    revised = [value for day in days for _, value in day.revised]
    seen = "No value was revised."
    if revised:
        most = max(revised, key=lambda value: value.largest_revision_mw)
        seen = (
            f"{words.count(len(revised), 'value')} revised after being published, by up to "
            f"{words.mw(most.largest_revision_mw)} MW, on {words.at(most.interval_start)}."
        )
    return Chart(
        "revisions",
        "Revisions",
        "Scatter chart of the revised 5-minute values over time, by the size of the revision in MW.",
        f"{seen} Each mark is a value, at its interval and the size of its largest change.",
        _table(
            "Revisions of each market day",
            days,
            {
                "Market day": _name,
                "Values revised": lambda day: f"{len(day.revised)}",
                "Revisions": lambda day: f"{day.audit.revisions}",
                "Largest, MW": lambda day: words.mw(day.audit.largest_revision_mw),
            },
        ),
    )


def _age(days: Sequence[ReportDay]) -> Chart:
    ages = [age for day in days for age in day.age if age is not None]
    seen = "No snapshot says when it was collected."
    if ages:
        seen = (
            f"Half of the snapshots were collected within {words.minutes(median(ages))} minutes of "
            f"their interval, 95% within {words.minutes(_most_of(ages))}, and all within "
            f"{words.minutes(max(ages))}."
        )
    return Chart(
        "age",
        "Freshness",
        "Line chart of the age of each snapshot when it was collected, in minutes, over time.",
        f"{seen} The age is the time from the start of an interval until its first snapshot was "
        "collected.",
        _table(
            "Age of the snapshots of each market day when they were collected, in minutes",
            days,
            {
                "Market day": _name,
                "Least": lambda day: words.minutes(_of(min, day.age)),
                "Half within": lambda day: words.minutes(_of(median, day.age)),
                "95% within": lambda day: words.minutes(_of(_most_of, day.age)),
                "All within": lambda day: words.minutes(_of(max, day.age)),
            },
        ),
    )


def _table(caption: str, rows: Iterable[T], columns: Mapping[str, Callable[[T], str]]) -> Table:
    return Table(caption, list(columns), [[cell(row) for cell in columns.values()] for row in rows])


def _name(day: ReportDay) -> str:
    return str(day.market.day)


def _of(choose: Callable[[list[float]], float], values: Iterable[float | None]) -> float | None:
    """Return the result of *choose* on the *values* that are not None; None if there are none."""
    known = [value for value in values if value is not None]
    return choose(known) if known else None


def _most_of(values: Sequence[float]) -> float:
    """Return the 95th percentile of *values*."""
    return quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]


def _ranges(state: str, name: str) -> str:
    """Return the EST ranges of intervals with the letter *name* in *state*; at most the first few."""
    found, start = [], 0
    for letter, run in groupby(state):
        end = start + len(list(run))
        if letter == name:
            ends = sorted({start, end - 1})
            found.append("-".join(f"{number // 12:02d}:{number % 12 * 5:02d}" for number in ends))
        start = end
    more = len(found) - _RANGES
    shown = ", ".join(found[:_RANGES]) or words.NONE
    return f"{shown} and {more} more" if more > 0 else shown
