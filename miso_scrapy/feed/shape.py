"""Shapes of a snapshot: the live one, and the documented one, which the archive stores.

MISO documents ``{"RefId", "ClearedMW": [{"Hour", "Value"}], ...}`` with numbers as numbers. Its
live feed wraps everything in ``LoadInfo``, each row in a one-key object, and each number in a
string: ``{"LoadInfo": {"RefId": "27-Jul-2026 - Interval 08:10 EST", "ClearedMW":
[{"ClearedMWHourly": {"Hour": "1", "Value": "90916"}}], ...}}``. :func:`normalise` converts both to
the documented shape.
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
"""The field, ``true``, that the simulator adds beside RefId. It is archived with the snapshot."""

_LEVELS = 254
"""Levels of nested lists and objects: orjson's own limit. A snapshot has five."""
_NUMBER = re.compile(r"[+-]?([0-9]{1,3}(,[0-9]{3})+|[0-9]{1,18})(\.[0-9]{1,18})?")


class NotJSON(ValueError):
    """Raised for a body that is not JSON, or not JSON that can be stored."""


def decode(body: bytes) -> Any:
    """Return the JSON value in *body*.

    ``NaN``, the infinities and numbers too large for a float become text, so that validation names
    the record that contains them. Raises NotJSON, with the reason in one line.
    """
    try:
        payload = json.loads(
            body.decode("utf-8-sig"),
            parse_constant=str,
            parse_float=_finite_float,
            parse_int=_finite_int,
        )
        _check_levels(payload)
        if b"\\ud" in body or b"\\uD" in body:  # a surrogate: valid only in a pair
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
    """Raise RecursionError if *payload* is nested too deeply.

    Python's own limit, near 1000, depends on the depth of the caller's stack: a value that was
    parsed here could still fail when it is validated or stored.
    """
    with contextlib.suppress(TypeError):
        orjson.dumps(payload)  # in C: 10 times faster than the loop
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
    """Return the error that a response with status 200 has instead of a snapshot, or None.

    Observed: an empty body, an HTML page, ``{"error": "no data"}``. A moment later the response may
    be good, so the request is sent again. A wrong *shape* is not a reason to send it again.
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

    Never raises: parts of an unexpected shape stay as they are, and validation reports them. Unknown
    fields, and the labels of hours and times, are kept.
    """
    if not isinstance(payload, dict):
        return payload
    data = dict(_unwrap(payload, "LoadInfo"))
    if isinstance(data.get("RefId"), str):
        with contextlib.suppress(ValueError):  # validation reports it
            data["RefId"] = iso_utc(parse_ref_id(data["RefId"]))
    for name, array in ARRAYS.items():
        if isinstance(data.get(name), list):
            data[name] = [_row(row, array) for row in data[name]]
    return data


def source_ref_id(payload: Any) -> str | None:
    """Return the RefId as the source sent it, or None if there is none."""
    if not isinstance(payload, dict):
        return None
    ref_id = _unwrap(payload, "LoadInfo").get("RefId")
    return ref_id if isinstance(ref_id, str) else None


def is_simulated(data: Any) -> bool:
    """Return whether *data*, in the documented shape, is marked as simulated."""
    return isinstance(data, dict) and data.get(SIMULATED) is True


def _row(row: Any, array: Array) -> Any:
    """Return *row* unwrapped, with its MW as a number.

    A snapshot has 100 to 300 rows, so the usual case comes first.
    """
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
    """Merge the object under *wrapper* into *outer*; return *outer* unchanged if keys clash."""
    inner = outer.get(wrapper)
    if not isinstance(inner, dict):
        return outer
    if len(outer) == 1:
        return inner
    beside = {key: value for key, value in outer.items() if key != wrapper}
    return outer if beside.keys() & inner.keys() else {**beside, **inner}


def _number(text: str) -> int | float | str:
    """Return ``"84,172"`` as 84172, and text that is not a number as it is."""
    digits = text.strip()
    if not _NUMBER.fullmatch(digits):
        return text
    digits = digits.replace(",", "")
    return float(digits) if "." in digits else int(digits)


def _finite_int(text: str) -> int | str:
    return int(text) if len(text) <= 300 else text  # the largest float is 1.8e308


def _finite_float(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text
