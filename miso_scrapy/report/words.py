"""Format numbers and times for the page: MW without decimals, times in EST."""

from __future__ import annotations

from datetime import date, datetime

from miso_scrapy.feed.market_day import EST

NONE = "none"


def count(number: int, noun: str) -> str:
    """Return ``1 value``, ``26,496 values``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def mw(value: float | None) -> str:
    """Return ``84,172``."""
    return NONE if value is None else f"{value:,.0f}"


def signed_mw(value: float | None) -> str:
    """Return ``+172``, ``-1,024``."""
    return NONE if value is None else f"{round(value):+,}"


def minutes(value: float | None) -> str:
    """Return ``1.3``."""
    return NONE if value is None else f"{value:,.1f}"


def share(part: int, whole: int) -> str:
    """Return ``98.52%``; ``100%`` only if *part* is all of *whole*."""
    return "100%" if part >= whole else f"{min(part / whole, 0.9999):.2%}"


def on(day: date) -> str:
    """Return ``5 Dec 2025``."""
    return f"{day.day} {day:%b %Y}"


def at(instant: datetime) -> str:
    """Return ``5 Dec 2025 at 07:00``, in EST."""
    local = instant.astimezone(EST)
    return f"{on(local.date())} at {local:%H:%M}"


def clock(instant: datetime | None) -> str:
    """Return ``07:00``, in EST."""
    return NONE if instant is None else f"{instant.astimezone(EST):%H:%M}"


def iso(instant: datetime) -> str:
    """Return ``2025-12-05 07:00``, in EST."""
    return f"{instant.astimezone(EST):%Y-%m-%d %H:%M}"
