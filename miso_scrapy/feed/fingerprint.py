"""Fingerprints: the hash that identifies the content of a snapshot."""

from __future__ import annotations

import hashlib
from typing import Any

from miso_scrapy.feed.compact import compact_json


def canonical_json(data: Any) -> bytes:
    """Return *data* as JSON with sorted keys and no white space, in ASCII."""
    return compact_json(data, sort_keys=True)


def fingerprint(data: Any) -> str:
    """Return the MD5, in hex, of the snapshot's canonical JSON.

    *data* must not include the collection metadata: they differ each time, so no duplicate would
    be found. MD5 only distinguishes contents here; it is not used for security.
    """
    return hashlib.md5(canonical_json(data), usedforsecurity=False).hexdigest()
