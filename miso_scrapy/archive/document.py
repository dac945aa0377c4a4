"""The filed document: where a snapshot is filed, and the bytes that are filed there."""

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
    """Bytes in the archive that are no filed document.

    *kind* is the same text for the same fault, where *message* tells of these bytes.
    """

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind or message


def key_of(identifier: str) -> str:
    """Return the key that *identifier* is filed under, in S3 or below the data directory.

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
    """Return what the archive says of how a snapshot was collected."""
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
    """Return the gzipped document: the same document, the same bytes (no time, no name in them)."""
    document = {"data": data, "collection_metadata": metadata}
    # wbits=31 is gzip with a header that holds neither a time nor a name.
    return zlib.compress(compact_json(document), 6, wbits=31)


def _gunzip(body: bytes) -> bytes:
    """Return what is in *body*, gzip: half the time of the gzip module, in Python.

    Like gzip itself it takes several members, one after the other, and zeros behind them.
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
    """Return the document in *body*, whole, as *loads* reads its JSON. Raises UnreadableDocument."""
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
