"""A lost Redis is no loss: `scrapy reindex` rebuilds the registry from the archive."""

import gzip
import hashlib
import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from miso_scrapy.simulator.load import snapshot
from tests.support.archive_reader import PREFIX, ROOT, Witness
from tests.support.stores import Directory, filed, place_of, places, quarantined
from tests.support.terminal import at_a_terminal

CLOCK = "2025-12-05T12:35:00+00:00"
RANGE = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:10"}
ANOTHER = {"start": "2025-12-05T14:00", "end": "2025-12-05T14:00"}
IDENTIFIERS = [
    f"realtime_total_load_20251205_{time}.json" for time in ("120000", "120500", "121000")
]
FILED = f"{ROOT}2025/12/05/realtime_total_load_20251205_{{}}.json.gz"


def document(number=0):
    """A filed document, made by hand: (its key, its bytes)."""
    candidate = datetime(2025, 12, 5, 12, tzinfo=UTC) + number * timedelta(minutes=5)
    text = candidate.isoformat().replace("+00:00", "Z")
    found = {
        "data": snapshot(number, candidate, documented=True),
        "collection_metadata": {
            "collected_at": text,
            "source_url": "http://localhost/api/RealTimeTotalLoad",
            "data_type": "realtime_total_load",
            "source": "miso",
            "date": text[:10],
            "timestamp": text,
        },
    }
    return FILED.format(candidate.strftime("%H%M%S")), gzip.compress(json.dumps(found).encode())


def registry(valkey):
    """Return {name: value} of what is registered; every such key expires."""
    names = [
        name
        for name in valkey.client.scan_iter(f"{PREFIX}*")
        if name.removeprefix(PREFIX).startswith(("realtime_", "md5:"))
    ]
    assert all(0 < valkey.client.ttl(name) <= 365 * 24 * 3600 for name in names)
    return {name: valkey.client.get(name) for name in names}


# --- Rebuilt ----------------------------------------------------------------------------------


@places
def test_a_flushed_registry_is_rebuilt_as_it_was(kind, request, crawl, scrapy, feed, valkey):
    place = place_of(request, kind)
    env = {"REDIS_URL": valkey.url, **place.env}
    feed.set(clock=CLOCK, advance=5)
    assert crawl(**RANGE, env=env).outcomes == {"stored": 3}
    before, files = registry(valkey), place.files()
    valkey.client.flushall()

    done = scrapy("reindex", env=env)
    assert done.returncode == 0, done.stderr
    assert registry(valkey) == before
    assert len(before) == 6
    witness = Witness(place.files(), valkey.client)
    witness.all_promises()
    witness.nothing_left_open()

    feed.requests.clear()
    run = crawl(**RANGE, env=env)
    assert (run.status, run.outcomes) == (0, {"skipped": 3})
    assert feed.requests == []
    assert place.files() == files


def test_the_embedded_registry_is_rebuilt_where_it_was(crawl, scrapy, feed, archive):
    feed.set(clock=CLOCK, advance=5)
    assert crawl(**RANGE).outcomes == {"stored": 3}
    shutil.rmtree(archive.root / ".registry")
    done = scrapy("reindex")
    assert done.returncode == 0, done.stderr
    feed.requests.clear()
    assert crawl(**RANGE).outcomes == {"skipped": 3}
    assert feed.requests == []


def test_it_can_be_run_again_and_changes_nothing(scrapy, valkey, archive):
    place = Directory(archive.root)
    for number in range(3):
        place.put(*document(number))
    env = {"REDIS_URL": valkey.url}
    files = place.files()
    done = [scrapy("reindex", env=env)]
    before = registry(valkey)
    done += [scrapy("reindex", env=env)]
    assert [run.returncode for run in done] == [0, 0]
    assert done[0].stdout == done[1].stdout
    assert registry(valkey) == before
    assert len(before) == 6
    assert place.files() == files


def test_the_quarantine_is_known_again(crawl, scrapy, feed, valkey, archive):
    place, env = Directory(archive.root), {"REDIS_URL": valkey.url}
    feed.serve("[]")
    assert crawl(**ANOTHER, env=env).outcomes == {"invalid": 1}
    (key,) = quarantined(place)
    # As if it had been kept on a day long past.
    kept = archive.root / ROOT / "quarantine/2025/01/01"
    kept.parent.mkdir(parents=True)
    (archive.root / key).parent.rename(kept)
    valkey.client.flushall()
    assert scrapy("reindex", env=env).returncode == 0
    run = crawl(**ANOTHER, env=env)
    assert run.outcomes == {"invalid": 1}
    assert run.stats["miso/quarantined"] == 1
    assert len(quarantined(place)) == 1


# --- What is not a filed document -------------------------------------------------------------


