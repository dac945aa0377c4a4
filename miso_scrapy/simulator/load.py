"""Generate a plausible system load, in MW, for any day. The same seed and day give the same load.

Each market day has a curve: a level, a morning, an afternoon and an evening peak and a low at night,
which depend on the season, the day of the week and the weather, and a slow random part. Around
midnight the load passes from the curve of one day to that of the next, so it does not jump. A winter
day has two peaks, in the morning and in the evening. A summer day has one, in the afternoon. A weekend
has less load than the working days. Warm or cold weather lasts for some days.

As in the real feed, some 5-minute values are revised in a later snapshot of their market day, and each
hour brings new forecasts for the hours to come: the further ahead, the larger their error, which is
zero on average. The cleared MW stay the same all day.

Not modelled: public holidays, daylight saving time in the habits of the consumers, outages, a
forecast that is wrong in the same way day after day, and revisions after the end of the market day.
The magnitudes are those of the feed, 60,000 to 125,000 MW; the numbers below are not fitted to data.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from itertools import accumulate
from random import Random
from typing import Any

from miso_scrapy.feed.candidate import INTERVAL, floor_to_interval
from miso_scrapy.feed.market_day import INTERVALS_A_DAY, market_day, midnight
from miso_scrapy.feed.ref_id import iso_utc, live_ref_id
from miso_scrapy.feed.shape import ARRAYS, SIMULATED

_HOTTEST = date(2025, 7, 24).toordinal()
_YEAR = 365.2425
_LOWEST_MW, _HIGHEST_MW = 60_000, 125_000


def _peak(hour: float, sharpness: float) -> list[float]:
    """Return a daily peak for each interval: 1 at *hour*, less before and after, as a smooth cycle."""
    turn = 2 * math.pi / INTERVALS_A_DAY
    return [
        math.exp(sharpness * (math.cos(turn * (index - 12 * hour)) - 1))
        for index in range(INTERVALS_A_DAY)
    ]


_PEAKS = list(zip(_peak(7.5, 6), _peak(16.5, 1.2), _peak(19, 4), _peak(3.5, 3), strict=True))
"""The morning, the afternoon and the evening peak, and the low of the night, at each interval."""
_OWN = [
    0.5 + 0.5 * math.sin(math.pi / 2 * min(index / 72, (INTERVALS_A_DAY - index) / 72, 1))
    for index in range(INTERVALS_A_DAY)
]
"""The part of a day's own curve in its load: half at midnight, all from 06:00 to 18:00."""


@dataclass(frozen=True)
class Day:
    """A market day: its final load, its first published load, cleared MW and forecasts."""

    load_mw: list[int]
    """288 values, final."""
    first_mw: list[int]
    """288 values, as first published."""
    revised_at: list[int]
    """For each value, the number of the interval from which on the final value is published."""
    cleared_mw: list[int]
    """24 values."""
    forecast_mw: list[list[int]]
    """For each hour of the day, the 24 forecasts that are published in that hour."""


@lru_cache(maxsize=8)
def day_of(seed: int, day: date) -> Day:
    """Return the market day *day* for *seed*."""
    number = day.toordinal()
    before, own, after = (_curve(seed, number + days) for days in (-1, 0, 1))
    random = _random(seed, "day", number)
    load = [
        round(part * mw + (1 - part) * neighbour + random.uniform(-60, 60))
        for part, mw, neighbour in zip(_OWN, own, before[:144] + after[144:], strict=True)
    ]
    first, revised_at = list(load), [0] * INTERVALS_A_DAY
    for index in random.sample(range(INTERVALS_A_DAY - 12), 9):
        first[index] += random.choice((-1, 1)) * random.randint(20, 400)
        revised_at[index] = index + random.randint(1, 12)
    hourly = [sum(load[hour * 12 : hour * 12 + 12]) / 12 for hour in range(24)]
    share = random.uniform(0.985, 1.015)
    cleared = [_mw(mw * share * random.uniform(0.995, 1.005)) for mw in hourly]
    # What nobody foresees in an hour changes the load of that hour and of all later ones. A forecast
    # knows the surprises of the hours before the one in which it is published.
    surprises = [random.triangular(-800, 800) for _ in range(24)]
    forecast = []
    for made_in in range(24):
        unknown = surprises[:made_in] + list(accumulate(surprises[made_in:]))
        forecast.append([_mw(mw - missed) for mw, missed in zip(hourly, unknown, strict=True)])
    return Day(load, first, revised_at, cleared, forecast)


@lru_cache(maxsize=8)
def _curve(seed: int, number: int) -> list[float]:
    """Return the curve, in MW at each interval, of the day whose ordinal is *number*, as a cycle."""
    season = math.cos(2 * math.pi * (number - _HOTTEST) / _YEAR)
    summer, winter = max(season, 0), max(-season, 0)
    weekend = (0, 0.8, 1)[max((number - 1) % 7 - 4, 0)]  # Saturday, Sunday
    weather = sum(  # between -1 and 1
        weight * _random(seed, "weather", number - ago).uniform(-1, 1)
        for ago, weight in enumerate((0.4, 0.3, 0.2, 0.1))
    )
    level = 71_000 + 13_000 * summer + 9_000 * winter - 2_500 * weekend
    level += (1_500 + 4_500 * summer + 6_000 * winter) * weather
    morning = (3_000 + 6_000 * winter) * (1 - summer) * (1 - 0.4 * weekend)
    evening = (4_000 + 5_000 * winter) * (1 - summer)
    afternoon = 7_000 + 19_000 * summer - 2_000 * winter + 6_000 * summer * weather
    afternoon *= 1 - 0.15 * weekend
    night = 5_000 + 4_000 * summer
    random = _random(seed, "curve", number)
    hourly = [random.triangular(-400, 400) for _ in range(24)]
    slow = [
        before + (after - before) * step / 12
        for before, after in zip(hourly, hourly[1:] + hourly[:1], strict=True)
        for step in range(12)
    ]
    return [
        level + morning * peak_1 + afternoon * peak_2 + evening * peak_3 - night * low + wander
        for (peak_1, peak_2, peak_3, low), wander in zip(_PEAKS, slow, strict=True)
    ]


def _random(seed: int, what: str, number: int) -> Random:
    """Return the random numbers for *what* of the day whose ordinal is *number*."""
    return Random(f"{seed}:{what}:{number}")  # noqa: S311


def _mw(mw: float) -> int:
    """Return *mw* rounded, within the magnitudes of the feed."""
    return round(min(max(mw, _LOWEST_MW), _HIGHEST_MW))


def snapshot(seed: int, instant: datetime, *, documented: bool = False) -> dict[str, Any]:
    """Return the snapshot at *instant*, in the live or in the *documented* shape."""
    interval = floor_to_interval(instant)
    market = market_day(interval)
    day = day_of(seed, market)
    last = (interval - midnight(market)) // INTERVAL
    label = _documented_label if documented else _live_label
    rows: dict[str, list[dict[str, Any]]] = {
        "ClearedMW": [_row("ClearedMW", label, hour, day.cleared_mw[hour]) for hour in range(24)],
        "MediumTermLoadForecast": [
            _row("MediumTermLoadForecast", label, hour, day.forecast_mw[last // 12][hour])
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
