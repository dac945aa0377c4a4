"""The quarantine: bodies that could not be filed, kept as they came, once each.

``sourcing/miso_realtime_total_load/quarantine/{YYYY}/{MM}/{DD}/{md5}.gz``: the day it was first
collected (UTC), and the MD5 of the body. Why it is there stands beside it.
"""

from __future__ import annotations

import gzip
import hashlib
from datetime import UTC, datetime

from miso_scrapy.archive.document import ROOT
from miso_scrapy.exceptions import Dropped
from miso_scrapy.feed.candidate import candidate_of, floor_to_interval
from miso_scrapy.feed.coverage import covers
from miso_scrapy.feed.ref_id import parse_ref_id
from miso_scrapy.feed.shape import NotJSON
from miso_scrapy.feed.validation import problem
from miso_scrapy.items import Snapshot
from miso_scrapy.stats import Outcome
from miso_scrapy.store import Store

QUARANTINE = f"{ROOT}/quarantine"


def hash_of(body: bytes) -> str:
    """Return the name a body is kept under."""
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def keep(store: Store, item: Snapshot, reason: str) -> str:
    """Keep the body of *item*, and *reason* beside it; return its key. Raises StoreUnavailable."""
    day = item.collected_at.astimezone(UTC)
    key = f"{QUARANTINE}/{day:%Y/%m/%d}/{hash_of(item.body)}.gz"
    note = {
        "reason": reason,
        "identifier": item.identifier,
        "collected-at": day.isoformat(),
        "source-url": item.source_url,
    }
    # S3's metadata are headers: ASCII, one line, 2 KB in all.
    note = {name: _ascii(text)[:500] for name, text in note.items()}
    store.put(key, gzip.compress(item.body, mtime=0), note, sidecar=True)
    return key


def reread(key: str, body: bytes, note: dict[str, str]) -> Snapshot:
    """Return what is kept under *key* as the snapshot that it is now understood to be.

    Its candidate is the one it was fetched for; or, if it does not cover that one, the interval that
    it is of itself. ``trouble`` says so where it is still no snapshot.
    """
    snapshot = Snapshot(
        candidate=candidate_of(note["identifier"]),
        body=gzip.decompress(body),
        source_url=note["source-url"],
        collected_at=datetime.fromisoformat(note["collected-at"]),
        quarantined=key,
    )
    try:
        snapshot.read()
    except NotJSON as error:
        snapshot.trouble = Dropped(Outcome.INVALID, f"{error}; it stays in quarantine")
        return snapshot
    if reason := problem(snapshot.data):
        snapshot.trouble = Dropped(Outcome.INVALID, f"{reason}; it stays in quarantine")
    else:
        interval = parse_ref_id(snapshot.data["RefId"])
        if not covers(interval, snapshot.candidate):
            snapshot.candidate = floor_to_interval(interval)
    return snapshot


def is_body(key: str) -> bool:
    """Return whether *key* is that of a body, not of what stands beside it."""
    return key.endswith(".gz")


def hash_in(key: str) -> str:
    """Return the hash that *key* names."""
    return key.rpartition("/")[2].removesuffix(".gz")


def _ascii(text: str) -> str:
    return " ".join(text.encode("ascii", "backslashreplace").decode().split())
