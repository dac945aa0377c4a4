import gzip
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miso_scrapy.archive.document import (
    UnreadableDocument,
    collection_metadata,
    key_of,
    pack,
    unpack,
)

DATA = {
    "RefId": "2025-12-05T12:35:00Z",
    "ClearedMW": [{"Hour": "1", "Value": 90916}],
    "MediumTermLoadForecast": [],
    "FiveMinTotalLoad": [{"Time": "00:00", "Value": 93419.5}],
    "Note": "Größe, 日本, 😀",
}
METADATA = collection_metadata(
    candidate=datetime(2025, 12, 5, 12, 35, tzinfo=UTC),
    collected_at=datetime(2025, 12, 5, 12, 36, 7, tzinfo=UTC),
    source_url="https://feed.example/load",
    source_ref_id="05-Dec-2025 - Interval 07:35 EST",
    body_size=14_321,
    covered=True,
)
PACKED = pack(DATA, METADATA)


def metadata_of(candidate):
    return collection_metadata(
        candidate=candidate,
        collected_at=candidate,
        source_url="https://feed.example/load",
        source_ref_id=None,
        body_size=0,
        covered=False,
    )


def test_the_key_holds_the_candidates_date():
    assert key_of("realtime_total_load_20251205_120000.json") == (
        "sourcing/miso_realtime_total_load/2025/12/05/realtime_total_load_20251205_120000.json.gz"
    )


def test_the_metadata_says_how_the_snapshot_was_collected():
    expected = {
        "source_url": "https://feed.example/load",
        "data_type": "realtime_total_load",
        "source": "miso",
        "date": "2025-12-05",
        "timestamp": "20251205_123500",
        "covered": True,
    }
    assert METADATA | expected == METADATA
    assert datetime.fromisoformat(METADATA["collected_at"]) == datetime(
        2025, 12, 5, 12, 36, 7, tzinfo=UTC
    )
    assert "05-Dec-2025 - Interval 07:35 EST" in METADATA.values()
    assert 14_321 in METADATA.values()


def test_the_metadatas_date_is_the_candidates_in_utc():
    metadata = metadata_of(datetime.fromisoformat("2025-12-31T22:05-05:00"))
    assert (metadata["date"], metadata["timestamp"]) == ("2026-01-01", "20260101_030500")


def test_an_uncovered_snapshot_is_marked():
    assert metadata_of(datetime(2025, 12, 5, tzinfo=UTC))["covered"] is False


def test_the_standard_library_reads_a_document():
    assert json.loads(gzip.decompress(PACKED)) == {"data": DATA, "collection_metadata": METADATA}


def test_the_same_document_is_the_same_bytes():
    assert pack(json.loads(json.dumps(DATA)), dict(METADATA)) == PACKED


def test_the_bytes_hold_neither_a_time_nor_a_file_name():
    magic, flags, modified = PACKED[:3], PACKED[3], PACKED[4:8]
    assert (magic, flags, modified) == (b"\x1f\x8b\x08", 0, bytes(4))


def test_a_document_is_smaller_than_its_text():
    rows = [{"Time": f"{n // 12:02d}:{n % 12 * 5:02d}", "Value": 90_000 + n} for n in range(288)]
    packed = pack({**DATA, "FiveMinTotalLoad": rows}, METADATA)
    assert len(packed) < len(gzip.decompress(packed)) / 3


def test_a_document_is_unpacked_as_it_was_packed():
    assert unpack(PACKED) == {"data": DATA, "collection_metadata": METADATA}


@given(st.integers(0, len(PACKED) - 1))
def test_a_cut_off_document_is_unreadable(length):
    with pytest.raises(UnreadableDocument):
        unpack(PACKED[:length])


@given(st.integers(10, len(PACKED) - 1), st.integers(1, 255))
def test_a_damaged_document_is_unreadable(position, flip):
    damaged = bytearray(PACKED)
    damaged[position] ^= flip
    with pytest.raises(UnreadableDocument):
        unpack(bytes(damaged))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"text"',
        b"{",
        b"\xff",
        b'{"data": {"RefId": "2025-12-05T12:35:00Z"}}',
        b'{"collection_metadata": {}}',
        b'{"data": [], "collection_metadata": {}}',
        b'{"data": {}, "collection_metadata": {}}',
        b'{"data": null, "collection_metadata": {}}',
        b'{"data": {"RefId": 5}, "collection_metadata": {}}',
        b'{"data": {"RefId": "2025-12-05T12:35:00Z"}, "collection_metadata": []}',
        b"[" * 100_000,
    ],
)
def test_another_text_is_no_document(text):
    with pytest.raises(UnreadableDocument):
        unpack(gzip.compress(text))


@given(st.binary())
def test_other_bytes_are_no_document(body):
    with pytest.raises(UnreadableDocument):
        unpack(body)
