"""From bytes in the archive to the record of what was filed."""

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
    """The record of what was filed: small enough for a job's item list."""

    identifier: str
    """The name it is filed under: ``realtime_total_load_20251205_120000.json``."""
    location: str
    """``s3://bucket/key``, or the path of the file."""
    fingerprint: str
    """MD5 of the snapshot's canonical JSON."""
    ref_id: str
    """The interval the snapshot is of, ISO 8601 in UTC."""
    candidate: str
    """The candidate, ISO 8601 in UTC."""
    collected_at: str
    source_url: str
    covered: bool
    etag: str
    """The store's own tag of the stored bytes."""
    size: int
    """Bytes stored, gzipped."""
    body_size: int
    """Bytes of the answer."""
    adopted: bool = False
    """Whether the file was there already, unknown to the registry."""
    also: str = ""
    """Another candidate of this content, whose worker finished the work of a dead one."""


def identifier_in(key: str) -> str | None:
    """Return the identifier that *key* is of, or None for a key that no candidate is filed under."""
    identifier = key.rpartition("/")[2].removesuffix(".gz")
    try:
        candidate_of(identifier)
    except ValueError:
        return None
    return identifier if key_of(identifier) == key else None


def filed_from(identifier: str, location: str, body: bytes) -> Filed:
    """Return the record of a file that is in the archive already, from its *body*.

    Its fingerprint is computed, not believed: it is that of the data which are there. Raises
    UnreadableDocument.
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
