"""What could not be filed is kept as it came, once, and filed once it validates."""

import gzip
import hashlib
import json
from datetime import UTC, datetime

import pytest

from tests.support.archive_reader import Witness
from tests.support.crawl import Run
from tests.support.scripted_server import Scripted
from tests.support.servers import live_body
from tests.support.stores import (
    QUARANTINE,
    Directory,
    filed,
    place_of,
    places,
    put_into_quarantine,
    quarantined,
)

NOON = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:00"}
QUARTER = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:10"}
IDENTIFIER = "realtime_total_load_20251205_{}.json"
FILED = "sourcing/miso_realtime_total_load/2025/{}/realtime_total_load_2025{}.json.gz"
# White space, an escape and a letter beyond ASCII: nothing that parsing and packing would keep.
WRONG = b'{"RefId" :\t"caf\xc3\xa9 \\u0041",\r\n\r\n "ClearedMW":[ ] }\n\n'


def today():
    return datetime.now(UTC).strftime("%Y/%m/%d")


def serving(body):
    return Scripted(lambda request: (200, {"Content-Type": "application/json"}, body))


@pytest.fixture
def requeue(scrapy):
    def run(env=None):
        done = scrapy("requeue", env=env)
        return Run(done.returncode, done.stdout + done.stderr)

    return run


# --- What is kept -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "what"), [("directory", "invalid"), ("directory", "uncovered"), ("S3", "invalid")]
)
def test_a_body_that_could_not_be_filed_is_kept_as_it_came(kind, what, request, crawl, feed):
    place = place_of(request, kind)
    feed.set(clock="2025-11-05T12:00:00+00:00")
    body = WRONG if what == "invalid" else live_body(feed)
    days = {today()}
    with serving(body) as server:
        run = crawl(**NOON, env={"MISO_API_URL": server.url, **place.env})
    days.add(today())
    assert (run.status, run.outcomes) == (1, {what: 1})
    assert run.stats["miso/quarantined"] == 1
    assert filed(place) == {}

    ((key, kept),) = quarantined(place).items()
    assert kept == body
    md5 = hashlib.md5(body).hexdigest()
    assert key in {f"{QUARANTINE}{day}/{md5}.gz" for day in days}
    beside = {key.removesuffix(".gz") + ".json"} if kind == "directory" else set()
    assert set(place.files()) == {key} | beside

    note = place.note(key)
    assert note["identifier"] == IDENTIFIER.format("120000")
    assert note["source-url"] == server.url
    assert ("is missing" if what == "invalid" else "2025-11-05T12:00:00Z") in note["reason"]
    if kind == "S3":
        head = place.client.head_object(Bucket=place.name, Key=key)
        assert head["ContentType"] == "application/gzip"


def test_a_day_of_one_bad_body_is_one_file_and_still_one_the_next_day(crawl, feed, archive):
    place = Directory(archive.root)
    feed.serve('{"LoadInfo": {"RefId": "soon"}}')
    run = crawl(start="2025-12-05", end="2025-12-06")
    assert run.outcomes == {"invalid": 288}
    assert len(feed.requests) == 288
    (key,) = quarantined(place)

    kept = archive.root / QUARANTINE / "2025/01/01"
    kept.parent.mkdir(parents=True)
    (archive.root / key).parent.rename(kept)
    before = place.files()
    run = crawl(**QUARTER)
    assert run.outcomes == {"invalid": 3}
    assert run.stats["miso/quarantined"] == 1
    assert place.files() == before


def test_an_uncovered_body_whose_content_is_stored_is_not_kept(crawl, feed, archive):
    feed.set(clock="2025-12-05T12:35:00+00:00")
    assert crawl(**NOON).outcomes == {"stored": 1}
    run = crawl(start="2025-11-28T12:00", end="2025-11-28T12:05")
    assert run.outcomes == {"uncovered": 2}
    assert run.stats["miso/quarantined"] == 0
    assert quarantined(Directory(archive.root)) == {}


def test_what_failed_is_not_kept(crawl, feed, archive):
    faults = ["status=503*1", "error*1", "html*1", "empty*1", "status=404*1", "cut*1", "reset*1"]
    feed.set(clock="2025-12-05T12:35:00+00:00", faults=faults)
    run = crawl(start="2025-12-05T12:00", end="2025-12-05T12:30", env={"RETRY_TIMES": "0"})
    assert run.outcomes == {"failed": 7}
    assert run.stats["miso/quarantined"] == 0
    assert Directory(archive.root).files() == {}


def test_without_a_registry_a_body_is_kept_all_the_same_and_once(crawl, feed, archive):
    feed.serve(WRONG.decode())
    run = crawl(**QUARTER, skip_hash_check=1)
    assert run.outcomes == {"invalid": 3}
    assert list(quarantined(Directory(archive.root)).values()) == [WRONG]


# --- scrapy requeue ---------------------------------------------------------------------------


