"""The item: a snapshot for a candidate. Once it is filed, its record travels on (archive/record.py)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from miso_scrapy.exceptions import Dropped
from miso_scrapy.feed.candidate import identifier
from miso_scrapy.feed.shape import decode, normalise, source_ref_id
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
    data: Any = None
    """The snapshot in the documented shape; values in MW."""
    source_ref_id: str | None = None
    """RefId as the source wrote it."""
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

    def read(self) -> None:
        """Understand *body*: fill *data* and *source_ref_id*. Raises NotJSON."""
        self.data, self.source_ref_id = _read(self.body)

    def __repr__(self) -> str:
        """Not the payload: this text goes into logs."""
        return f"<Snapshot {self.identifier} of {len(self.body)} bytes>"


@lru_cache(maxsize=1)
def _read(body: bytes) -> tuple[Any, str | None]:
    """Return the snapshot in *body*, and its RefId as the source wrote it.

    A body that has not changed gives the same object: the pipelines know it again by that.
    """
    payload = decode(body)
    return normalise(payload), source_ref_id(payload)
