"""Filed documents: the key of a snapshot in the archive, and the bytes under that key."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from miso_scrapy.feed.compact import compact_json

DATASET = "miso_realtime_total_load"
DATA_TYPE = "realtime_total_load"
ROOT = f"sourcing/{DATASET}"


class UnreadableDocument(ValueError):
    """Raised for bytes in the archive that are not a filed document.

    *message* describes the fault in these bytes. *kind* is the same text for the same fault.
    """

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind or message


def key_of(identifier: str) -> str:
    """Return the key under which *identifier* is filed, in S3 or below the data directory.

    ``sourcing/miso_realtime_total_load/2025/12/05/realtime_total_load_20251205_120000.json.gz``:
    the candidate's date and time, in UTC.
    """
    day = identifier.removeprefix(f"{DATA_TYPE}_")
    return f"{ROOT}/{day[:4]}/{day[4:6]}/{day[6:8]}/{identifier}.gz"


def collection_metadata(
    *,
    candidate: datetime,
    collected_at: datetime,
    source_url: str,
    source_ref_id: str | None,
    body_size: int,
    covered: bool,
) -> dict[str, Any]:
    """Return the ``collection_metadata`` of a snapshot: when, from where and for what."""
    return {
        "collected_at": collected_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "source_url": source_url,
        "data_type": DATA_TYPE,
        "source": "miso",
        "date": f"{candidate.astimezone(UTC):%Y-%m-%d}",
        "timestamp": f"{candidate.astimezone(UTC):%Y%m%d_%H%M%S}",
        "source_ref_id": source_ref_id,
        "body_size": body_size,
        "covered": covered,
    }


def pack(data: Any, metadata: dict[str, Any]) -> bytes:
    """Return the gzipped document. Equal documents give equal bytes: gzip's header has no time."""
    document = {"data": data, "collection_metadata": metadata}
    # wbits=31 is gzip with neither a time nor a file name in the header.
    return zlib.compress(compact_json(document), 6, wbits=31)


def _gunzip(body: bytes) -> bytes:
    """Return *body* decompressed, in half the time of the gzip module, which is written in Python.

    Like gzip itself, accept several members in a row, and zeros after them.
    """
    members: list[bytes] = []
    while body or not members:
        gunzip = zlib.decompressobj(wbits=31)
        try:
            members.append(gunzip.decompress(body))
        except zlib.error as error:
            kind = "it is not gzip, or damaged"
            raise UnreadableDocument(f"{kind} ({error})", kind) from None
        if not gunzip.eof:
            raise UnreadableDocument("it is cut off")
        body = gunzip.unused_data.lstrip(b"\0")
    return members[0] if len(members) == 1 else b"".join(members)


def unpack(body: bytes, *, loads: Callable[[bytes], Any] = json.loads) -> dict[str, Any]:
    """Return the document in *body*; *loads* parses its JSON. Raises UnreadableDocument."""
    text = _gunzip(body)
    try:
        document = loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableDocument(f"it is not JSON ({error})", "it is not JSON") from None
    try:
        data, metadata = document["data"], document["collection_metadata"]
        if isinstance(data["RefId"], str) and isinstance(metadata, dict):
            return {"data": data, "collection_metadata": metadata}
    except (LookupError, TypeError):
        pass
    raise UnreadableDocument("it has no data with a RefId, or no collection_metadata")