def left_in_quarantine(run, number, archive):
    """Assert that the run has told, once, how many bodies it left, and why; and said it at its end."""
    (line,) = run.lines("WARNING") + run.lines("ERROR")
    assert f"{number} left in quarantine, as other content is registered" in line
    assert str(archive.root / QUARANTINE.rstrip("/")) in line
    assert (
        f"; {number} left in quarantine" in run.log.partition("[miso_scrapy.extensions.summary]")[2]
    )
    assert run.stats["miso/left_in_quarantine"] == number


@places
def test_what_was_uncovered_is_filed_under_the_interval_it_is_of(
    kind, request, crawl, requeue, feed, valkey, topic
):
    place = place_of(request, kind)
    env = {"REDIS_URL": valkey.url, **topic.settings, **place.env}
    feed.set(clock="2025-11-05T12:00:00+00:00")
    assert crawl(**QUARTER, env=env).outcomes == {"uncovered": 3}
    ((kept, body),) = quarantined(place).items()
    note = place.note(kept)
    feed.requests.clear()

    run = requeue(env)
    assert (run.status, run.outcomes) == (0, {"stored": 1}), run.log
    assert run.stats["miso/quarantined"] == 0
    assert feed.requests == []
    key = FILED.format("11/05", "1105_120000")
    assert set(place.files()) == {key}  # neither the body nor its sidecar is left
    document = json.loads(gzip.decompress(place.files()[key]))
    assert document["data"]["RefId"] == "2025-11-05T12:00:00Z"
    metadata = document["collection_metadata"]
    # It was collected when it came, not now.
    collected = datetime.fromisoformat(metadata["collected_at"])
    assert collected == datetime.fromisoformat(note["collected-at"])
    assert metadata["source_url"] == feed.url
    assert len(document["data"]["FiveMinTotalLoad"]) == body.count(b'"Load"')

    witness = Witness(place.files(), valkey.client, topic.messages())
    witness.all_promises()
    witness.nothing_left_open()
    identifier = "realtime_total_load_20251105_120000.json"
    assert witness.announced == set(witness.registered) == {identifier}


def test_what_validates_now_is_filed_and_what_does_not_stays(crawl, requeue, feed, archive):
    place = Directory(archive.root)
    feed.serve(WRONG.decode())
    assert crawl(**NOON).outcomes == {"invalid": 1}
    (wrong,) = quarantined(place)
    feed.set(clock="2025-12-05T12:35:00+00:00")
    valid = live_body(feed)
    put_into_quarantine(place, valid, wrong, identifier=IDENTIFIER.format("120500"))

    run = requeue()
    assert (run.status, run.outcomes) == (1, {"stored": 1, "invalid": 1}), run.log
    assert run.stats["miso/quarantined"] == 1
    assert quarantined(place) == {wrong: WRONG}
    assert set(filed(place)) == {FILED.format("12/05", "1205_120500")}
    assert archive.only()["data"]["RefId"] == "2025-12-05T12:35:00Z"
    assert "Traceback" not in run.log
    (line,) = run.lines("ERROR")
    assert IDENTIFIER.format("120000") in line
    assert "is missing" in line

    place.remove(wrong)
    run = requeue()
    assert (run.status, run.outcomes) == (0, {}), run.log
    assert not run.lines("ERROR") + run.lines("WARNING")


def test_what_is_filed_already_is_not_filed_again_or_overwritten(
    crawl, requeue, feed, valkey, archive
):
    place = Directory(archive.root)
    env = {"REDIS_URL": valkey.url}
    feed.set(clock="2025-12-05T12:00:00+00:00", faults=["delay=0*1", "body={}*1"])
    assert crawl(start="2025-12-05T12:00", end="2025-12-05T12:05", env=env).outcomes == {
        "stored": 1,
        "invalid": 1,
    }
    before = filed(place)
    (wrong,) = quarantined(place)
    # One with the content that is filed, one with another content for the same identifier.
    feed.set(clock="2025-12-05T12:00:00+00:00")
    same = live_body(feed)
    feed.set(clock="2025-12-05T12:00:00+00:00", seed=1)
    other = live_body(feed)
    put_into_quarantine(place, same, wrong, identifier=IDENTIFIER.format("120500"))
    put_into_quarantine(place, other, wrong, identifier=IDENTIFIER.format("120000"))
    # The content that is filed once more, for its own candidate, in other bytes.
    put_into_quarantine(place, same + b"\n", wrong, identifier=IDENTIFIER.format("120000"))
    place.remove(wrong)

    run = requeue(env)
    assert (run.status, run.outcomes) == (1, {"duplicate": 2, "skipped": 1}), run.log
    assert "Traceback" not in run.log
    assert filed(place) == before
    # What is nowhere else is not thrown away.
    assert list(quarantined(place).values()) == [other]
    left_in_quarantine(run, 1, archive)
    Witness(place.files(), valkey.client).all_promises()


