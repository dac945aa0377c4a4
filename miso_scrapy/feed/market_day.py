"""MISO's time zone and its market day.

MISO's market runs on Eastern Standard Time all year round: UTC-5, never daylight saving
(https://www.misoenergy.org/markets-and-operations/, "all times EST").
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone

EST = timezone(timedelta(hours=-5), "EST")
INTERVALS_A_DAY = 288


def market_day(instant: datetime) -> date:
    """Return the EST date that *instant*, an aware datetime, falls on."""
    return instant.astimezone(EST).date()


def midnight(day: date) -> datetime:
    """Return 00:00 EST, with which the market day *day* begins."""
    return datetime.combine(day, time(), EST)
