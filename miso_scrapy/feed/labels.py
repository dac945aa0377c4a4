"""The labels of a snapshot's rows: which interval, or which hour, of the day they name.

They come out as minutes after 00:00. The live feed numbers the hours 1 to 24 by their end (hour 1
starts at 00:00); the documented style writes times of day.
"""

from __future__ import annotations

from functools import lru_cache

_DAY = 24 * 60
_SOME = 1000
"""Labels that are remembered: a day has 288 times and 24 hours, a year of files 20 million rows."""


@lru_cache(_SOME)
def interval_minute(label: str) -> int:
    """Return the minute that the interval ``Time`` names starts at: ``00:05``, ``12:35:00``.

    Raises ValueError for a label that is no time of the day.
    """
    minute = _minute(label)
    if minute % 5 or not 0 <= minute < _DAY:
        raise ValueError(f"Time {label!r} is no interval of the day")
    return minute


@lru_cache(_SOME)
def hour_minute(name: str, label: str | float) -> int:
    """Return the minute that an hour starts at.

    A number is the hour ending, 1 to 24, whatever *name* is. A time of day is the hour's end where
    *name* is ``HourEnding`` (``24:00`` and ``00:00`` end the day), and its start where it is ``Hour``.

    Raises ValueError for a label that is no hour of the day.
    """
    text = f"{label:g}" if isinstance(label, float) else str(label)  # 14.0 is a whole number
    if ":" not in text:
        minute = (int(text) - 1) * 60
    elif name == "HourEnding":
        minute = (_minute(text) or _DAY) - 60
    else:
        minute = _minute(text)
    if minute % 60 or not 0 <= minute < _DAY:
        raise ValueError(f"{name} {label!r} is no hour of the day")
    return minute


def _minute(label: str) -> int:
    hour, minute, *seconds = map(int, label.split(":"))
    if minute >= 60 or any(seconds):
        raise ValueError(f"{label!r} is no time of day that a row has")
    return hour * 60 + minute
