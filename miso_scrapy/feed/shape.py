"""The two shapes of a snapshot, and the one that the archive stores.

MISO documents ``{"RefId", "ClearedMW": [{"Hour", "Value"}], ...}`` with numbers as numbers. Its
live feed wraps everything in ``LoadInfo``, each row in a one-key object, and each number in a
string: ``{"LoadInfo": {"RefId": "27-Jul-2026 - Interval 08:10 EST", "ClearedMW":
[{"ClearedMWHourly": {"Hour": "1", "Value": "90916"}}], ...}}``. Both come out of
:func:`normalise` in the documented shape.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from dataclasses import dataclass
from typing import Any

import orjson

from miso_scrapy.feed.ref_id import iso_utc, parse_ref_id


@dataclass(frozen=True)
class Array:
    """One array of a snapshot: the live wrapper of its rows, their label, and their value in MW."""

    wrapper: str
    label: str
    value: str


ARRAYS = {
    "ClearedMW": Array("ClearedMWHourly", "Hour", "Value"),
    "MediumTermLoadForecast": Array("Forecast", "HourEnding", "LoadForecast"),
    "FiveMinTotalLoad": Array("Load", "Time", "Value"),
}

SIMULATED = "Simulated"
"""The field that the simulator adds beside RefId, as ``true``: it stays with the snapshot for ever."""

_LEVELS = 254
"""Of lists and objects within one another: orjson's own limit. A snapshot has five."""
_NUMBER = re.compile(r"[+-]?([0-9]{1,3}(,[0-9]{3})+|[0-9]{1,18})(\.[0-9]{1,18})?")


class NotJSON(ValueError):
    """A body that no JSON parser accepts."""


def decode(body: bytes) -> Any:
    """Return the JSON value that *body* holds.

    ``NaN``, the infinities and numbers too large for a float come out as text, so that validation
    names the record they are in. Raises NotJSON, with one line that says why.
    """
    try:
        payload = json.loads(
            body.decode("utf-8-sig"),
            parse_constant=str,
            parse_float=_finite_float,
            parse_int=_finite_int,
        )
        _check_levels(payload)
        if b"\\ud" in body or b"\\uD" in body:  # a surrogate: text only where it has its pair
            json.dumps(payload, ensure_ascii=False).encode()
        return payload
    except UnicodeEncodeError:
        raise NotJSON("not JSON that can be stored: half a surrogate pair") from None
    except UnicodeDecodeError as error:
        raise NotJSON(f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise NotJSON(f"not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise NotJSON("not JSON that can be read: nested too deeply") from None


def _check_levels(payload: Any) -> None:
    """Raise RecursionError for what is nested too deeply.

    Python's own limit, near 1000, hangs on the caller's stack: what was read here could still fail
    where it is validated or stored.
    """
    with contextlib.suppress(TypeError):
        orjson.dumps(payload)  # in C: a tenth of the time of the loop
        return
    level = [payload]
    for _ in range(_LEVELS + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    if level:
        raise RecursionError


def error_in(body: bytes) -> str | None:
    """Return what a 200 answer says went wrong when it is no snapshot at all, else None.

    Seen in the wild: an empty body, an HTML page, ``{"error": "no data"}``. Such an answer may be
    good a moment later, so it is worth another try; a wrong *shape* is not.
    """
    text = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not text:
        return "an empty body"
    if text.startswith(b"<"):
        return "an HTML page"
    if text.startswith(b"{") and b'"error"' in text:
        try:
            payload = decode(body)
        except NotJSON:
            return None
        if "error" in payload and not payload.keys() & {"LoadInfo", "RefId"}:
            return f"an error body: {str(payload['error'])[:200]!r}"
    return None


def normalise(payload: Any) -> Any:
    """Return *payload* in the documented shape: unwrapped, MW as numbers, ``RefId`` in UTC.

    Never raises: what it does not understand stays as it came, for validation to name. Unknown
    fields pass through; hour and time labels are kept.
    """
    if not isinstance(payload, dict):
        return payload
    data = dict(_unwrap(payload, "LoadInfo"))
    if isinstance(data.get("RefId"), str):
        with contextlib.suppress(ValueError):  # validation says so
            data["RefId"] = iso_utc(parse_ref_id(data["RefId"]))
    for name, array in ARRAYS.items():
        if isinstance(data.get(name), list):
            data[name] = [_row(row, array) for row in data[name]]
    return data


def source_ref_id(payload: Any) -> str | None:
    """Return the RefId as the source wrote it, if it is there."""
    if not isinstance(payload, dict):
        return None
    ref_id = _unwrap(payload, "LoadInfo").get("RefId")
    return ref_id if isinstance(ref_id, str) else None


def is_simulated(data: Any) -> bool:
    """Return whether *data*, in the documented shape, says that the simulator made it."""
    return isinstance(data, dict) and data.get(SIMULATED) is True


def _row(row: Any, array: Array) -> Any:
    """Return *row* unwrapped, its MW as a number. Of 100 to 300 rows, so the usual case comes first."""
    if not isinstance(row, dict):
        return row
    inner = row.get(array.wrapper) if len(row) == 1 else None
    row = inner if isinstance(inner, dict) else _unwrap(row, array.wrapper)
    value = row.get(array.value)
    if not isinstance(value, str):
        return row
    plain = value.isdecimal() and value.isascii() and len(value) <= 18
    return {**row, array.value: int(value) if plain else _number(value)}


def _unwrap(outer: dict[str, Any], wrapper: str) -> dict[str, Any]:
    """Lift what is inside *wrapper*, keeping what stands beside it; as it came where they clash."""
    inner = outer.get(wrapper)
    if not isinstance(inner, dict):
        return outer
    if len(outer) == 1:
        return inner
    beside = {key: value for key, value in outer.items() if key != wrapper}
    return outer if beside.keys() & inner.keys() else {**beside, **inner}


def _number(text: str) -> int | float | str:
    """``"84,172"`` is 84172; text that is no number stays text."""
    digits = text.strip()
    if not _NUMBER.fullmatch(digits):
        return text
    digits = digits.replace(",", "")
    return float(digits) if "." in digits else int(digits)


def _finite_int(text: str) -> int | str:
    return int(text) if len(text) <= 300 else text  # a float ends at 1.8e308


def _finite_float(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text
