"""Arrange the values of a market day in lists, one value for each interval or hour, for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from miso_scrapy.dataset.audit import DayAudit
from miso_scrapy.dataset.fold import LoadValue, MarketDay, Vintage, by_start
from miso_scrapy.dataset.forecast_error import (
    HOUR,
    HourError,
    hour_errors,
    hourly_load,
    standing,
)
from miso_scrapy.feed.candidate import INTERVAL
from miso_scrapy.feed.market_day import EST, INTERVALS_A_DAY


@dataclass(frozen=True)
class ReportDay:
    """A market day, its audit, and lists of 288 values (intervals) or 24 values (hours)."""

    market: MarketDay
    audit: DayAudit
    load: list[float | None]
    """MW of each interval."""
    mean_load: list[float | None]
    """MW of each hour."""
    forecast: list[float | None]
    """MW of each hour: the last one published before the hour began, or the first if there was none."""
    cleared: list[float | None]
    """MW of each hour, as last published."""
    errors: list[HourError]
    error: list[float | None]
    """Forecast error of each hour, in MW."""
    state: str
    """A letter for each interval: c for collected, h for healed, m for missing, - for not due yet."""
    revised: list[tuple[int, LoadValue]]
    """The values that were revised, each with the number of its interval in the day, from 0."""
    age: list[float | None]
    """Minutes from the start of each interval until its first snapshot was collected."""


def report_day(market: MarketDay, audit: DayAudit) -> ReportDay:
    """Return *market* and its *audit*, arranged for the page."""
    midnight = datetime.combine(market.day, time(), EST).astimezone(UTC)
    grid = [midnight + number * INTERVAL for number in range(INTERVALS_A_DAY)]
    hours = [midnight + number * HOUR for number in range(24)]
    load = {value.interval_start: value for value in market.load}
    means = hourly_load(market)
    forecast, cleared = by_start(market.forecast), by_start(market.cleared)
    errors = hour_errors(market)
    error = {each.hour_start: each.mw for each in errors}
    age: dict[datetime, float] = {}
    for at, file in market.used():
        if file.collected is not None:
            minutes = (file.collected - at) / timedelta(minutes=1)
            age[at] = min(minutes, age.get(at, minutes))
    return ReportDay(
        market=market,
        audit=audit,
        load=[load[at].load_mw if at in load else None for at in grid],
        mean_load=[means.get(hour) for hour in hours],
        forecast=[_as_it_began(forecast.get(hour, []), hour) for hour in hours],
        cleared=[cleared[hour][-1].mw if hour in cleared else None for hour in hours],
        errors=errors,
        error=[error.get(hour) for hour in hours],
        state=_state(market, audit, grid),
        revised=[
            (number, load[at])
            for number, at in enumerate(grid)
            if at in load and load[at].revisions
        ],
        age=[age.get(at) for at in grid],
    )


def _as_it_began(vintages: Sequence[Vintage], hour: datetime) -> float | None:
    if not vintages:
        return None
    before = standing(vintages, hour)
    return vintages[0].mw if before is None else before


def _state(market: MarketDay, audit: DayAudit, grid: Sequence[datetime]) -> str:
    values, with_rows = {value.interval_start for value in market.load}, market.with_rows()
    missing = {gap.first + number * INTERVAL for gap in audit.missing for number in range(len(gap))}
    return "".join(
        ("c" if at in with_rows else "h") if at in values else "m" if at in missing else "-"
        for at in grid
    )
