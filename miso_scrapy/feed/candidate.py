"""Candidates: the timestamps, multiples of 5 minutes in UTC, for which a run collects a snapshot."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from miso_scrapy.feed.ref_id import iso_utc

INTERVAL = timedelta(minutes=5)
_FOREVER = datetime(9999, 12, 31, tzinfo=UTC)
"""The last candidate of a range without an end."""
_IDENTIFIER = re.compile(
    r"realtime_total_load_([0-9]{4})([0-9]{2})([0-9]{2})_([0-9]{2})([0-9]{2})([0-9]{2})\.json"
)


def floor_to_interval(instant: datetime) -> datetime:
    """Return the candidate at or before *instant*, in UTC."""
    utc = instant.astimezone(UTC)
    return utc.replace(minute=utc.minute - utc.minute % 5, second=0, microsecond=0)


def identifier(candidate: datetime) -> str:
    """Return the name under which a candidate is filed and registered.

    For example ``realtime_total_load_20251205_120000.json`` for 12:00 UTC on 5 December 2025.
    """
    return f"realtime_total_load_{candidate.astimezone(UTC):%Y%m%d_%H%M%S}.json"


def candidate_of(identifier: str) -> datetime:
    """Return the candidate of *identifier*: the inverse of :func:`identifier`.

    Raises ValueError if the text does not have the form of an identifier.
    """
    match = _IDENTIFIER.fullmatch(identifier)
    if match is None:
        raise ValueError(f"{identifier!r} is not the identifier of a candidate")
    year, month, day, hour, minute, second = map(int, match.groups())
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


@dataclass(frozen=True)
class CandidateRange:
    """The candidates from *first* to *last*, both multiples of 5 minutes and both included."""

    first: datetime
    last: datetime

    def __iter__(self) -> Iterator[datetime]:
        return (self.first + number * INTERVAL for number in range(len(self)))

    def __len__(self) -> int:
        return (self.last - self.first) // INTERVAL + 1

    def __str__(self) -> str:
        if self.endless:
            return f"{iso_utc(self.first)} and later"
        if self.first == self.last:
            return iso_utc(self.first)
        return f"{iso_utc(self.first)} to {iso_utc(self.last)}"

    @property
    def endless(self) -> bool:
        """Whether the range has no end."""
        return self.last == _FOREVER


def parse_range(
    start: str | None, end: str | None, now: datetime, *, follow: bool = False
) -> CandidateRange:
    """Return the candidates that the arguments *start* and *end* select.

    Both are ISO 8601: a date, or a date and a time, in UTC unless there is an offset. *start* may also
    be ``now``. Without both, the range is the current interval. Without *end*, it lasts until *now*, or
    has no end if *follow*. An *end* with a time is included; an *end* that is a bare date is not.

    Raises ValueError, with a message of one line for the user.
    """
    if start is None and end is not None and not follow:
        raise ValueError("end needs a start: give -a start=... as well")
    begin = now if start is None or start.strip().lower() == "now" else _parse("start", start)
    first = floor_to_interval(begin)
    if end is None:
        if follow:
            return CandidateRange(first, _FOREVER)
        last = floor_to_interval(now)
        if last < first:
            raise ValueError(
                f"start={start!r} lies in the future: give -a end=... or -a follow=1 as well"
            )
        return CandidateRange(first, last)
    finish = _parse("end", end)
    last = floor_to_interval(finish)
    excluded = _is_bare_date(end)
    if finish < begin or (excluded and last <= first):
        raise ValueError(f"end={end!r} is not after start={start or 'now'!r}")
    if excluded:
        last -= INTERVAL
    return CandidateRange(first, last)


def _is_bare_date(text: str) -> bool:
    try:
        date.fromisoformat(text.strip())
    except ValueError:
        return False
    return True


def _parse(name: str, text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text.strip())
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=UTC)
        return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{name}={text!r} must be an ISO 8601 date, such as 2025-12-05 or 2025-12-05T12:00Z"
        ) from None