@places
def test_what_cannot_be_read_is_named_and_the_rest_registered(kind, request, scrapy, valkey):
    place = place_of(request, kind)
    key, whole = document(0)
    place.put(key, whole)
    bad = {
        "130000": whole[: len(whole) // 2],
        "130500": b"not gzip",
        "131000": b"",
        "131500": gzip.compress(b"{"),
        "132000": gzip.compress(b"[1]"),
        "132500": gzip.compress(b'{"data": []}'),
        "133000": gzip.compress(b'{"collection_metadata": {}}'),
    }
    for time, body in bad.items():
        place.put(FILED.format(time), body)
    # None of these is a file of the archive's, and none is spoken of.
    foreign = [
        f"{ROOT}2025/12/05/.realtime_total_load_20251205_140000.json.gz.x1",
        f"{ROOT}2025/12/05/.tmp12345",
        f"{ROOT}2025/12/05/notes.txt",
        f"{ROOT}2025/12/05/realtime_total_load_20251205_140000.json",
        f"{ROOT}README.md",
        "sourcing/another_data_group/2025/12/05/realtime_total_load_20251205_140500.json.gz",
    ]
    for name in foreign:
        place.put(name, b"something else")

    done = scrapy("reindex", env={"REDIS_URL": valkey.url, **place.env})
    told = done.stdout + done.stderr
    assert done.returncode == 1
    assert "Traceback" not in told
    for time in bad:
        lines = [line for line in told.splitlines() if f"20251205_{time}" in line]
        assert len(lines) == 1, told
    assert "_1400" not in told
    assert ".tmp" not in told
    assert "notes" not in told
    content = json.loads(gzip.decompress(whole))["data"]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    md5 = hashlib.md5(text.encode()).hexdigest()
    expected = {f"{PREFIX}{IDENTIFIERS[0]}": md5, f"{PREFIX}md5:{md5}": IDENTIFIERS[0]}
    assert registry(valkey) == expected


# --- --announce -------------------------------------------------------------------------------


def test_announce_owes_a_message_per_file_that_the_next_crawl_sends(
    request, crawl, scrapy, feed, valkey, topic
):
    place = place_of(request, "S3")
    env = {"REDIS_URL": valkey.url, **topic.settings, **place.env}
    feed.set(clock=CLOCK, advance=5)
    assert crawl(**RANGE, env=env).outcomes == {"stored": 3}
    first = topic.messages()
    assert sorted(key for key, _ in first) == IDENTIFIERS
    valkey.client.flushall()

    assert scrapy("reindex", "--announce", env=env).returncode == 0
    assert sorted(Witness(place.files(), valkey.client).outbox) == IDENTIFIERS
    assert len(topic.messages()) == 3

    run = crawl(**ANOTHER, env=env)
    assert (run.status, run.outcomes) == (0, {"stored": 1})
    assert run.stats["miso/outbox"] == 0
    second = dict(topic.messages()[3:])
    assert sorted(second) == [*IDENTIFIERS, "realtime_total_load_20251205_140000.json"]
    # What is said of a file is what was said when it was stored.
    assert {key: second[key] for key in IDENTIFIERS} == dict(first)


# --- Progress ---------------------------------------------------------------------------------


def test_in_a_pipe_there_is_no_progress_bar(scrapy, archive):
    for number in range(20):
        Directory(archive.root).put(*document(number))
    done = scrapy("reindex")
    assert done.returncode == 0
    assert "\r" not in done.stdout + done.stderr
    assert "%" not in done.stdout + done.stderr
    assert "20 files" in done.stdout + done.stderr


@pytest.mark.parametrize("size", [(0, 0), (24, 80)])
def test_on_a_terminal_there_is_a_progress_bar(environment, tmp_path, archive, size):
    for number in range(20):
        Directory(archive.root).put(*document(number))
    shown = at_a_terminal(["reindex"], tmp_path, environment, *size)
    assert "\r" in shown.replace("\r\n", "\n")
    assert "20 files" in shown.rpartition("\r")[0]


# --- Without it -------------------------------------------------------------------------------


@places
def test_without_a_reindex_the_same_range_adopts_what_is_there(
    kind, request, crawl, feed, valkey, topic
):
    place = place_of(request, kind)
    env = {"REDIS_URL": valkey.url, **topic.settings, **place.env}
    feed.set(clock=CLOCK, advance=5)
    assert crawl(**RANGE, env=env).outcomes == {"stored": 3}
    files, before = place.files(), registry(valkey)
    valkey.client.flushall()

    feed.set(clock=CLOCK, advance=5, seed=1)  # the feed has other content for the same candidates
    run = crawl(**RANGE, env=env)
    assert run.status == 0, run.log
    assert "Traceback" not in run.log
    assert filed(place) == files
    assert registry(valkey) == before
    assert sorted(key for key, _ in topic.messages()) == sorted(2 * IDENTIFIERS)
    witness = Witness(place.files(), valkey.client, topic.messages())
    witness.all_promises()
    witness.nothing_left_open()


@pytest.mark.parametrize("command", ["reindex", "requeue"])
def test_a_registry_that_cannot_be_reached_is_told_in_one_line(command, scrapy, archive):
    Directory(archive.root).put(*document())
    done = scrapy(command, env={"REDIS_URL": "redis://127.0.0.1:1/0"})
    told = done.stdout + done.stderr
    assert done.returncode == 1
    assert "Traceback" not in told
    assert len([line for line in told.splitlines() if "127.0.0.1:1" in line]) == 1, told
