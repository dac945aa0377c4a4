"""The rows of a snapshot: which of them can be used, and what is wrong with the others.

Validation decides whether a snapshot is filed. A row can have the right shape and still be unusable:
an hour ``0``, a time ``24:00`` or ``00:03``, a load of 1e12 MW, or a time later than the snapshot.
The snapshot is filed nevertheless, and its readers use the other rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from miso_scrapy.feed.coverage import TOLERANCE
from miso_scrapy.feed.labels import hour_minute, interval_minute
from miso_scrapy.feed.market_day import EST
from miso_scrapy.feed.shape import ARRAYS

_TOO_MUCH = 1e9
"""In MW: a thousand times the load of the whole world."""
_DAY = 24 * 60
_UTC_AHEAD = 5 * 60
"""Minutes that UTC is ahead of EST."""
_NEAR = TOLERANCE.seconds // 60

LATER = "FiveMinTotalLoad.Time is later than the snapshot's own interval"


class Unused(NamedTuple):
    """A row that is not used."""

    what: str
    """What is wrong with it. Rows with the same fault have the same text."""
    row: str
    """The row, as short and printable text."""


class Rows(NamedTuple):
    """The values of a snapshot in MW, by minutes after 00:00 EST.

    If a label occurs twice, the later row counts.
    """

    load: dict[int, float]
    forecast: dict[int, float]
    cleared: dict[int, float]
    unused: tuple[Unused, ...]


class RowReader:
    """Read the rows of snapshots, one after the other.

    Most rows of a snapshot are in the previous one already. They are only compared, not read again:
    of a day's 41,616 rows of load, that leaves the 288 new ones and the revised ones.
    """

    def __init__(self) -> None:
        self._load = _Array("FiveMinTotalLoad", interval_minute, "a 5-minute interval of the day")
        self._forecast, self._cleared = (
            _Array(name, partial(hour_minute, ARRAYS[name].label), "an hour of the day")
            for name in ("MediumTermLoadForecast", "ClearedMW")
        )

    def read(self, at: datetime, data: Mapping[str, Any]) -> Rows:
        """Return the rows of *data*: a snapshot of the interval *at*, in the documented shape."""
        load, unused = self._load.read(data)
        forecast, unused_forecast = self._forecast.read(data)
        cleared, unused_cleared = self._cleared.read(data)
        unused += unused_forecast + unused_cleared
        local = at.astimezone(EST)
        own = local.hour * 60 + local.minute
        if load and _is_utc(data["FiveMinTotalLoad"], load, own):
            load, forecast, cleared = map(_to_est, (load, forecast, cleared))
        if load and max(load) > own:
            late = sorted(minute for minute in load if minute > own)
            unused += tuple(Unused(LATER, f"{_clock(minute)} EST") for minute in late)
            load = {minute: mw for minute, mw in load.items() if minute <= own}
        return Rows(load, forecast, cleared, unused)


class _Array:
    """Read one array of each snapshot."""

    def __init__(self, name: str, minute_of: Callable[[Any], int], label_is: str) -> None:
        self.name = name
        self._label, self._value = ARRAYS[name].label, ARRAYS[name].value
        self._minute_of = minute_of
        self._label_is = label_is
        self._rows: list[Any] = []
        self._mw: dict[int, float] = {}
        self._unused: tuple[Unused, ...] = ()

    def read(self, data: Mapping[str, Any]) -> tuple[dict[int, float], tuple[Unused, ...]]:
        """Return the MW of the array by minute, and the rows that are not used."""
        rows = data.get(self.name)
        if not isinstance(rows, list):
            return {}, (Unused(f"{self.name} is not a list", _shown(rows)),)
        known = len(self._rows)
        if rows[:known] == self._rows:
            if len(rows) == known:
                return self._mw, self._unused
            mw, unused, new = self._mw.copy(), list(self._unused), rows[known:]
        else:
            mw, unused, new = {}, [], rows
        for row in new:
            try:
                minute, value = self._read(row)
            except ValueError as error:
                unused.append(Unused(str(error), _shown(row)))
            else:
                mw[minute] = value
        self._rows, self._mw, self._unused = rows, mw, tuple(unused)
        return mw, self._unused

    def _read(self, row: Any) -> tuple[int, float]:
        try:
            label, value = row[self._label], row[self._value]
        except (LookupError, TypeError):
            raise ValueError(
                f"{self.name} has a row without {self._label} and {self._value}"
            ) from None
        if type(value) not in (int, float) or not abs(value) < _TOO_MUCH:
            raise ValueError(f"{self.name}.{self._value} is not a number below {_TOO_MUCH:,.0f} MW")
        try:
            return self._minute_of(label), float(value)
        except (ValueError, TypeError, AttributeError, OverflowError):
            raise ValueError(f"{self.name}.{self._label} is not {self._label_is}") from None


def _is_utc(rows: Sequence[Any], load: Mapping[int, float], own: int) -> bool:
    """Return whether the labels of a snapshot are in UTC, not in EST.

    *load* has the values of *rows* by their labels. *own* is the minute of the snapshot's interval in
    EST.

    The live feed's labels are in EST and have no seconds. The labels in MISO's documented example have
    seconds and are in UTC: its last row is for the interval that RefId names. So labels with seconds
    are in UTC if that leaves fewer rows later than the snapshot, and the newest other row close to it.
    If it leaves as many, as at the end of the day, the last row decides. Unusable rows are ignored
    here: they must not move the others by five hours.
    """
    for row in reversed(rows):
        try:
            label = row["Time"]
            last = interval_minute(label)
        except (LookupError, TypeError, AttributeError, ValueError):
            continue
        break
    else:
        return False
    if label.count(":") < 2:
        return False
    utc = _to_est(load)
    later, later_in_utc = (sum(minute > own for minute in each) for each in (load, utc))
    if later == later_in_utc:
        return (own + _UTC_AHEAD - last) % _DAY <= _NEAR
    newest = max((minute for minute in utc if minute <= own), default=-_DAY)
    return later_in_utc < later and own - newest <= _NEAR


def _to_est(mw: Mapping[int, float]) -> dict[int, float]:
    return {(minute - _UTC_AHEAD) % _DAY: value for minute, value in mw.items()}


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _shown(row: Any) -> str:
    text = repr(row)
    return text if len(text) <= 60 else f"{text[:57]}..."
