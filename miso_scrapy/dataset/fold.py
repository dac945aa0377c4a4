"""The fold: the snapshots of a market day, in the order they were published, become its values.

Plain Python. For each interval the last published value wins; for each hour every change is kept, as
a vintage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any, NamedTuple

from miso_scrapy.feed.labels import hour_minute, interval_minute
from miso_scrapy.feed.market_day import EST
from miso_scrapy.feed.shape import ARRAYS

_TOO_MUCH = 1e9
"""MW: a thousand times what the world uses."""


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


class SnapshotReader:
    """Reads the snapshots of a market day, one after the other.

    Most rows of a snapshot stand in the one before: they are compared, and not read again. Of a day's
    41,616 rows of load that leaves the 288 new ones, and the revised.
    """

    def __init__(self) -> None:
        self._load = _Rows("FiveMinTotalLoad", interval_minute)
        self._forecast, self._cleared = (
            _Rows(name, partial(hour_minute, ARRAYS[name].label))
            for name in ("MediumTermLoadForecast", "ClearedMW")
        )

    def read(
        self, at: datetime, collected_at: datetime | None, data: Mapping[str, Any]
    ) -> Published:
        """Return the snapshot *data*, of the documented shape, of the interval *at*.

        Raises ValueError for a row that is none, and for load later than the snapshot itself.
        """
        load, forecast, cleared = (
            rows.read(data.get(rows.name)) for rows in (self._load, self._forecast, self._cleared)
        )
        local = at.astimezone(EST)
        if _is_utc(data["FiveMinTotalLoad"], at, local):
            load, forecast, cleared = map(_to_est, (load, forecast, cleared))
        if load and (last := max(load)) > local.hour * 60 + local.minute:
            raise ValueError(
                f"it holds the load of {last // 60:02d}:{last % 60:02d} EST, after its own interval, "
                f"{local:%H:%M} EST"
            )
        return Published(at, collected_at, load, forecast, cleared)


def _is_utc(rows: Sequence[Any], at: datetime, local: datetime) -> bool:
    """Return whether the labels of a snapshot of the interval *at* are UTC, and not EST.

    The last row of load is that of the interval itself. In MISO's documented example it has the time
    of day, with seconds, that RefId has in UTC; the live feed has no seconds, and is EST.
    """
    label = rows[-1]["Time"] if rows else ""
    return label == f"{at:%H:%M:%S}" != f"{local:%H:%M:%S}"


def _to_est(mw: dict[int, float]) -> dict[int, float]:
    return {(minute - 5 * 60) % (24 * 60): value for minute, value in mw.items()}


class _Rows:
    """Reads one array, again and again."""

    def __init__(self, name: str, minute_of: Callable[[Any], int]) -> None:
        self.name = name
        self._label, self._value = ARRAYS[name].label, ARRAYS[name].value
        self._minute_of = minute_of
        self._rows: list[Any] = []
        self._mw: dict[int, float] = {}

    def read(self, rows: Any) -> dict[int, float]:
        """Return the MW of *rows* by minute; the later row where one is there twice."""
        if not isinstance(rows, list):
            raise ValueError(f"{self.name} is no list")
        known = len(self._rows)
        if rows[:known] == self._rows:
            if len(rows) == known:
                return self._mw
            mw, new = self._mw.copy(), rows[known:]
        else:
            mw, new = {}, rows
        for row in new:
            minute, value = self._row(row)
            mw[minute] = value
        self._rows, self._mw = rows, mw
        return mw

    def _row(self, row: Any) -> tuple[int, float]:
        try:
            value = row[self._value]
            if type(value) not in (int, float) or not abs(value) < _TOO_MUCH:
                raise ValueError("its value is no load")
            return self._minute_of(row[self._label]), float(value)
        except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise ValueError(f"{self.name} has the row {repr(row)[:60]}: {error}") from None


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
    last: datetime = _NEVER
    """Set when a snapshot no longer carries it, or there is none any more."""
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
            if known and known[-1][0] == at:  # by another snapshot of the same interval
                known.pop()
            if not known or known[-1][1] != mw:
                known.append((at, mw))
        before = hours
    return [
        Vintage(midnight + timedelta(minutes=minute), mw, at)
        for minute, known in sorted(vintages.items())
        for at, mw in known
    ]
