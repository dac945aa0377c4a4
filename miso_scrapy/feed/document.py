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
    """Bytes in the archive that are no filed document: cut off, not gzip, or not of this shape."""


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
    """Return what is in *body*, one gzip member: half the time of the gzip module, in Python."""
    gunzip = zlib.decompressobj(wbits=31)
    try:
        text = gunzip.decompress(body)
    except zlib.error as error:
        raise ValueError(f"no gzip file, or a damaged one ({error})") from None
    if not gunzip.eof or gunzip.unused_data:
        raise ValueError("cut off, or with something behind its end")
    return text


def unpack(body: bytes, *, loads: Callable[[bytes], Any] = json.loads) -> dict[str, Any]:
    """Return the document in *body*, whole, as *loads* reads its JSON. Raises UnreadableDocument."""
    try:
        document = loads(_gunzip(body))
        data, metadata = document["data"], document["collection_metadata"]
        if not (isinstance(data["RefId"], str) and isinstance(metadata, dict)):
            raise TypeError("RefId and collection_metadata are not there")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnreadableDocument(str(error) or type(error).__name__) from None
    return {"data": data, "collection_metadata": metadata}
