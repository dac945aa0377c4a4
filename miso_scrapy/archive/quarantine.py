"""The quarantine: bodies that could not be filed, kept unchanged, once each.

``sourcing/miso_realtime_total_load/quarantine/{YYYY}/{MM}/{DD}/{md5}.gz``: the day on which the body
was first collected (UTC), and its MD5. The reason is stored beside it, as metadata.
"""

from __future__ import annotations

import gzip
import hashlib
from datetime import UTC, datetime

from miso_scrapy.archive.document import ROOT
from miso_scrapy.store import Store

QUARANTINE = f"{ROOT}/quarantine"


def hash_of(body: bytes) -> str:
    """Return the name under which *body* is kept."""
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
    """Keep *body*, with *reason* and the candidate it was fetched for beside it; return its key.

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
    # S3 sends metadata as headers: ASCII, one line each, 2 KB in all.
    note = {name: _ascii(text)[:500] for name, text in note.items()}
    store.put(key, gzip.compress(body, mtime=0), note, sidecar=True)
    return key


def is_body(key: str) -> bool:
    """Return whether *key* is the key of a body, not of the metadata beside it."""
    return key.endswith(".gz")


def hash_in(key: str) -> str:
    """Return the hash in *key*."""
    return key.rpartition("/")[2].removesuffix(".gz")


def _ascii(text: str) -> str:
    return " ".join(text.encode("ascii", "backslashreplace").decode().split())
