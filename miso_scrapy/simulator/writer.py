"""Write a simulated archive: the files that a collector without gaps would have made."""

from __future__ import annotations

from datetime import UTC, date, timedelta
from pathlib import Path

import orjson

from miso_scrapy.archive.document import collection_metadata, key_of, pack
from miso_scrapy.archive.identity import Kind, identify, wrong_kind
from miso_scrapy.feed.candidate import INTERVAL, identifier
from miso_scrapy.feed.market_day import INTERVALS_A_DAY, midnight
from miso_scrapy.feed.shape import normalise, source_ref_id
from miso_scrapy.simulator.load import answer
from miso_scrapy.simulator.server import PATH
from miso_scrapy.store.directory import DirectoryStore

_DELAY = timedelta(seconds=75)
"""The time between a candidate and the collection of its snapshot."""


def begin(root: Path) -> None:
    """Make sure that the archive below *root* is a simulated one; mark a new archive as simulated.

    Raises WrongArchive if it is a real one, and StoreUnavailable.
    """
    store = DirectoryStore(root, setting="--write")
    if identify(store, Kind.SIMULATED).kind != Kind.SIMULATED:
        raise wrong_kind(store, Kind.SIMULATED)


def write_day(root: Path, seed: int, day: date) -> int:
    """Write the snapshots of the market day *day* below *root*; return how many were written.

    Raises FileExistsError if a file exists already, because it may hold a real snapshot.
    """
    start = midnight(day).astimezone(UTC)
    for number in range(INTERVALS_A_DAY):
        candidate = start + number * INTERVAL
        payload = answer(seed, candidate)
        metadata = collection_metadata(
            candidate=candidate,
            collected_at=candidate + _DELAY,
            source_url=f"http://127.0.0.1{PATH}",
            source_ref_id=source_ref_id(payload),
            body_size=len(orjson.dumps(payload)),
            covered=True,
        )
        path = root / key_of(identifier(candidate))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(pack(normalise(payload), metadata))
    return INTERVALS_A_DAY
