"""``RefId``: the field of a snapshot that names its 5-minute interval.

Live feed: ``27-Jul-2026 - Interval 08:10 EST``. MISO's documentation: ``2025-12-05T12:35:00Z``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from miso_scrapy.feed.market_day import EST

# strptime's %b depends on the machine's locale, but the feed's months are always in English.
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_LIVE = re.compile(
    rf"([0-9]{{1,2}})-({'|'.join(_MONTHS)})-([0-9]{{4}}) - Interval ([0-9]{{1,2}}):([0-9]{{2}}) EST"
)
_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:?[0-9]{2})"
)


def parse_ref_id(ref_id: str) -> datetime:
    """Return the interval that *ref_id* names, in the live or the documented format, in UTC.

    Raises ValueError, with a message of one line for the user, for any other text.
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
    """Refuse years near the limits of datetime, where adding or subtracting a day can overflow."""
    if not 1000 <= interval.year <= 9000:
        raise ValueError("the year must be 1000 to 9000")
    return interval


def live_ref_id(interval: datetime) -> str:
    """Return the live RefId of *interval*: ``27-Jul-2026 - Interval 08:10 EST``."""
    local = interval.astimezone(EST)
    return f"{local:%d}-{_MONTHS[local.month - 1]}-{local:%Y} - Interval {local:%H:%M} EST"


def iso_utc(instant: datetime) -> str:
    """Return *instant* in the archive's format: ``2025-12-05T12:35:00Z``."""
    return instant.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
