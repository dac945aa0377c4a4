"""Format numbers and times for the page: MW without decimals, times in EST."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from miso_scrapy.feed.market_day import EST

NONE = "none"


def count(number: int, noun: str) -> str:
    """Return ``1 value``, ``26,496 values``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """Return ``one``, ``one and two``, ``one, two and three``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def mw(value: float | None) -> str:
    """Return ``84,172``."""
    return NONE if value is None else f"{value:,.0f}"


def signed_mw(value: float) -> str:
    """Return ``+172``, ``-1,024``."""
    return f"{round(value):+,}"


def percent(value: float) -> str:
    """Return ``1.3%``."""
    return f"{value:.1f}%"


def span(minutes: float) -> str:
    """Return ``1.3 min``, ``12 h``, ``354 days``: a time in the unit that suits it."""
    for unit, size in (("days", 1440), ("h", 60)):
        if abs(minutes) >= 2 * size:
            return f"{minutes / size:,.1f}".removesuffix(".0") + f" {unit}"
    return f"{minutes:,.1f}".removesuffix(".0") + " min"


def on(day: date, *, year: bool = True) -> str:
    """Return ``5 Dec 2025``, or ``5 Dec``."""
    return f"{day.day} {day:%b %Y}" if year else f"{day.day} {day:%b}"


def clock(number: int) -> str:
    """Return ``07:00`` for the interval *number* of a day, from 0."""
    return f"{number // 12:02d}:{number % 12 * 5:02d}"


def at(day: date, number: int) -> str:
    """Return ``5 Dec 2025 at 07:00``, for the interval *number* of *day*."""
    return f"{on(day)} at {clock(number)}"


def instant(at: datetime | None) -> str:
    """Return ``5 Dec 2025, 07:00``, in EST."""
    if at is None:
        return NONE
    local = at.astimezone(EST)
    return f"{on(local.date())}, {local:%H:%M}"


def period(first: date, last: date) -> str:
    """Return ``5 Dec 2025``, ``5 Dec 2025 to 1 Jan 2026``."""
    return on(first) if first == last else f"{on(first)} to {on(last)}"
