"""Compact JSON, in ASCII without white space: for the archive's documents and for fingerprints."""

from __future__ import annotations

import json
from typing import Any

import orjson


def compact_json(data: Any, *, sort_keys: bool = False) -> bytes:
    """Return *data* as JSON: the same bytes as ``json.dumps`` in ASCII without white space.

    orjson is 10 times faster, and is used if its output is certain to be the same. The two can
    differ in text beyond ASCII, in small floats and in integers beyond 64 bits. *data* must not
    contain NaN or infinity: decode() replaces them.
    """
    try:
        text = orjson.dumps(data, option=orjson.OPT_SORT_KEYS if sort_keys else None)
    except TypeError:
        text = b"\x7f"
    if text.isascii() and not any(doubt in text for doubt in (b"\x7f", b"0.0000", b"e-")):
        return text
    return json.dumps(data, sort_keys=sort_keys, separators=(",", ":")).encode("ascii")
