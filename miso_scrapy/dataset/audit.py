"""Count what each market day has, what is missing, and what was healed or revised."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

from miso_scrapy.dataset.days import DayRange
from miso_scrapy.dataset.read import DayRead
from miso_scrapy.feed.candidate import INTERVAL
from miso_scrapy.feed.market_day import EST, INTERVALS_A_DAY


@dataclass(frozen=True)
class Gap:
    """Consecutive intervals without a value, from *first* to *last*, both included, in EST."""

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
    """The counts of a market day."""

    day: date
    snapshots: int
    """Intervals of the day, of 288, that have a snapshot of their own, readable or not."""
    values: int
    """5-minute values known, of 288."""
    missing: list[Gap]
    """Intervals that were due and have no value."""
    healed: int
    """Values known only from a later snapshot: that of their own interval is missing, unreadable or
    without rows.
    """
    revisions: int
    """How often a value changed after it was first published."""
    largest_revision_mw: float
    unreadable_files: int
    dropped_rows: int
    """Rows left out, because they cannot be used."""
    filed_under_another_day: int
    """Snapshots of other market days with a candidate of this one; they are left out."""
    empty_snapshots: int
    """Snapshots that have no rows."""
    longest_silence: timedelta
    """The longest time without a snapshot, within the part of the day that was due."""
    own: tuple[datetime, datetime] | None
    """The first and the last interval with a snapshot of its own, UTC; None if there is none."""
    due: datetime
    """The end of the part of the day that was due, EST."""
    newest: datetime | None
    """The interval of the newest snapshot, UTC; None if the day has no snapshot."""

    @property
    def has_files(self) -> bool:
        """Whether a file belongs to this day, by its content, or by its name if it cannot be used."""
        return bool(self.newest or self.unreadable_files or self.filed_under_another_day)

    @property
    def values_missing(self) -> int:
        """The number of intervals that are missing."""
        return sum(map(len, self.missing))


def audit(read: DayRead, now: datetime) -> DayAudit:
    """Return the counts of a market day. Intervals that are not due yet at *now* are not missing.

    A snapshot counts for its interval; a file that cannot be read counts for its candidate.
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
    """The counts of all days together."""

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
    """Return the totals of *audits*."""
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
    """Yield the times without a snapshot between days that have any, and after the last snapshot."""
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
    """Return the slice of *audits* to show. Days without files at an open end of *wanted* are left out.

    There may be such days, because a file near midnight may belong to the day before or after.
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
    """Return the longest time between *start* and *end* in which no interval has a snapshot."""
    edges = [start - INTERVAL, *own, max(end, start)]
    return max(
        (later - earlier - INTERVAL for earlier, later in pairwise(edges)),
        default=timedelta(),
    )
