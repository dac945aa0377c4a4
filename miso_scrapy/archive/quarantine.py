"""The quarantine: bodies that could not be filed, kept as they came, once each.

``sourcing/miso_realtime_total_load/quarantine/{YYYY}/{MM}/{DD}/{md5}.gz``: the day it was first
collected (UTC), and the MD5 of the body. Why it is there stands beside it.
"""

from __future__ import annotations

import gzip
import hashlib
from datetime import UTC, datetime

from miso_scrapy.archive.document import ROOT
from miso_scrapy.store import Store

QUARANTINE = f"{ROOT}/quarantine"


def hash_of(body: bytes) -> str:
    """Return the name a body is kept under."""
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def keep(
    store: Store,
    body: bytes,
    reason: str,
    *,
    identifier: str,
    collected_at: datetime,
    source_url: str,
) -> str:
    """Keep *body*, and beside it *reason* and what it was fetched for; return its key.

    Raises StoreUnavailable.
    """
    day = collected_at.astimezone(UTC)
    key = f"{QUARANTINE}/{day:%Y/%m/%d}/{hash_of(body)}.gz"
    note = {
        "reason": reason,
        "identifier": identifier,
        "collected-at": day.isoformat(),
        "source-url": source_url,
    }
    # S3's metadata are headers: ASCII, one line, 2 KB in all.
    note = {name: _ascii(text)[:500] for name, text in note.items()}
    store.put(key, gzip.compress(body, mtime=0), note, sidecar=True)
    return key


def is_body(key: str) -> bool:
    """Return whether *key* is that of a body, not of what stands beside it."""
    return key.endswith(".gz")


def hash_in(key: str) -> str:
    """Return the hash that *key* names."""
    return key.rpartition("/")[2].removesuffix(".gz")


def _ascii(text: str) -> str:
    return " ".join(text.encode("ascii", "backslashreplace").decode().split())
