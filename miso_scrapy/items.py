"""The item: a snapshot for a candidate. The store pipeline replaces it by a record
(archive/record.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any

from miso_scrapy.exceptions import Dropped
from miso_scrapy.feed.candidate import identifier
from miso_scrapy.feed.fingerprint import fingerprint
from miso_scrapy.feed.shape import decode, normalise, source_ref_id
from miso_scrapy.feed.validation import problem
from miso_scrapy.text.masking import masked_url


@dataclass
class Snapshot:
    """One answer of the feed, for one candidate."""

    candidate: datetime
    """The 5-minute timestamp that the run asked for, UTC."""
    body: bytes
    """The body of the answer, unchanged."""
    source_url: str
    """The URL of the answer, without login and the values of its query: they may be secret."""
    collected_at: datetime
    reading: Reading | None = None
    """The content of *body*, once it is read."""
    trouble: Dropped | None = None
    """The reason to drop the candidate if it was not fetched or *body* cannot be decoded."""
    token: str = ""
    """The token of the candidate's claim in the registry."""
    covered: bool = True
    fingerprint: str = ""
    home: str = ""
    """The identifier that this content is stored under: that of its candidate, or of another candidate
    with the same content whose claim was taken over.
    """
    quarantined: str = ""
    """Its key in quarantine, if it comes from there."""

    def __post_init__(self) -> None:
        self.source_url = masked_url(self.source_url)

    @property
    def identifier(self) -> str:
        """The name under which the candidate is registered."""
        return identifier(self.candidate)

    @property
    def data(self) -> Any:
        """The snapshot in the documented shape; values in MW. None if *body* was not read."""
        return self.reading.data if self.reading else None

    def read(self) -> None:
        """Decode *body* into ``reading``. Raises NotJSON."""
        self.reading = read_body(self.body)

    def __repr__(self) -> str:
        """Return a text without the payload, as it is written to logs."""
        return f"<Snapshot {self.identifier} of {len(self.body)} bytes>"


class Reading:
    """The content of a body. Its problem and its fingerprint are computed once, when first needed."""

    def __init__(self, body: bytes) -> None:
        payload = decode(body)
        self.data = normalise(payload)
        """The snapshot in the documented shape; values in MW."""
        self.source_ref_id = source_ref_id(payload)
        """RefId as the source wrote it."""

    @cached_property
    def problem(self) -> str:
        """The reason why the body is not a snapshot; empty if it is one."""
        return problem(self.data) or ""

    @cached_property
    def fingerprint(self) -> str:
        """MD5 of the snapshot's canonical JSON."""
        return fingerprint(self.data)


@lru_cache(maxsize=1)
def read_body(body: bytes) -> Reading:
    """Decode *body*; the same body as in the last call is not decoded again. Raises NotJSON."""
    return Reading(body)
