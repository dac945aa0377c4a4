"""How a candidate can end, what is counted, and the exit status."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.support.crawl import read_until, started
from tests.support.servers import live_body

CLOCK = "2025-12-05T12:35:00+00:00"
LATER = "2025-12-05T12:45:00+00:00"
NOON = "realtime_total_load_20251205_120000.json"


def one(minute):
    """The arguments for the one candidate at 12:*minute*."""
    return {"start": f"2025-12-05T12:{minute:02}", "end": f"2025-12-05T12:{minute:02}"}


def keys(valkey):
    return sorted(valkey.client.keys())


def test_the_same_content_is_filed_once_and_the_same_candidate_asked_for_once(crawl, feed, archive):
    feed.set(clock=CLOCK)
    first = crawl(start="2025-12-05T12:00", end="2025-12-05T12:05")
    assert (first.status, first.outcomes) == (0, {"stored": 1, "duplicate": 1})
    filed = archive.files()
    assert len(filed) == 1
    (said,) = [line for line in first.lines("INFO") if "] INFO: stored " in line]
    # Whichever of the two came first.
    assert f"stored {Path(filed[0]).stem}: interval 2025-12-05T12:35:00Z, " in said
    assert said.endswith(f" bytes, at {archive.root / filed[0]}")
    second = crawl(**one(10))
    assert (second.status, second.outcomes) == (0, {"duplicate": 1})
    assert (
        "1 candidate: 1 duplicate; the newest snapshot, of 2025-12-05T12:35:00Z, is " in second.log
    )
    assert len(feed.requests) == 3
    third = crawl(start="2025-12-05T12:00", end="2025-12-05T12:10")
    assert (third.status, third.outcomes) == (0, {"skipped": 3})
    assert len(feed.requests) == 3
    assert archive.files() == filed


def test_a_range_files_each_new_snapshot(crawl, feed, archive):
    feed.set(clock=CLOCK, advance=5)
    run = crawl(start="2025-12-05T12:00", end="2025-12-05T12:10")
    assert (run.status, run.outcomes) == (0, {"stored": 3})
    refs = [archive.document(path)["data"]["RefId"] for path in archive.files()]
    assert refs == ["2025-12-05T12:35:00Z", "2025-12-05T12:40:00Z", "2025-12-05T12:45:00Z"]


def test_all_outcomes_are_counted_and_add_up(crawl, feed, archive):
    feed.set(clock=CLOCK)
    assert crawl(**one(0)).outcomes == {"stored": 1}
    feed.set(clock=LATER, faults=["status=404*1", "body=[]*1", "stale=1440*1", "delay=0*2"])
    run = crawl(start="2025-12-05T12:00", end="2025-12-05T12:25")
    assert run.status == 1
    assert run.outcomes == {
        "skipped": 1,
        "failed": 1,
        "invalid": 1,
        "uncovered": 1,
        "stored": 1,
        "duplicate": 1,
    }
    assert run.stats["miso/candidates"] == 6
    assert len(archive.files()) == 2


def test_a_past_range_is_uncovered_and_told_in_one_warning(crawl, feed, archive, valkey):
    feed.set(clock=CLOCK)
    env = {"REDIS_URL": valkey.url}
    run = crawl(start="2025-11-28T12:00", end="2025-11-28T12:10", env=env)
    assert (run.status, run.outcomes) == (1, {"uncovered": 3})
    assert len([line for line in run.lines("WARNING") if "history" in line]) == 1
    assert len(run.lines("WARNING")) == 1
    assert run.lines("ERROR") == []
    assert archive.files() == []
    assert [key for key in keys(valkey) if "realtime_total_load_2025" in key] == []


@pytest.mark.parametrize(
    "midnight", ["2025-12-05T05:00+00:00", "2025-12-06T05:00+00:00"], ids=["before", "after"]
)
def test_the_market_day_decides_what_is_covered(crawl, feed, midnight):
    feed.set(clock=CLOCK)
    midnight = datetime.fromisoformat(midnight)
    start = midnight - timedelta(minutes=5)
    run = crawl(start=start.isoformat(), end=midnight.isoformat())
    assert run.outcomes == {"stored": 1, "uncovered": 1}


def test_just_after_midnight_est_the_last_interval_of_yesterday_covers(crawl, feed, archive):
    feed.set(clock="2025-12-06T04:55:00+00:00")
    run = crawl(start="2025-12-06T05:00", end="2025-12-06T05:15")
    assert run.outcomes == {"stored": 1, "duplicate": 2, "uncovered": 1}


def test_coverage_can_be_waived_and_the_document_says_so(crawl, feed, archive):
    feed.set(clock=CLOCK)
    run = crawl(
        start="2025-11-28T12:00", end="2025-11-28T12:05", env={"MISO_REQUIRE_COVERAGE": "0"}
    )
    assert (run.status, run.outcomes) == (0, {"stored": 1, "duplicate": 1})
    assert archive.only()["collection_metadata"]["covered"] is False


def test_what_failed_or_was_invalid_is_not_registered_and_is_tried_again(crawl, feed, valkey):
    env = {"REDIS_URL": valkey.url}
    feed.set(clock=CLOCK, faults=["status=404*1", "body={}*1"])
    noon = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:05"}
    run = crawl(**noon, env=env)
    assert (run.status, run.outcomes) == (1, {"failed": 1, "invalid": 1})
    assert [key for key in keys(valkey) if "realtime_total_load_2025" in key] == []
    run = crawl(**noon, env=env)
    assert (run.status, run.outcomes) == (0, {"stored": 1, "duplicate": 1})


def test_force_files_again_what_is_registered_with_a_fresh_answer(crawl, feed, archive, valkey):
    env = {"REDIS_URL": valkey.url}
    feed.set(clock=CLOCK)
    crawl(**one(0), env=env, interval=1)
    name = f"dev:miso_realtime_total_load:{NOON}"
    before = valkey.client.get(name)
    feed.set(clock=LATER)
    run = crawl(**one(0), force=1, env=env, interval=1)
    assert (run.status, run.outcomes) == (0, {"stored": 1})
    assert len(feed.requests) == 2
    assert archive.only()["data"]["RefId"] == "2025-12-05T12:45:00Z"
    after = valkey.client.get(name)
    assert after != before
    assert valkey.client.get(f"dev:miso_realtime_total_load:md5:{after}") == NOON


def test_skip_hash_check_files_everything_and_touches_no_registry(crawl, feed, archive, valkey):
    feed.set(clock=CLOCK)
    noon = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:05", "skip_hash_check": 1}
    run = crawl(**noon, env={"REDIS_URL": valkey.url})
    assert (run.status, run.outcomes) == (0, {"stored": 2})
    # What is there stays, even so: only force=1 overwrites.
    before = [archive.document(path) for path in archive.files()]
    feed.set(clock=LATER)
    run = crawl(**noon, env={"REDIS_URL": valkey.url})
    assert (run.status, run.outcomes) == (0, {"duplicate": 2})
    assert [archive.document(path) for path in archive.files()] == before
    assert keys(valkey) == []
    assert len(before) == 2


def test_a_forced_overwrite_leaves_nobody_registered_without_a_file(crawl, feed, archive, valkey):
    env = {"REDIS_URL": valkey.url}
    feed.set(clock=CLOCK)
    assert crawl(**one(0), env=env).outcomes == {"stored": 1}
    assert crawl(**one(5), env=env).outcomes == {"duplicate": 1}
    feed.set(clock=LATER)
    assert crawl(**one(0), env=env, force=1).outcomes == {"stored": 1}
    # The content of both was in the one file that was overwritten: the other is asked for again.
    feed.set(clock=CLOCK)
    assert crawl(**one(5), env=env).outcomes == {"stored": 1}
    feed.set(clock=CLOCK)
    assert crawl(**one(5), env=env).outcomes == {"skipped": 1}
    assert len(archive.files()) == 2


def test_an_interrupted_range_resumes(crawl, feed, archive, environment, tmp_path):
    feed.set(clock=CLOCK, advance=5, faults=["delay=0*2", "delay=300*1"])
    args = ("-a", "start=2025-12-05T12:00", "-a", "end=2025-12-05T12:15")
    with started(tmp_path, environment, *args, "-s", "MISO_MIN_INTERVAL=0") as process:
        read_until(process, " stored realtime_total_load", times=2)
        process.kill()
        process.wait()
    filed = archive.files()
    assert len(filed) == 2
    feed.set(clock=LATER, advance=5)  # killed before or after it asked for the third
    run = crawl(start="2025-12-05T12:00", end="2025-12-05T12:15")
    assert (run.status, run.outcomes) == (0, {"skipped": 2, "stored": 2})
    assert archive.files()[:2] == filed


def test_what_is_scraped_is_the_record_of_what_was_filed_not_the_payload(
    crawl, feed, archive, tmp_path
):
    feed.set(clock=CLOCK)
    size = len(live_body(feed))
    record = tmp_path / "items.json"
    crawl(**one(0), settings={"FEEDS": json.dumps({str(record): {"format": "json"}})})
    (item,) = json.loads(record.read_text())
    assert item["identifier"] == NOON
    assert item["location"].endswith(archive.files()[0])
    assert len(item["fingerprint"]) == 32
    assert item["ref_id"] == "2025-12-05T12:35:00Z"
    assert item["candidate"] == "2025-12-05T12:00:00Z"
    assert (tmp_path / "data" / archive.files()[0]).stat().st_size in item.values()
    assert record.stat().st_size < size / 4
