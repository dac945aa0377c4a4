"""Labels of a snapshot's rows: convert the name of an interval or an hour to minutes after 00:00.

The live feed numbers the hours 1 to 24 by their end (hour 1 starts at 00:00). The documented style
has times of day.
"""

from __future__ import annotations

from functools import lru_cache

_DAY = 24 * 60
_SOME = 1000
"""Labels in each cache: a day has 288 times and 24 hours, a year of files 20 million rows."""


@lru_cache(_SOME)
def interval_minute(label: str) -> int:
    """Return the minute at which the interval of a ``Time`` label starts.

    Labels are such as ``00:05`` or ``12:35:00``. Raises ValueError for a label that is not a
    5-minute interval of the day.
    """
    minute = _minute(label)
    if minute % 5 or not 0 <= minute < _DAY:
        raise ValueError(f"Time {label!r} must be a 5-minute interval of the day")
    return minute


@lru_cache(_SOME)
def hour_minute(name: str, label: str | float) -> int:
    """Return the minute at which an hour starts.

    A number is the hour ending, 1 to 24, for either *name*. A time of day is the end of the hour if
    *name* is ``HourEnding`` (``24:00`` and ``00:00`` end the day), and its start if it is ``Hour``.

    Raises ValueError for a label that is not an hour of the day.
    """
    text = f"{label:g}" if isinstance(label, float) else str(label)  # 14.0 is a whole number
    if ":" not in text:
        minute = (int(text) - 1) * 60
    elif name == "HourEnding":
        minute = (_minute(text) or _DAY) - 60
    else:
        minute = _minute(text)
    if minute % 60 or not 0 <= minute < _DAY:
        raise ValueError(f"{name} {label!r} must be an hour of the day")
    return minute


def _minute(label: str) -> int:
    hour, minute, *seconds = map(int, label.split(":"))
    if minute >= 60 or any(seconds):
        raise ValueError(f"{label!r} must be a time of day in whole minutes")
    return hour * 60 + minute
