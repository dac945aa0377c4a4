"""The record of a file that is in the archive already."""

import hashlib

import pytest

from miso_scrapy.archive.document import key_of, pack
from miso_scrapy.archive.record import filed_from, identifier_in
from miso_scrapy.feed.fingerprint import fingerprint
from tests.support import samples

NOON = "realtime_total_load_20251205_120000.json"
DATA = samples.data(samples.est("2025-12-05", "07:00"), {"07:00": 1})
METADATA = {
    "collected_at": "2025-12-05T12:01:02.003004Z",
    "source_url": "https://feed.example/load",
    "body_size": 6670,
    "covered": False,
}


def test_a_key_that_no_candidate_is_filed_under_has_no_identifier():
    assert identifier_in(key_of(NOON)) == NOON
    for date in ("20250231_120000", "20251301_120000", "20251205_240000", "20251205_126000"):
        assert identifier_in(key_of(f"realtime_total_load_{date}.json")) is None
    for key in (f"{NOON}.gz", key_of(NOON).replace("/05/", "/06/"), key_of(NOON)[:-3], ""):
        assert identifier_in(key) is None


def test_the_record_of_a_file_that_is_there_says_what_is_in_it():
    body = pack(DATA, METADATA)
    filed = filed_from(NOON, "s3://archive/key", body)
    assert vars(filed) == {
        "identifier": NOON,
        "location": "s3://archive/key",
        "fingerprint": fingerprint(DATA),
        "ref_id": "2025-12-05T12:00:00Z",
        "candidate": "2025-12-05T12:00:00Z",
        "collected_at": "2025-12-05T12:01:02.003004Z",
        "source_url": "https://feed.example/load",
        "covered": False,
        "etag": hashlib.md5(body).hexdigest(),
        "size": len(body),
        "body_size": 6670,
        "adopted": True,
        "also": "",
    }


@pytest.mark.parametrize("body_size", [None, "6670"])
def test_what_its_metadata_do_not_say_is_not_made_up(body_size):
    filed = filed_from(NOON, "", pack(DATA, {"body_size": body_size}))
    assert (filed.collected_at, filed.source_url, filed.body_size) == ("", "", 0)
    assert filed.covered is True
