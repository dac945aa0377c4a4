"""Generate a plausible system load, in MW, for any day. The same seed gives the same load.

As in the real feed, some 5-minute values are revised in a later snapshot, and each hour brings new
forecasts for the hours to come.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from random import Random
from typing import Any

from miso_scrapy.feed.candidate import INTERVAL, floor_to_interval
from miso_scrapy.feed.market_day import EST, INTERVALS_A_DAY, market_day
from miso_scrapy.feed.ref_id import iso_utc, live_ref_id
from miso_scrapy.feed.shape import ARRAYS, SIMULATED


@dataclass(frozen=True)
class Day:
    """A market day: its final load, its first published load, cleared MW and forecast errors."""

    load_mw: list[int]
    """288 values, final."""
    first_mw: list[int]
    """288 values, as first published."""
    revised_at: list[int]
    """For each value, the number of the interval from which on the final value is published."""
    cleared_mw: list[int]
    """24 values."""
    forecast_error: list[float]
    """24 relative errors of a forecast made a day ahead. They shrink as the hour comes nearer."""


@lru_cache(maxsize=8)
def day_of(seed: int, day: date) -> Day:
    """Return the market day *day* for *seed*."""
    random = Random(f"{seed}:{day.isoformat()}")  # noqa: S311
    season = math.cos(2 * math.pi * (day.timetuple().tm_yday - 205) / 365.25)
    base = 82_000 + 9_000 * season**2 * (1 if season > 0 else 0.5) + random.uniform(-3_000, 3_000)
    swing = 9_000 + 5_000 * max(season, 0) + random.uniform(-1_000, 1_000)
    load, drift = [], 0.0
    for index in range(INTERVALS_A_DAY):
        hour = index / 12
        drift = 0.97 * drift + random.gauss(0, 90)
        turn = 2 * math.pi / 24
        shape = -math.cos(turn * (hour - 4.5)) - 0.25 * math.cos(2 * turn * hour)
        load.append(round(min(max(base + swing * shape + drift, 60_000), 125_000)))
    first, revised_at = list(load), [0] * INTERVALS_A_DAY
    for index in random.sample(range(INTERVALS_A_DAY), 9):
        first[index] += random.choice((-1, 1)) * random.randint(20, 400)
        revised_at[index] = index + random.randint(1, 12)
    hourly = [sum(load[hour * 12 : hour * 12 + 12]) / 12 for hour in range(24)]
    cleared = [round(value * random.uniform(0.985, 1.015)) for value in hourly]
    return Day(load, first, revised_at, cleared, [random.gauss(0, 0.02) for _ in range(24)])


def snapshot(seed: int, instant: datetime, *, documented: bool = False) -> dict[str, Any]:
    """Return the snapshot at *instant*, in the live or in the *documented* shape."""
    interval = floor_to_interval(instant)
    market = market_day(interval)
    day = day_of(seed, market)
    last = (interval - datetime.combine(market, time(), EST)) // INTERVAL
    label = _documented_label if documented else _live_label
    rows: dict[str, list[dict[str, Any]]] = {
        "ClearedMW": [_row("ClearedMW", label, hour, day.cleared_mw[hour]) for hour in range(24)],
        "MediumTermLoadForecast": [
            _row("MediumTermLoadForecast", label, hour, _forecast(day, hour, last // 12))
            for hour in range(24)
        ],
        "FiveMinTotalLoad": [
            _row(
                "FiveMinTotalLoad",
                label,
                index,
                (day.load_mw if last >= day.revised_at[index] else day.first_mw)[index],
            )
            for index in range(last + 1)
        ],
    }
    if documented:
        return {"RefId": iso_utc(interval), **rows}
    wrapped = {
        name: [
            {ARRAYS[name].wrapper: {key: str(value) for key, value in row.items()}} for row in array
        ]
        for name, array in rows.items()
    }
    return {"LoadInfo": {"RefId": live_ref_id(interval), **wrapped}}


def answer(seed: int, instant: datetime, *, documented: bool = False) -> dict[str, Any]:
    """Return :func:`snapshot` as it is served, with the field that marks it as simulated."""
    served = snapshot(seed, instant, documented=documented)
    (served if documented else served["LoadInfo"])[SIMULATED] = True
    return served


def _forecast(day: Day, hour: int, made_in: int) -> int:
    """Return the forecast of *hour* (0 to 23), in MW, as published in the hour *made_in* (0 to 23)."""
    mean = sum(day.load_mw[hour * 12 : hour * 12 + 12]) / 12
    return round(mean * (1 + day.forecast_error[hour] * (1 + max(hour - made_in, 0)) / 24))


def _row(name: str, label: Callable[[str, int], str], index: int, mw: int) -> dict[str, Any]:
    array = ARRAYS[name]
    return {array.label: label(array.label, index), array.value: mw}


def _live_label(kind: str, index: int) -> str:
    return _clock(index)[:5] if kind == "Time" else str(index + 1)


def _documented_label(kind: str, index: int) -> str:
    if kind == "Time":
        return _clock(index)
    return f"{index + (kind == 'HourEnding'):02d}:00"


@cache
def _clock(index: int) -> str:
    return (datetime(2000, 1, 1, tzinfo=UTC) + index * timedelta(minutes=5)).strftime("%H:%M:%S")
