"""The record of a filed snapshot, and how to read it from the archive."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from miso_scrapy.archive.document import key_of, unpack
from miso_scrapy.feed.candidate import candidate_of
from miso_scrapy.feed.fingerprint import fingerprint
from miso_scrapy.feed.ref_id import iso_utc
from miso_scrapy.text.masking import masked_url


@dataclass
class Filed:
    """The record of a filed snapshot: small enough for a job's list of items."""

    identifier: str
    """The name under which it is filed: ``realtime_total_load_20251205_120000.json``."""
    location: str
    """``s3://bucket/key``, or the path of the file."""
    fingerprint: str
    """MD5 of the snapshot's canonical JSON."""
    ref_id: str
    """The snapshot's interval, ISO 8601 in UTC."""
    candidate: str
    """The candidate, ISO 8601 in UTC."""
    collected_at: str
    source_url: str
    covered: bool
    etag: str
    """The store's ETag of the stored bytes."""
    size: int
    """Size of the stored file, gzipped, in bytes."""
    body_size: int
    """Size of the response's body, in bytes."""
    adopted: bool = False
    """Whether the file was in the archive already, but not in the registry."""
    also: str = ""
    """Another candidate of this content: its worker stored the file in place of a dead worker."""


def identifier_in(key: str) -> str | None:
    """Return the identifier that is filed under *key*, or None if *key* is not a snapshot's."""
    identifier = key.rpartition("/")[2].removesuffix(".gz")
    try:
        candidate_of(identifier)
    except ValueError:
        return None
    return identifier if key_of(identifier) == key else None


def filed_from(identifier: str, location: str, body: bytes) -> Filed:
    """Return the record of a file that is in the archive already, from its *body*.

    The fingerprint is computed from the data in the file. Raises UnreadableDocument.
    """
    document = unpack(body)
    data, metadata = document["data"], document["collection_metadata"]
    return Filed(
        identifier=identifier,
        location=location,
        fingerprint=fingerprint(data),
        ref_id=data["RefId"],
        candidate=iso_utc(candidate_of(identifier)),
        collected_at=str(metadata.get("collected_at", "")),
        source_url=masked_url(str(metadata.get("source_url", ""))),
        covered=bool(metadata.get("covered", True)),
        etag=hashlib.md5(body, usedforsecurity=False).hexdigest(),
        size=len(body),
        body_size=size if isinstance(size := metadata.get("body_size"), int) else 0,
        adopted=True,
    )
