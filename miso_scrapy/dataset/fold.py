"""Fold the snapshots of a market day, in the order of their publication, into its values.

For each 5-minute interval the last published value counts. For each hour every change of the forecast
and of the cleared MW is kept, as a vintage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from miso_scrapy.feed.market_day import EST
from miso_scrapy.feed.rows import RowReader, Unused


class Published(NamedTuple):
    """The parts of a snapshot that the fold needs; MW by minutes after 00:00 EST."""

    at: datetime
    """The snapshot's interval, UTC."""
    collected_at: datetime | None
    load: dict[int, float]
    forecast: dict[int, float]
    cleared: dict[int, float]
    unused: tuple[Unused, ...] = ()
    """The rows that are left out."""


class LoadValue(NamedTuple):
    """The load of a 5-minute interval."""

    interval_start: datetime
    load_mw: float
    first_published: datetime
    """The interval of the first snapshot that has a value for it."""
    last_published: datetime
    """The interval of the last snapshot that has a value for it."""
    revisions: int
    """The number of times that its value changed."""
    largest_revision_mw: float


class Vintage(NamedTuple):
    """The forecast or the cleared MW of an hour, as published until the next change."""

    hour_start: datetime
    mw: float
    published: datetime


@dataclass
class MarketDay:
    """The values of a market day. All times are UTC; each list is in the order of its times."""

    day: date
    load: list[LoadValue] = field(default_factory=list)
    forecast: list[Vintage] = field(default_factory=list)
    cleared: list[Vintage] = field(default_factory=list)
    snapshots: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    """The interval of each snapshot, and when it was collected, if that is known."""
    with_rows: set[datetime] = field(default_factory=set)
    """The intervals of the snapshots that have at least one usable row."""


class SnapshotReader:
    """Read the snapshots of a market day, one after the other."""

    def __init__(self) -> None:
        self._rows = RowReader()

    def read(
        self, at: datetime, collected_at: datetime | None, data: Mapping[str, Any]
    ) -> Published:
        """Return the snapshot *data*, in the documented shape, as published for the interval *at*."""
        return Published(at, collected_at, *self._rows.read(at, data))


def fold(day: date, snapshots: Iterable[Published]) -> MarketDay:
    """Return the market day *day*, folded from its *snapshots*, which may be in any order."""
    ordered = sorted(snapshots, key=_order)
    midnight = datetime.combine(day, time(), EST).astimezone(UTC)
    return MarketDay(
        day,
        _fold_load(midnight, ordered),
        _fold_hours(midnight, ((snapshot.at, snapshot.forecast) for snapshot in ordered)),
        _fold_hours(midnight, ((snapshot.at, snapshot.cleared) for snapshot in ordered)),
        [(snapshot.at, snapshot.collected_at) for snapshot in ordered],
        {each.at for each in ordered if each.load or each.forecast or each.cleared},
    )


_NEVER = datetime.min.replace(tzinfo=UTC)


def _order(snapshot: Published) -> tuple[datetime, datetime]:
    return snapshot.at, snapshot.collected_at or _NEVER


@dataclass(slots=True)
class _Value:
    mw: float
    first: datetime
    last: datetime = _NEVER
    """Set when a snapshot no longer has the value, or after the last snapshot."""
    revisions: int = 0
    largest: float = 0


def _fold_load(midnight: datetime, ordered: list[Published]) -> list[LoadValue]:
    values: dict[int, _Value] = {}
    before: dict[int, float] = {}
    before_at = _NEVER
    for snapshot in ordered:
        at, load = snapshot.at, snapshot.load
        for minute in before.keys() - load.keys():
            values[minute].last = before_at
        for minute, mw in load.items():
            if before.get(minute) == mw:
                continue
            value = values.get(minute)
            if value is None:
                values[minute] = _Value(mw, first=at)
            elif value.mw != mw:
                value.revisions += 1
                value.largest = max(value.largest, abs(mw - value.mw))
                value.mw = mw
        before, before_at = load, at
    for minute in before:
        values[minute].last = before_at
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
        if hours is before or hours == before:
            continue
        for minute, mw in hours.items():
            known = vintages.setdefault(minute, [])
            if known and known[-1][0] == at:  # from another snapshot of the same interval
                known.pop()
            if not known or known[-1][1] != mw:
                known.append((at, mw))
        before = hours
    return [
        Vintage(midnight + timedelta(minutes=minute), mw, at)
        for minute, known in sorted(vintages.items())
        for at, mw in known
    ]