def test_a_body_whose_candidate_is_filed_with_other_content_stays(
    crawl, requeue, feed, valkey, archive
):
    place = Directory(archive.root)
    env = {"REDIS_URL": valkey.url}
    feed.set(clock="2025-12-05T12:00:00+00:00", faults=["delay=0*1", "body={}*1"])
    run = crawl(start="2025-12-05T12:00", end="2025-12-05T12:05", env=env)
    assert run.outcomes == {"stored": 1, "invalid": 1}
    before = filed(place)
    (wrong,) = quarantined(place)
    feed.set(clock="2025-12-05T12:00:00+00:00", seed=1)
    other = live_body(feed)
    put_into_quarantine(place, other, wrong, identifier=IDENTIFIER.format("120000"))
    place.remove(wrong)
    valkey.client.flushall()  # so that it is only the store that knows what is filed

    run = requeue(env)
    assert "Traceback" not in run.log
    assert filed(place) == before
    assert list(quarantined(place).values()) == [other]


OVERTAKEN = """
import os
import redis
from miso_scrapy.settings import *

class Overtaken:
    def process_item(self, item):
        registry = redis.Redis.from_url(os.environ["REDIS_URL"])
        prefix = "dev:miso_realtime_total_load:"
        registry.hdel(prefix + "claims", item.identifier)
        registry.set(prefix + item.identifier, "0" * 32)
        registry.set(prefix + "md5:" + "0" * 32, item.identifier)
        return item

ITEM_PIPELINES = {**ITEM_PIPELINES, Overtaken: 250}
"""


def test_a_body_whose_candidate_another_run_files_with_other_content_stays(
    crawl, scrapy, feed, valkey, archive, tmp_path
):
    """The other run overtakes this one before it has compared the contents."""
    place = Directory(archive.root)
    feed.set(clock="2025-11-05T12:00:00+00:00")
    env = {"REDIS_URL": valkey.url}
    assert crawl(**NOON, env=env).outcomes == {"uncovered": 1}
    before = place.files()
    (tmp_path / "overtaken.py").write_text(OVERTAKEN)
    own = {"SCRAPY_SETTINGS_MODULE": "overtaken", "PYTHONPATH": str(tmp_path)}
    done = scrapy("requeue", env={**env, **own}, cold=True)
    run = Run(done.returncode, done.stdout + done.stderr)
    assert (run.status, run.outcomes) == (1, {"skipped": 1}), run.log
    assert place.files() == before


def test_what_is_filed_from_the_quarantine_says_nothing_of_the_feed_of_now(
    crawl, requeue, feed, tmp_path
):
    feed.set(clock="2025-11-05T12:00:00+00:00")
    assert crawl(**NOON).outcomes == {"uncovered": 1}
    metrics = tmp_path / "miso.prom"
    run = requeue({"MISO_STALE_AFTER": "15", "METRICS_FILE": str(metrics)})
    assert run.outcomes == {"stored": 1}
    assert "miso/newest_interval" not in run.stats
    assert "miso/behind_seconds" not in run.stats
    assert "stale feed" not in run.monitors
    assert "\nmiso_snapshot_age_seconds{" not in metrics.read_text()


def test_bodies_of_which_each_candidate_can_have_one_stay_and_are_told(
    crawl, requeue, feed, archive
):
    place = Directory(archive.root)
    feed.serve(WRONG.decode())
    assert crawl(**NOON).outcomes == {"invalid": 1}
    (wrong,) = quarantined(place)
    for minute in range(0, 40, 5):
        for seed in range(4):
            feed.set(clock=f"2025-12-05T12:{minute:02}:00+00:00", seed=seed)
            identifier = IDENTIFIER.format(f"12{minute:02}00")
            put_into_quarantine(place, live_body(feed), wrong, identifier=identifier)
    place.remove(wrong)

    run = requeue()
    assert (run.status, run.outcomes) == (1, {"stored": 8, "skipped": 24}), run.log
    assert len(filed(place)) == 8
    left_in_quarantine(run, 24, archive)
    left = quarantined(place)
    assert len(left) == 24

    run = requeue()
    assert (run.status, run.outcomes) == (1, {"skipped": 24}), run.log
    left_in_quarantine(run, 24, archive)
    assert quarantined(place) == left


def test_a_body_whose_place_is_taken_in_the_archive_alone_stays_and_is_told(
    crawl, requeue, feed, archive
):
    place = Directory(archive.root)
    feed.serve(WRONG.decode())
    assert crawl(**NOON).outcomes == {"invalid": 1}
    (wrong,) = quarantined(place)
    feed.set(clock="2025-12-05T12:00:00+00:00", seed=1)
    other = live_body(feed)
    put_into_quarantine(place, other, wrong)
    place.remove(wrong)
    feed.set(clock="2025-12-05T12:00:00+00:00")
    assert crawl(skip_hash_check=1, **NOON).outcomes == {"stored": 1}  # registered nowhere

    run = requeue()
    assert (run.status, run.outcomes) == (1, {"duplicate": 1}), run.log
    assert list(quarantined(place).values()) == [other]
    left_in_quarantine(run, 1, archive)
