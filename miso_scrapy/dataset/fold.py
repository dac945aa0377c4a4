"""Fold the snapshots of a market day, in the order of their publication, into its values.

For each 5-minute interval the last published value counts. Every change of a load, of an hour's forecast
and of an hour's cleared MW is kept, as a vintage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from typing import Any, NamedTuple

from miso_scrapy.feed.market_day import midnight
from miso_scrapy.feed.rows import RowReader, Unused

NEVER = datetime.min.replace(tzinfo=UTC)
"""A time before all others: it stands for a time of collection that is not known."""


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
    first_load_mw: float
    """The value as first published."""
    first_collected: datetime | None
    """When the first snapshot with a value was collected, if that is known."""
    collected: datetime | None
    """When the snapshot that brought *load_mw* was collected, if that is known."""
    largest_revision_mw: float


class Vintage(NamedTuple):
    """A value of an interval or of an hour, as published until the next change."""

    start: datetime
    mw: float
    published: datetime
    """The interval of the snapshot that brought the value."""
    collected: datetime | None
    """When that snapshot was collected, if that is known."""


class FiledFile(NamedTuple):
    """What became of a file of the archive."""

    key: str
    candidate: datetime
    interval: datetime | None
    """The interval of its snapshot; None if the file cannot be read."""
    collected: datetime | None
    """When it was collected, if that is known."""
    rows: int
    """The number of rows that are used."""
    dropped_rows: int
    dropped_why: str | None
    """What is wrong with the dropped rows."""
    fault: str | None
    """Why the file cannot be read."""
    filed_under_another_day: bool
    """Whether its snapshot is of another market day than its candidate. It is not used then."""


@dataclass
class MarketDay:
    """The values of a market day. All times are UTC; each list is in the order of its times."""

    day: date
    load: list[LoadValue] = field(default_factory=list)
    load_vintages: list[Vintage] = field(default_factory=list)
    forecast: list[Vintage] = field(default_factory=list)
    cleared: list[Vintage] = field(default_factory=list)
    snapshots: list[FiledFile] = field(default_factory=list)
    """The files of the day, in the order of their keys."""

    def used(self) -> Iterable[tuple[datetime, FiledFile]]:
        """Yield the interval of each snapshot of this market day, and its file."""
        for file in self.snapshots:
            if file.interval is not None and not file.filed_under_another_day:
                yield file.interval, file

    def with_rows(self) -> set[datetime]:
        """Return the intervals of the snapshots that have at least one usable row."""
        return {interval for interval, file in self.used() if file.rows}


class SnapshotReader:
    """Read the snapshots of a market day, one after the other."""

    def __init__(self) -> None:
        self._rows = RowReader()

    def read(
        self, at: datetime, collected_at: datetime | None, data: Mapping[str, Any]
    ) -> Published:
        """Return the snapshot *data*, in the documented shape, as published for the interval *at*."""
        return Published(at, collected_at, *self._rows.read(at, data))


def fold(day: date, snapshots: Iterable[Published], files: Iterable[FiledFile] = ()) -> MarketDay:
    """Return the market day *day*, folded from its *snapshots*, which may be in any order."""
    ordered = sorted(snapshots, key=_order)
    begin = midnight(day).astimezone(UTC)
    load = [(each.at, each.collected_at, each.load) for each in ordered]
    vintages = _vintages(begin, load)
    return MarketDay(
        day,
        load_values(vintages, _last_published(begin, load)),
        vintages,
        _vintages(begin, ((each.at, each.collected_at, each.forecast) for each in ordered)),
        _vintages(begin, ((each.at, each.collected_at, each.cleared) for each in ordered)),
        list(files),
    )


def load_values(
    vintages: Iterable[Vintage], last_published: Mapping[datetime, datetime]
) -> list[LoadValue]:
    """Return the load of each interval in *vintages*, which are in order."""
    return [
        _load_value(known, last_published[start]) for start, known in by_start(vintages).items()
    ]


def by_start(vintages: Iterable[Vintage]) -> dict[datetime, list[Vintage]]:
    """Return the *vintages* of each interval or hour, in their order."""
    found: dict[datetime, list[Vintage]] = {}
    for vintage in vintages:
        found.setdefault(vintage.start, []).append(vintage)
    return found


def changes(vintages: Iterable[Vintage]) -> list[Vintage]:
    """Return *vintages*, which are in order, without those that do not change the value."""
    changed: list[Vintage] = []
    for vintage in vintages:
        if not changed or changed[-1][:2] != vintage[:2]:
            changed.append(vintage)
    return changed


def _load_value(known: list[Vintage], last_published: datetime) -> LoadValue:
    first, last = known[0], known[-1]
    return LoadValue(
        last.start,
        last.mw,
        first.published,
        last_published,
        len(known) - 1,
        first.mw,
        first.collected,
        last.collected,
        max((abs(after.mw - before.mw) for before, after in pairwise(known)), default=0.0),
    )


def _order(snapshot: Published) -> tuple[datetime, datetime]:
    return snapshot.at, snapshot.collected_at or NEVER


_Array = tuple[datetime, datetime | None, dict[int, float]]
"""The interval of a snapshot, when it was collected, and the MW of one of its arrays by minute."""


def _vintages(begin: datetime, ordered: Iterable[_Array]) -> list[Vintage]:
    """Return each change of a value, in the order of the values' times."""
    changes: dict[int, list[Vintage]] = {}
    before: dict[int, float] = {}
    for at, collected, values in ordered:
        if values is before:
            continue
        for minute, mw in _new(values, before):
            known = changes.get(minute)
            if known is None:
                start = begin + timedelta(minutes=minute)
                changes[minute] = [Vintage(start, mw, at, collected)]
            elif known[-1].mw != mw:
                known.append(Vintage(known[0].start, mw, at, collected))
        before = values
    return [vintage for _, known in sorted(changes.items()) for vintage in known]


def _new(values: dict[int, float], before: dict[int, float]) -> list[tuple[int, float]]:
    """Return the items of *values* that are not in *before*."""
    if before.items() <= values.items():
        # Most snapshots add a value to those of the previous one, at the end: the others, a hundred
        # times as many, are only compared, in C.
        last = list(islice(reversed(values.items()), len(values) - len(before)))
        if not any(minute in before for minute, _ in last):
            return last
    return [(minute, mw) for minute, mw in values.items() if before.get(minute) != mw]


def _last_published(begin: datetime, ordered: Iterable[_Array]) -> dict[datetime, datetime]:
    """Return the interval of the last snapshot that has a value, by the value's interval."""
    last: dict[int, datetime] = {}
    before: dict[int, float] = {}
    before_at = NEVER
    for at, _, values in ordered:
        if not before.keys() <= values.keys():
            last |= dict.fromkeys(before, before_at)
        before, before_at = values, at
    last |= dict.fromkeys(before, before_at)
    return {begin + timedelta(minutes=minute): at for minute, at in last.items()}
