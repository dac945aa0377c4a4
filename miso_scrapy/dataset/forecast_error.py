"""Compute forecast errors: an hour's forecast minus the mean of its twelve 5-minute loads, in MW."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from statistics import fmean
from typing import NamedTuple

from miso_scrapy.dataset.fold import MarketDay, Vintage, by_start

HOUR = timedelta(hours=1)


class HourError(NamedTuple):
    """The latest forecast published before an hour began, and the mean load of the hour."""

    hour_start: datetime
    forecast_mw: float
    load_mw: float

    @property
    def mw(self) -> float:
        """The error; it is positive if the forecast was too high."""
        return self.forecast_mw - self.load_mw


class LeadError(NamedTuple):
    """The error of the forecasts that were the latest *lead_hours* hours before their hour began."""

    lead_hours: int
    hours: int
    """The number of hours compared."""
    mean_absolute_mw: float
    bias_mw: float
    """The mean error; it is positive if the forecasts were too high."""


def hourly_load(day: MarketDay) -> dict[datetime, float]:
    """Return the mean load, in MW, of each hour of *day* that has all its twelve values."""
    values: dict[datetime, list[float]] = defaultdict(list)
    for value in day.load:
        values[value.interval_start.replace(minute=0)].append(value.load_mw)
    return {hour: fmean(mw) for hour, mw in values.items() if len(mw) == 12}


def standing(vintages: Sequence[Vintage], instant: datetime) -> float | None:
    """Return the MW of the last of an hour's *vintages* published before *instant*; None if none was."""
    return next((v.mw for v in reversed(vintages) if v.published < instant), None)


def hour_errors(day: MarketDay) -> list[HourError]:
    """Return the error of each hour of *day* with a complete load and a forecast before it began."""
    load = hourly_load(day)
    forecasts = {hour: standing(known, hour) for hour, known in by_start(day.forecast).items()}
    return [
        HourError(hour, mw, load[hour])
        for hour, mw in forecasts.items()
        if mw is not None and hour in load
    ]


def lead_errors(days: Iterable[MarketDay]) -> list[LeadError]:
    """Return the forecast errors by lead time, in whole hours before the hour began.

    A forecast is first published on the market day of its hour, so leads end at 22 hours.
    """
    errors: dict[int, list[float]] = defaultdict(list)
    for day in days:
        load = hourly_load(day)
        for hour, known in by_start(day.forecast).items():
            if hour not in load:
                continue
            for lead in range(24):
                mw = standing(known, hour - lead * HOUR)
                if mw is None:
                    break
                errors[lead].append(mw - load[hour])
    return [
        LeadError(lead, len(of_lead), fmean(map(abs, of_lead)), fmean(of_lead))
        for lead, of_lead in sorted(errors.items())
    ]
