"""Compute forecast errors: an hour's forecast minus the mean of its twelve 5-minute loads, in MW.

Per cent are of that mean load.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from miso_scrapy.dataset.day_values import HOURS_A_DAY, DayValues

_IN_AN_HOUR = 12


class HourError(NamedTuple):
    """An hour of a market day, its mean load, and the errors of its forecasts."""

    hour: int
    """The hour of the day in which it begins, EST."""
    load_mw: float
    errors: list[float]
    """MW, positive if the forecast was too high: of the last forecast published before the hour began,
    of the last one published an hour before that, and so on, as far as there are any. At least one.
    """


class LeadError(NamedTuple):
    """The mean error of the forecasts that were the latest *lead_hours* hours before their hour."""

    lead_hours: int
    hours: int
    """The number of hours compared."""
    mean_absolute_mw: float
    bias_mw: float
    """The mean error; it is positive if the forecasts were too high."""
    mean_absolute_percent: float
    bias_percent: float


class DayPeak(NamedTuple):
    """The highest hour of a market day: its mean load in MW, and the hour of the day it begins in."""

    forecast_mw: float
    forecast_hour: int
    load_mw: float | None
    load_hour: int | None


def hourly_load(values: DayValues) -> list[float | None]:
    """Return the mean load, in MW, of each hour that has all its twelve values."""
    means: list[float | None] = []
    for start in range(0, len(values.load), _IN_AN_HOUR):
        known = [mw for mw in values.load[start : start + _IN_AN_HOUR] if mw is not None]
        means.append(sum(known) / _IN_AN_HOUR if len(known) == _IN_AN_HOUR else None)
    return means


def standing(values: DayValues, hour: int) -> list[float]:
    """Return the MW of the forecasts of *hour* that were the latest 0, 1, 2 ... hours before it began.

    A forecast is first published on the market day of its hour, so leads end at 22 hours.
    """
    vintages, found = values.forecast[hour], []
    last = len(vintages) - 1
    for lead in range(hour + 1):
        instant = (hour - lead) * 60
        while last >= 0 and vintages[last][0] >= instant:
            last -= 1
        if last < 0:
            break
        found.append(vintages[last][1])
    return found


def hour_errors(values: DayValues) -> list[HourError]:
    """Return the errors of each hour with a complete load and a forecast from before it began."""
    return [
        HourError(hour, load, [mw - load for mw in known])
        for hour, load in enumerate(hourly_load(values))
        if load is not None and (known := standing(values, hour))
    ]


def day_peak(values: DayValues) -> DayPeak | None:
    """Return the day's peak as its first forecasts had it, and as it was; None without a forecast.

    The real peak is left out if it may be in an hour whose load is incomplete: if no forecast of that
    hour is known, or one as high as that of the highest hour that is complete.
    """
    first = {hour: known[0][1] for hour, known in enumerate(values.forecast) if known}
    if not first:
        return None
    load = hourly_load(values)
    forecast_hour = max(first, key=lambda hour: first[hour])
    known = {hour: mw for hour, mw in enumerate(load) if mw is not None}
    hour = max(known, key=lambda hour: known[hour], default=None)
    if hour is not None and any(
        load[number] is None and first.get(number, math.inf) >= first.get(hour, -math.inf)
        for number in range(HOURS_A_DAY)
    ):
        hour = None
    mw = None if hour is None else known[hour]
    return DayPeak(first[forecast_hour], forecast_hour, mw, hour)


def lead_error(errors: Iterable[HourError], lead: int) -> LeadError | None:
    """Return the mean of *errors* at a *lead* in whole hours; None if no hour has one."""
    found = [(each.errors[lead], each.load_mw) for each in errors if lead < len(each.errors)]
    if not found:
        return None
    mw = [error for error, _ in found]
    percent = [100 * error / load if load else 0.0 for error, load in found]
    return LeadError(lead, len(mw), _size(mw), _mean(mw), _size(percent), _mean(percent))


def lead_errors(errors: Sequence[HourError]) -> list[LeadError]:
    """Return the mean of *errors* at each lead time."""
    leads = range(max((len(each.errors) for each in errors), default=0))
    return [found for lead in leads if (found := lead_error(errors, lead))]


def error_table(errors: Iterable[HourError]) -> list[tuple[int, LeadError]]:
    """Return the mean of *errors* by the hour of the day and lead time."""
    hours: dict[int, list[HourError]] = defaultdict(list)
    for each in errors:
        hours[each.hour].append(each)
    return [(hour, found) for hour in sorted(hours) for found in lead_errors(hours[hour])]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)  # fmean takes ten times as long


def _size(values: Sequence[float]) -> float:
    return _mean(list(map(abs, values)))
