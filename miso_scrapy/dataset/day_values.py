"""Arrange what is known of a market day by the number of its interval or hour, from its tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import pyarrow as pa

from miso_scrapy.dataset.fold import MarketDay
from miso_scrapy.dataset.tables import arrow_table
from miso_scrapy.feed.market_day import INTERVALS_A_DAY, midnight

HOURS_A_DAY = 24

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "load_vintages": ("interval_start", "load_mw", "published"),
    "forecast": ("hour_start", "forecast_mw", "published"),
    "cleared": ("hour_start", "cleared_mw"),
    "snapshots": ("interval", "collected", "rows", "filed_under_another_day"),
}
"""The columns that :func:`day_values` needs, by table."""

_MINUTE = 60_000_000  # microseconds, the unit of the tables' times
_INTERVAL, _HOUR = 5 * _MINUTE, 60 * _MINUTE


class Revision(NamedTuple):
    """A change of an interval's load after it was first published."""

    number: int
    """The number of the interval in its day, from 0."""
    before_mw: float
    after_mw: float
    minutes: float
    """The time from the first publication of the interval's load to this change."""

    @property
    def mw(self) -> float:
        """The change; it is positive if the load became higher."""
        return self.after_mw - self.before_mw


@dataclass(frozen=True)
class DayValues:
    """The values of a market day: lists with a place for each of 288 intervals, or of 24 hours."""

    day: date
    load: list[float | None]
    """MW of each interval, as last published."""
    forecast: list[list[tuple[float, float]]]
    """For each hour, each change of its forecast: minutes from 00:00 EST to its publication, and MW."""
    cleared: list[float | None]
    """MW of each hour, as last published."""
    collected: list[bool]
    """Whether each interval has a snapshot of its own that has rows."""
    age: list[float | None]
    """Minutes from the start of each interval until its first snapshot was collected."""
    revisions: list[Revision]


def day_values(day: date, tables: Mapping[str, pa.Table]) -> DayValues:
    """Return the values in the *tables* of *day*, which have at least COLUMNS.

    A table that is left out has no rows.
    """
    begin = round(midnight(day).timestamp()) * 1_000_000
    load: list[float | None] = [None] * INTERVALS_A_DAY
    first: dict[int, int] = {}
    revisions = []
    for start, mw, published in _rows("load_vintages", tables):
        number, rest = divmod(start - begin, _INTERVAL)
        if rest or not 0 <= number < INTERVALS_A_DAY:
            continue
        before = load[number]
        if before is None:
            first[number] = published
        else:
            revisions.append(Revision(number, before, mw, (published - first[number]) / _MINUTE))
        load[number] = mw
    forecast: list[list[tuple[float, float]]] = [[] for _ in range(HOURS_A_DAY)]
    for start, mw, published in _rows("forecast", tables):
        hour, rest = divmod(start - begin, _HOUR)
        if not rest and 0 <= hour < HOURS_A_DAY:
            forecast[hour].append(((published - begin) / _MINUTE, mw))
    cleared: list[float | None] = [None] * HOURS_A_DAY
    for start, mw in _rows("cleared", tables):
        hour, rest = divmod(start - begin, _HOUR)
        if not rest and 0 <= hour < HOURS_A_DAY:
            cleared[hour] = mw
    collected = [False] * INTERVALS_A_DAY
    age: list[float | None] = [None] * INTERVALS_A_DAY
    for at, when, rows, elsewhere in _rows("snapshots", tables):
        if at is None or elsewhere:
            continue
        number, rest = divmod(at - begin, _INTERVAL)
        if rest or not 0 <= number < INTERVALS_A_DAY:
            continue
        if rows:
            collected[number] = True
        if when is not None:
            known, minutes = age[number], (when - at) / _MINUTE
            age[number] = minutes if known is None else min(minutes, known)
    return DayValues(day, load, forecast, cleared, collected, age, revisions)


def values_of(day: MarketDay) -> DayValues:
    """Return the values of a market day that was read from its files."""
    return day_values(day.day, {name: arrow_table(name, day) for name in COLUMNS})


def states(values: DayValues, due: int) -> str:
    """Return a letter for each interval: c collected, h healed, m missing, - not due yet.

    The first *due* intervals of the day are due.
    """
    return "".join(
        ("m" if number < due else "-") if mw is None else "c" if own else "h"
        for number, (mw, own) in enumerate(zip(values.load, values.collected, strict=True))
    )


def _rows(name: str, tables: Mapping[str, pa.Table]) -> zip[tuple[Any, ...]]:
    """Return the rows of the table *name*; times as microseconds since 1970.

    A time as an integer costs a tenth of one as a datetime. A year has half a million.
    """
    columns = []
    for column in COLUMNS[name] if name in tables else ():
        values = tables[name][column]
        if pa.types.is_timestamp(values.type):
            values = values.cast(pa.int64())
        columns.append(values.to_pylist())
    return zip(*columns, strict=True)
