"""The fold: the snapshots of a market day, in the order they were published, become its values.

Plain Python. For each interval the last published value wins; for each hour every change is kept, as
a vintage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any, NamedTuple

from miso_scrapy.feed.labels import hour_minute, interval_minute
from miso_scrapy.feed.market_day import EST
from miso_scrapy.feed.shape import ARRAYS

INTERVALS_A_DAY = 288


class Published(NamedTuple):
    """A snapshot, as far as its market day needs it; MW by minutes after 00:00 EST."""

    at: datetime
    """The interval that it is of, UTC."""
    collected_at: datetime | None
    load: dict[int, float]
    forecast: dict[int, float]
    cleared: dict[int, float]


class LoadValue(NamedTuple):
    """The load of a 5-minute interval."""

    interval_start: datetime
    load_mw: float
    first_published: datetime
    """The interval of the first snapshot that carries it."""
    last_published: datetime
    """The interval of the last snapshot that carries it."""
    revisions: int
    """How often its value changed."""
    largest_revision_mw: float


class Vintage(NamedTuple):
    """What an hour was forecast, or cleared, from one snapshot on until the next change."""

    hour_start: datetime
    mw: float
    published: datetime


@dataclass
class MarketDay:
    """What the snapshots of a market day say, all times UTC, each list in the order of its times."""

    day: date
    load: list[LoadValue] = field(default_factory=list)
    forecast: list[Vintage] = field(default_factory=list)
    cleared: list[Vintage] = field(default_factory=list)
    snapshots: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    """Of each snapshot: its interval, and when it was collected."""


def published(at: datetime, collected_at: datetime | None, data: Mapping[str, Any]) -> Published:
    """Return the snapshot *data*, of the documented shape, of the interval *at*.

    Where an array names an interval or an hour twice, the later row is the one to believe. Raises
    ValueError for a label that names none, and for load later than the snapshot itself.
    """
    load = {_MINUTES["Time"][row["Time"]]: row["Value"] for row in data["FiveMinTotalLoad"]}
    forecast, cleared = (
        {_MINUTES[label][row[label]]: row[value] for row in data[name]}
        for name, label, value in _HOURLY
    )
    local = at.astimezone(EST)
    if load and (last := max(load)) > local.hour * 60 + local.minute:
        raise ValueError(
            f"it holds the load of {last // 60:02d}:{last % 60:02d} EST, after its own interval, "
            f"{local:%H:%M} EST"
        )
    return Published(at, collected_at, load, forecast, cleared)


def fold(day: date, snapshots: Iterable[Published]) -> MarketDay:
    """Return the market day *day* of its *snapshots*, whatever their order."""
    ordered = sorted(snapshots, key=_order)
    midnight = datetime.combine(day, time(), EST).astimezone(UTC)
    return MarketDay(
        day,
        _fold_load(midnight, ordered),
        _fold_hours(midnight, ((snapshot.at, snapshot.forecast) for snapshot in ordered)),
        _fold_hours(midnight, ((snapshot.at, snapshot.cleared) for snapshot in ordered)),
        [(snapshot.at, snapshot.collected_at) for snapshot in ordered],
    )


_NEVER = datetime.min.replace(tzinfo=UTC)


def _order(snapshot: Published) -> tuple[datetime, datetime]:
    return snapshot.at, snapshot.collected_at or _NEVER


@dataclass(slots=True)
class _Value:
    mw: float
    first: datetime
    last: datetime
    revisions: int = 0
    largest: float = 0


def _fold_load(midnight: datetime, ordered: list[Published]) -> list[LoadValue]:
    values: dict[int, _Value] = {}
    for snapshot in ordered:
        at = snapshot.at
        for minute, mw in snapshot.load.items():
            value = values.get(minute)
            if value is None:
                values[minute] = _Value(mw, at, at)
                continue
            value.last = at
            if value.mw != mw:
                value.revisions += 1
                value.largest = max(value.largest, abs(mw - value.mw))
                value.mw = mw
    return [
        LoadValue(
            midnight + timedelta(minutes=minute),
            value.mw,
            value.first,
            value.last,
            value.revisions,
            value.largest,
        )
        for minute, value in sorted(values.items())
    ]


def _fold_hours(
    midnight: datetime, ordered: Iterable[tuple[datetime, dict[int, float]]]
) -> list[Vintage]:
    vintages: dict[int, list[tuple[datetime, float]]] = {}
    before: dict[int, float] = {}
    for at, hours in ordered:
        if hours == before:
            continue
        for minute, mw in hours.items():
            known = vintages.setdefault(minute, [])
            if not known or known[-1][1] != mw:
                known.append((at, mw))
        before = hours
    return [
        Vintage(midnight + timedelta(minutes=minute), mw, at)
        for minute, known in sorted(vintages.items())
        for at, mw in known
    ]


class _Minutes(dict[str | int, int]):
    """A label's minute, read once: a year of snapshots has 20 million rows, and some 340 labels."""

    def __init__(self, read: Callable[[Any], int]) -> None:
        self._read = read

    def __missing__(self, label: str | int) -> int:
        minute = self[label] = self._read(label)
        return minute


_HOURLY = [
    (name, ARRAYS[name].label, ARRAYS[name].value)
    for name in ("MediumTermLoadForecast", "ClearedMW")
]
_MINUTES = {"Time": _Minutes(interval_minute)} | {
    label: _Minutes(partial(hour_minute, label)) for _, label, _ in _HOURLY
}
