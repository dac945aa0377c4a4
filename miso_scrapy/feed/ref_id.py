"""``RefId``: the name the feed gives to the 5-minute interval that a snapshot is of.

Live: ``27-Jul-2026 - Interval 08:10 EST``. Documented: ``2025-12-05T12:35:00Z``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from miso_scrapy.feed.market_day import EST

# Not strptime's %b: that one speaks the machine's language, the feed always speaks English.
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_LIVE = re.compile(
    rf"([0-9]{{1,2}})-({'|'.join(_MONTHS)})-([0-9]{{4}}) - Interval ([0-9]{{1,2}}):([0-9]{{2}}) EST"
)
_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:?[0-9]{2})"
)


def parse_ref_id(ref_id: str) -> datetime:
    """Return the interval that *ref_id* names, live or documented, in UTC.

    Raises ValueError, with one line for the user, for text that names none.
    """
    shown = repr(ref_id if len(ref_id) <= 60 else f"{ref_id[:57]}...")
    try:
        if match := _LIVE.fullmatch(ref_id):
            day, month, year, hour, minute = match.groups()
            local = datetime(
                int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), tzinfo=EST
            )
            return _sane(local.astimezone(UTC))
        if _ISO.fullmatch(ref_id):
            return _sane(datetime.fromisoformat(ref_id).astimezone(UTC))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{shown} names no interval: {error}") from None
    raise ValueError(
        f"{shown} names no interval: expected '27-Jul-2026 - Interval 08:10 EST' "
        "or '2026-07-27T13:10:00Z'"
    )


def _sane(interval: datetime) -> datetime:
    """Refuse years in which a day more or less is no date."""
    if not 1000 <= interval.year <= 9000:
        raise ValueError(f"no feed is of the year {interval.year}")
    return interval


def live_ref_id(interval: datetime) -> str:
    """Return the live RefId of *interval*: ``27-Jul-2026 - Interval 08:10 EST``."""
    local = interval.astimezone(EST)
    return f"{local:%d}-{_MONTHS[local.month - 1]}-{local:%Y} - Interval {local:%H:%M} EST"


def iso_utc(instant: datetime) -> str:
    """Return *instant* as the archive writes it: ``2025-12-05T12:35:00Z``."""
    return instant.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
