"""The identity of an archive: its id, and whether its snapshots are real or simulated.

``sourcing/miso_realtime_total_load/archive.json`` holds ``{"id": "...", "kind": "real"}``. It is written
once, with the archive's first snapshot, and moves with the archive. An archive that has files but no
identity was made by an earlier version, or by hand. Its kind is real.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from miso_scrapy.archive.document import ROOT
from miso_scrapy.feed.shape import is_simulated
from miso_scrapy.store import AccessDenied, Store, StoreUnavailable

KEY = f"{ROOT}/archive.json"


class Kind(StrEnum):
    """The kind of the snapshots in an archive, which is the same for all of them."""

    REAL = "real"
    SIMULATED = "simulated"


@dataclass(frozen=True)
class Identity:
    """The id and the kind of an archive; they do not change when the archive is moved."""

    id: str
    kind: Kind

    @classmethod
    def new(cls, kind: Kind) -> Identity:
        """Return an identity with a new, unique id."""
        return cls(uuid.uuid4().hex, kind)

    def dump(self) -> bytes:
        """Return the content of the identity's file."""
        return json.dumps({"id": self.id, "kind": self.kind}).encode() + b"\n"


class WrongArchive(StoreUnavailable):
    """Raised if a run must not use an archive; the message says, in one line, what to do."""


def kind_of(data: Any) -> Kind:
    """Return the kind of a snapshot in the documented shape."""
    return Kind.SIMULATED if is_simulated(data) else Kind.REAL


def read_identity(store: Store) -> Identity | None:
    """Return the identity of the archive in *store*, or None if it has none.

    Also return None if access is denied: without ``s3:ListBucket``, S3 answers 403 for a missing
    object. Raises StoreUnavailable.
    """
    try:
        body = store.get(KEY)
    except AccessDenied:
        return None
    return _parsed(store, body) if body else None


def archive_kind(store: Store) -> Kind:
    """Return the kind of the archive in *store*. Raises StoreUnavailable."""
    identity = read_identity(store)
    return identity.kind if identity else Kind.REAL


def identify(store: Store, kind: Kind) -> Identity:
    """Return the identity of the archive in *store*; give it one of *kind* if it has none.

    The store keeps only the first one, so workers that start at the same time agree. Raises
    WrongArchive if *kind* is simulated and there are snapshots without an identity, and
    StoreUnavailable.
    """
    if found := read_identity(store):
        return found
    if kind == Kind.SIMULATED and _has_snapshots(store):
        if found := read_identity(store):  # another worker has written both meanwhile
            return found
        raise wrong_kind(store, kind)
    made = Identity.new(kind)
    if store.put(KEY, made.dump(), {}).created:
        return made
    body = store.get(KEY)  # another worker's; or ours, if the store's response was cut off
    if body is None:
        raise StoreUnavailable(f"{store.locate(KEY)} was removed; run the same range again")
    return _parsed(store, body)


def wrong_kind(store: Store, kind: Kind) -> WrongArchive:
    """Return the error for a snapshot of *kind* that the archive in *store* must not contain."""
    own = Kind.REAL if kind == Kind.SIMULATED else Kind.SIMULATED
    return WrongArchive(
        f"a {kind} snapshot is not filed in {store.locate(ROOT)}, which holds {own} ones; check "
        "MISO_API_URL, and give each kind its own MISO_DATA_DIR or S3_BUCKET"
    )


def _has_snapshots(store: Store) -> bool:
    try:
        return any(entry.key.endswith(".json.gz") for entry in store.entries(ROOT))
    except AccessDenied:  # a writer needs no permission to list
        return False


def _parsed(store: Store, body: bytes) -> Identity:
    try:
        found = json.loads(body)
        return Identity(str(found["id"]), Kind(found["kind"]))
    except (ValueError, KeyError, TypeError):
        raise StoreUnavailable(
            f"{store.locate(KEY)} is not an archive's identity: it must have an id, and a kind that is "
            "real or simulated; put it back from a copy"
        ) from None
