"""The fingerprint: how a snapshot's content is known again."""

from __future__ import annotations

import hashlib
from typing import Any

from miso_scrapy.feed.compact import compact_json


def canonical_json(data: Any) -> bytes:
    """Return *data* as JSON with sorted keys and no white space, in ASCII."""
    return compact_json(data, sort_keys=True)


def fingerprint(data: Any) -> str:
    """Return the MD5, in hex, of the snapshot's canonical JSON.

    Of the data alone: the collection metadata differs each time and would hide every duplicate.
    MD5 tells contents apart here; it guards nothing.
    """
    return hashlib.md5(canonical_json(data), usedforsecurity=False).hexdigest()
