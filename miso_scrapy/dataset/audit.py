"""Count what each market day has, what is missing, and what was healed or revised."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

from miso_scrapy.dataset.days import DayRange
from miso_scrapy.dataset.fold import MarketDay
from miso_scrapy.feed.candidate import INTERVAL
from miso_scrapy.feed.market_day import INTERVALS_A_DAY, midnight
from miso_scrapy.feed.ref_id import iso_utc


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
    """The first and the last interval with a snapshot of its own, EST; None if there is none."""
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


@dataclass(frozen=True)
class DayFacts:
    """What is known of a market day, whenever it is audited."""

    day: date
    own: int
    """A bit for each interval of the day, the first lowest: whether it has a snapshot of its own."""
    known: int
    """The same for the intervals whose value is known."""
    healed: int
    revisions: int
    largest_revision_mw: float
    unreadable_files: int
    dropped_rows: int
    filed_under_another_day: int
    empty_snapshots: int
    newest: datetime | None

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON values, for :meth:`from_json`."""
        return {
            **{each.name: getattr(self, each.name) for each in fields(self)},
            "day": str(self.day),
            "own": f"{self.own:x}",
            "known": f"{self.known:x}",
            "newest": self.newest and iso_utc(self.newest),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> DayFacts:
        """Return the facts in *value*."""
        return cls(
            **{
                **value,
                "day": date.fromisoformat(value["day"]),
                "own": int(value["own"], 16),
                "known": int(value["known"], 16),
                "newest": value["newest"] and datetime.fromisoformat(value["newest"]),
            }
        )


def facts(day: MarketDay) -> DayFacts:
    """Return the facts of *day*.

    A snapshot counts for its interval; a file that cannot be read counts for its candidate.
    """
    unreadable = [file.candidate for file in day.snapshots if file.fault is not None]
    used = list(day.used())
    known = {value.interval_start for value in day.load}
    return DayFacts(
        day=day.day,
        own=_bits(day.day, (*(at for at, _ in used), *unreadable)),
        known=_bits(day.day, known),
        healed=_bits(day.day, known - day.with_rows()).bit_count(),
        revisions=sum(value.revisions for value in day.load),
        largest_revision_mw=max((value.largest_revision_mw for value in day.load), default=0),
        unreadable_files=len(unreadable),
        dropped_rows=sum(file.dropped_rows for _, file in used),
        filed_under_another_day=sum(file.filed_under_another_day for file in day.snapshots),
        empty_snapshots=sum(not file.rows for _, file in used),
        newest=max((at for at, _ in used), default=None),
    )


def _bits(day: date, times: Iterable[datetime]) -> int:
    """Return a bit for each interval of *day* that is in *times*."""
    start, bits = midnight(day), 0
    for at in times:
        number, rest = divmod(at - start, INTERVAL)
        if not rest and 0 <= number < INTERVALS_A_DAY:
            bits |= 1 << number
    return bits


def audit(known: DayFacts, now: datetime) -> DayAudit:
    """Return the counts of a market day. Intervals that are not due yet at *now* are not missing."""
    start = midnight(known.day)
    due = min(max((now - start) // INTERVAL, 0), INTERVALS_A_DAY)
    own = _numbers(known.own)
    missing = _numbers(~known.known & (1 << due) - 1)
    return DayAudit(
        day=known.day,
        snapshots=len(own),
        values=known.known.bit_count(),
        missing=list(_gaps(start + number * INTERVAL for number in missing)),
        healed=known.healed,
        revisions=known.revisions,
        largest_revision_mw=known.largest_revision_mw,
        unreadable_files=known.unreadable_files,
        dropped_rows=known.dropped_rows,
        filed_under_another_day=known.filed_under_another_day,
        empty_snapshots=known.empty_snapshots,
        longest_silence=_longest_silence(own, due),
        own=(start + own[0] * INTERVAL, start + own[-1] * INTERVAL) if own else None,
        due=start + due * INTERVAL,
        newest=known.newest,
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


def figures(each: DayAudit | Total) -> dict[str, Any]:
    """Return the counts by the names that programs know them by."""
    return {
        "snapshots": each.snapshots,
        "values": each.values,
        "values_missing": each.values_missing,
        "healed": each.healed,
        "revisions": each.revisions,
        "largest_revision_mw": each.largest_revision_mw,
        "unreadable_files": each.unreadable_files,
        "dropped_rows": each.dropped_rows,
        "filed_under_another_day": each.filed_under_another_day,
        "empty_snapshots": each.empty_snapshots,
        "longest_silence_minutes": each.longest_silence // timedelta(minutes=1),
        "newest": each.newest,
    }


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
    """Yield the gaps of the intervals *missing*, in EST."""
    first = last = None
    for local in missing:
        if first is None or last is None or local - last > INTERVAL:
            if first is not None and last is not None:
                yield Gap(first, last)
            first = local
        last = local
    if first is not None and last is not None:
        yield Gap(first, last)


def _numbers(bits: int) -> list[int]:
    """Return the numbers of the *bits* that are set, in order; the lowest bit is 0."""
    return [number for number, bit in enumerate(reversed(f"{bits:b}")) if bit == "1"]


def _longest_silence(own: Sequence[int], due: int) -> timedelta:
    """Return the longest time in which none of the first *due* intervals is in *own*."""
    edges = [-1, *own, due]
    return max(later - earlier - 1 for earlier, later in pairwise(edges)) * INTERVAL
