"""Validation of a snapshot and all its records against the JSON Schema in the package.

jsonschema-rs decides: it takes 0.01 ms per snapshot, jsonschema 4 ms. jsonschema names the faulty
record and value, so it is imported to explain a refusal, and only then.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import Any

import jsonschema_rs

from miso_scrapy.feed.ref_id import parse_ref_id

_ENOUGH = 100  # faults that are counted: a body of 5 MB can have a million
_KINDS = {"number": "a number", "array": "a list", "object": "an object", "string": "text"}


@cache
def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a snapshot in the documented shape."""
    text = files("miso_scrapy").joinpath("schemas/realtime_total_load.json").read_text("utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


@cache
def _validator() -> Any:
    return jsonschema_rs.validator_for(schema())


def problem(data: Any) -> str | None:
    """Return what is wrong with a normalised snapshot, in one line, or None.

    The line has the first fault, such as ``FiveMinTotalLoad[3].Value: 'abc' is not a number``, and
    the number of the others.
    """
    if not _validator().is_valid(data):
        return _explain(data)
    try:
        parse_ref_id(data["RefId"])  # the pattern accepts 31 February
    except ValueError as error:
        return f"RefId: {error}"
    return None


def _explain(data: Any) -> str:
    from jsonschema import Draft202012Validator

    errors = list(islice(Draft202012Validator(schema()).iter_errors(data), _ENOUGH))
    if not errors:  # the two differ: jsonschema accepts NaN as a number
        error = next(_validator().iter_errors(data))
        return f"{_path(error.instance_path)}: {error.message}"
    error = errors[0]
    where = _path(error.absolute_path)
    found = _short(error.instance)
    if error.validator == "type":
        wanted = error.validator_value
        kinds = [wanted] if isinstance(wanted, str) else wanted
        what = f"{found} is not {' or '.join(_KINDS.get(kind, kind) for kind in kinds)}"
    elif error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        return f"{where}.{missing}".lstrip(".") + f" is missing{_more(errors)}"
    elif where == "RefId":
        try:
            parse_ref_id(error.instance)
            what = f"{found} is not in UTC"
        except ValueError as reason:
            what = str(reason)
    else:
        what = f"{found} is not a valid label"
    return f"{where or 'the snapshot'}: {what}{_more(errors)}"


def _path(parts: Iterable[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(
        "."
    )


def _more(errors: list[Any]) -> str:
    if len(errors) < 2:
        return ""
    least = "at least " if len(errors) == _ENOUGH else ""
    return f" (and {least}{len(errors) - 1} more)"


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {len(value)}"
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
