"""The audit: what is there of each market day, what is missing, what was healed and revised."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

from miso_scrapy.dataset.days import DayRange, DayRead
from miso_scrapy.feed.candidate import INTERVAL
from miso_scrapy.feed.market_day import EST, INTERVALS_A_DAY


@dataclass(frozen=True)
class Gap:
    """Intervals in a row, all without a value: from *first* to *last*, both included, in EST."""

    first: datetime
    last: datetime

    def __len__(self) -> int:
        return (self.last - self.first) // INTERVAL + 1

    def __str__(self) -> str:
        if self.first == self.last:
            return f"{self.first:%H:%M}"
        return f"{self.first:%H:%M}-{self.last:%H:%M}"


@dataclass(frozen=True)
class DayAudit:
    """What is known of a market day."""

    day: date
    snapshots: int
    """Intervals of the day, of 288, whose own snapshot is filed, whether it can be read or not."""
    values: int
    """5-minute values known, of 288."""
    missing: list[Gap]
    """Intervals that were due and have no value."""
    healed: int
    """Values whose own snapshot is missing, cannot be read or has no rows: a later one had them."""
    revisions: int
    """How often a value changed after it was first published."""
    largest_revision_mw: float
    unreadable_files: int
    dropped_rows: int
    """Rows that cannot be used."""
    filed_under_another_day: int
    """Snapshots of other days that are filed under this one; they are left out."""
    empty_snapshots: int
    """Snapshots that have no rows."""
    longest_silence: timedelta
    """The longest time without a snapshot, of the time that was due."""
    own: tuple[datetime, datetime] | None
    """The first and the last interval whose own snapshot is filed, UTC; None where there is none."""
    due: datetime
    """The end of the time that was due."""
    newest: datetime | None
    """The interval of the newest snapshot, UTC; None where the day has none."""

    @property
    def has_files(self) -> bool:
        """Whether a file is of this day, by what it holds, or by its name where that is not known."""
        return bool(self.newest or self.unreadable_files or self.filed_under_another_day)

    @property
    def values_missing(self) -> int:
        """The number of intervals that are missing."""
        return sum(map(len, self.missing))


def audit(read: DayRead, now: datetime) -> DayAudit:
    """Return what is known of a market day. What is not due yet at *now* is not missing.

    Snapshots are counted by what is filed: of a file that cannot be read, by its candidate.
    """
    day = read.market_day
    midnight = datetime.combine(day.day, time(), EST)
    due = min(max((now - midnight) // INTERVAL, 0), INTERVALS_A_DAY)
    grid = [(midnight + number * INTERVAL).astimezone(UTC) for number in range(INTERVALS_A_DAY)]
    own = {*(at for at, _ in day.snapshots), *read.unreadable}.intersection(grid)
    known = {value.interval_start for value in day.load}.intersection(grid)
    return DayAudit(
        day=day.day,
        snapshots=len(own),
        values=len(known),
        missing=list(_gaps(interval for interval in grid[:due] if interval not in known)),
        healed=len(known - day.with_rows),
        revisions=sum(value.revisions for value in day.load),
        largest_revision_mw=max((value.largest_revision_mw for value in day.load), default=0),
        unreadable_files=len(read.unreadable),
        dropped_rows=sum(map(len, read.faults.rows.values())),
        filed_under_another_day=len(read.elsewhere),
        empty_snapshots=sum(at not in day.with_rows for at, _ in day.snapshots),
        longest_silence=_longest_silence(sorted(own), midnight, midnight + due * INTERVAL),
        own=(min(own), max(own)) if own else None,
        due=midnight + due * INTERVAL,
        newest=max((at for at, _ in day.snapshots), default=None),
    )


@dataclass(frozen=True)
class Total:
    """What is known of all the days together."""

    days: int
    snapshots: int
    values: int
    values_missing: int
    healed: int
    revisions: int
    largest_revision_mw: float
    unreadable_files: int
    dropped_rows: int
    filed_under_another_day: int
    empty_snapshots: int
    longest_silence: timedelta
    newest: datetime | None


def total(audits: Sequence[DayAudit]) -> Total:
    """Return what *audits* come to."""
    return Total(
        days=len(audits),
        snapshots=sum(each.snapshots for each in audits),
        values=sum(each.values for each in audits),
        values_missing=sum(each.values_missing for each in audits),
        healed=sum(each.healed for each in audits),
        revisions=sum(each.revisions for each in audits),
        largest_revision_mw=max((each.largest_revision_mw for each in audits), default=0),
        unreadable_files=sum(each.unreadable_files for each in audits),
        dropped_rows=sum(each.dropped_rows for each in audits),
        filed_under_another_day=sum(each.filed_under_another_day for each in audits),
        empty_snapshots=sum(each.empty_snapshots for each in audits),
        longest_silence=max((*_silences(audits), *(each.longest_silence for each in audits))),
        newest=max((each.newest for each in audits if each.newest), default=None),
    )


def _silences(audits: Sequence[DayAudit]) -> Iterable[timedelta]:
    """Yield the times without a snapshot from one day that has some to the next, and to the end."""
    yield timedelta()
    last = None
    for each in audits:
        if each.own:
            if last is not None:
                yield each.own[0] - last - INTERVAL
            last = each.own[1]
    if last is not None:
        yield max(each.due for each in audits) - last - INTERVAL


def within(audits: Sequence[DayAudit], wanted: DayRange) -> slice:
    """Return which of *audits* are within the archive, where *wanted* leaves its ends open.

    The first and last files may belong to the day before or after; most often they do not.
    """
    held = [number for number, each in enumerate(audits) if each.has_files]
    first = held[0] if held and not wanted.start else 0
    last = held[-1] if held and not wanted.end else len(audits) - 1
    return slice(first, last + 1)


def _gaps(missing: Iterable[datetime]) -> Iterable[Gap]:
    first = last = None
    for interval in missing:
        local = interval.astimezone(EST)
        if first is None or last is None or local - last > INTERVAL:
            if first is not None and last is not None:
                yield Gap(first, last)
            first = local
        last = local
    if first is not None and last is not None:
        yield Gap(first, last)


def _longest_silence(own: Sequence[datetime], start: datetime, end: datetime) -> timedelta:
    """Return the longest stretch of 5-minute intervals, from *start* to *end*, without a snapshot."""
    edges = [start - INTERVAL, *own, max(end, start)]
    return max(
        (later - earlier - INTERVAL for earlier, later in pairwise(edges)),
        default=timedelta(),
    )
