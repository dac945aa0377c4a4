"""The item: a snapshot for a candidate. Once it is filed, its record travels on (archive/record.py)."""

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
    """The answer as it came."""
    source_url: str
    """Where it came from, kept without login and the values of its query: they may be secret."""
    collected_at: datetime
    reading: Reading | None = None
    """What *body* says, once it is read."""
    trouble: Dropped | None = None
    """How the candidate ends when it was not fetched, or *body* cannot be decoded."""
    token: str = ""
    """That of the candidate's claim in the registry."""
    covered: bool = True
    fingerprint: str = ""
    home: str = ""
    """The identifier that this content is stored under: its candidate's own, but for a takeover."""
    quarantined: str = ""
    """The key it is kept under, where it comes from the quarantine."""

    def __post_init__(self) -> None:
        self.source_url = masked_url(self.source_url)

    @property
    def identifier(self) -> str:
        """The name that the candidate is registered under."""
        return identifier(self.candidate)

    @property
    def data(self) -> Any:
        """The snapshot in the documented shape; values in MW. None where *body* was not read."""
        return self.reading.data if self.reading else None

    def read(self) -> None:
        """Read *body*. Raises NotJSON."""
        self.reading = read_body(self.body)

    def __repr__(self) -> str:
        """Not the payload: this text goes into logs."""
        return f"<Snapshot {self.identifier} of {len(self.body)} bytes>"


class Reading:
    """What a body says. What is costly to find out is found out once."""

    def __init__(self, body: bytes) -> None:
        payload = decode(body)
        self.data = normalise(payload)
        """The snapshot in the documented shape; values in MW."""
        self.source_ref_id = source_ref_id(payload)
        """RefId as the source wrote it."""

    @cached_property
    def problem(self) -> str:
        """Why the body is not a snapshot; empty if it is one."""
        return problem(self.data) or ""

    @cached_property
    def fingerprint(self) -> str:
        """MD5 of the snapshot's canonical JSON."""
        return fingerprint(self.data)


@lru_cache(maxsize=1)
def read_body(body: bytes) -> Reading:
    """Read *body*; one that has not changed since the last time is not read again. Raises NotJSON."""
    return Reading(body)
