"""The identity of an archive: its id, and whether its snapshots are real or simulated.

``sourcing/miso_realtime_total_load/archive.json`` holds ``{"id": "...", "kind": "real"}``. It is written
once, with the archive's first snapshot, and moves with the archive. An archive that has files but no
identity is of an earlier version, or made by hand: it is a real one.
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
    """What the snapshots of an archive are; it has those of one kind only."""

    REAL = "real"
    SIMULATED = "simulated"


@dataclass(frozen=True)
class Identity:
    """What tells one archive from another, wherever it lies."""

    id: str
    kind: Kind

    @classmethod
    def new(cls, kind: Kind) -> Identity:
        """Return an identity that no archive has yet."""
        return cls(uuid.uuid4().hex, kind)

    def dump(self) -> bytes:
        """Return the content of its file."""
        return json.dumps({"id": self.id, "kind": self.kind}).encode() + b"\n"


class WrongArchive(StoreUnavailable):
    """The run and the archive do not belong together; the message says, in one line, what to do."""


def kind_of(data: Any) -> Kind:
    """Return the kind of a snapshot in the documented shape."""
    return Kind.SIMULATED if is_simulated(data) else Kind.REAL


def read_identity(store: Store) -> Identity | None:
    """Return the identity of the archive in *store*.

    None if there is none, or if the store does not say whether there is one: without
    ``s3:ListBucket`` a missing object is a refused one. Raises StoreUnavailable.
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
    """Return the identity of the archive in *store*; an archive without one gets one of *kind*.

    The store takes only the first, so that workers that start at once agree. Raises WrongArchive for
    simulated snapshots among files without an identity, and StoreUnavailable.
    """
    if found := read_identity(store):
        return found
    if kind == Kind.SIMULATED and _has_snapshots(store):
        if found := read_identity(store):  # it and they are another worker's, since the look above
            return found
        raise wrong_kind(store, kind)
    made = Identity.new(kind)
    if store.put(KEY, made.dump(), {}).created:
        return made
    body = store.get(KEY)  # another worker's; or ours, and the store's answer was cut off
    if body is None:
        raise StoreUnavailable(f"{store.locate(KEY)} was removed; run the same range again")
    return _parsed(store, body)


def wrong_kind(store: Store, kind: Kind) -> WrongArchive:
    """Return the refusal of a snapshot of *kind* by the archive in *store*."""
    own = Kind.REAL if kind == Kind.SIMULATED else Kind.SIMULATED
    return WrongArchive(
        f"a {kind} snapshot is not filed in {store.locate(ROOT)}, which holds {own} ones; check "
        "MISO_API_URL, and give each kind its own MISO_DATA_DIR or S3_BUCKET"
    )


def _has_snapshots(store: Store) -> bool:
    try:
        return any(entry.key.endswith(".json.gz") for entry in store.entries(ROOT))
    except AccessDenied:  # a writer need not be allowed to list
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
