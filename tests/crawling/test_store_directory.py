"""What is filed in a directory: where, and with what in it."""

import json
import os
import resource
import threading
import time
from datetime import UTC, datetime

from miso_scrapy.store.directory import DirectoryStore

CLOCK = "2025-12-05T12:35:00+00:00"
NOON = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:00"}
KEY = "sourcing/miso_realtime_total_load/2025/12/05/realtime_total_load_20251205_120000.json.gz"
ARRAYS = {
    "ClearedMW": ("Hour", "Value"),
    "MediumTermLoadForecast": ("HourEnding", "LoadForecast"),
    "FiveMinTotalLoad": ("Time", "Value"),
}
LIVE = {
    "LoadInfo": {
        "RefId": "05-Dec-2025 - Interval 07:35 EST",
        "ClearedMW": [
            {"ClearedMWHourly": {"Hour": "1", "Value": "84,172", "Zone": "north"}},
            {"ClearedMWHourly": {"Hour": "1", "Value": "84173"}},
        ],
        "MediumTermLoadForecast": [{"Forecast": {"HourEnding": "24", "LoadForecast": "91.5"}}],
        "FiveMinTotalLoad": [],
        "Region": "all",
    }
}


def test_a_snapshot_is_filed_under_its_candidate(crawl, feed, archive, tmp_path):
    feed.set(clock=CLOCK)
    before = datetime.now(UTC)
    run = crawl(**NOON)
    assert run.outcomes == {"stored": 1}
    assert archive.files() == [KEY]
    document = archive.only()
    assert set(document) == {"data", "collection_metadata"}
    metadata = document["collection_metadata"]
    collected_at = datetime.fromisoformat(metadata.pop("collected_at"))
    assert before <= collected_at <= datetime.now(UTC)
    assert metadata["source_url"] == feed.url
    assert metadata["data_type"] == "realtime_total_load"
    assert metadata["source"] == "miso"
    assert metadata["date"] == "2025-12-05"
    assert metadata["timestamp"] == "20251205_120000"
    assert metadata["covered"] is True
    assert "05-Dec-2025 - Interval 07:35 EST" in metadata.values()
    # Nothing half-written is left beside it.
    beside = [path.name for path in (tmp_path / "data" / "sourcing").rglob("*") if path.is_file()]
    assert sorted(beside) == ["archive.json", "realtime_total_load_20251205_120000.json.gz"]
    # gzip with a header that is the same whenever and wherever it is written.
    packed = (archive.root / KEY).read_bytes()
    assert packed[:2] == b"\x1f\x8b"
    assert packed[3] == 0, "the header holds a name, a comment or more"
    assert packed[4:8] == bytes(4), "the header holds a time"


def test_the_documented_shape_is_filed_whichever_shape_came(crawl, feed, archive):
    feed.set(clock=CLOCK, faults=["delay=0*1", "documented*1"])
    run = crawl(start="2025-12-05T12:00", end="2025-12-05T12:05", skip_hash_check=1)
    assert run.outcomes == {"stored": 2}
    filed = [archive.document(path)["data"] for path in archive.files()]
    for data in filed:
        assert data["RefId"] == "2025-12-05T12:35:00Z"
        assert set(data) == {"RefId", "Simulated", *ARRAYS}
        for array, (label, number) in ARRAYS.items():
            assert data[array]
            for record in data[array]:
                assert set(record) == {label, number}
                assert isinstance(record[label], str)
                assert type(record[number]) in (int, float)
    live, documented = (
        [[record[number] for record in data[array]] for array, (_, number) in ARRAYS.items()]
        for data in filed
    )
    assert live == documented


def test_a_new_directory_s_name_is_made_durable_and_nothing_more_where_all_are_there(
    tmp_path, monkeypatch
):
    synced = []
    fsync = os.fsync

    def recorded(descriptor):
        synced.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    store = DirectoryStore(tmp_path / "data")
    store.check()
    store.put(KEY, b"snapshot", {})
    directory = (store.root / KEY).parent
    above = [path for path in directory.parents if path.is_relative_to(tmp_path)]
    assert {path.stat().st_ino for path in (directory, *above)} <= set(synced)
    synced.clear()
    store.put(KEY.replace("_1200", "_1205"), b"snapshot", {})
    assert len(synced) == 2  # the file and its name
    assert directory.stat().st_ino in synced


def test_numbers_become_numbers_and_nothing_is_lost(crawl, feed, archive):
    feed.serve(json.dumps(LIVE))
    run = crawl(**NOON)
    assert run.outcomes == {"stored": 1}
    assert archive.only()["data"] == {
        "RefId": "2025-12-05T12:35:00Z",
        "ClearedMW": [
            {"Hour": "1", "Value": 84172, "Zone": "north"},
            {"Hour": "1", "Value": 84173},
        ],
        "MediumTermLoadForecast": [{"HourEnding": "24", "LoadForecast": 91.5}],
        "FiveMinTotalLoad": [],
        "Region": "all",
    }


def test_the_data_directory_can_be_chosen(crawl, feed, tmp_path):
    feed.set(clock=CLOCK)
    chosen = tmp_path / "else where"
    run = crawl(**NOON, settings={"MISO_DATA_DIR": str(chosen)})
    assert run.outcomes == {"stored": 1}
    assert (chosen / KEY).is_file()
    assert not (tmp_path / "data").exists()


def test_a_data_directory_that_cannot_be_is_told_before_anything_is_fetched(crawl, feed, tmp_path):
    (tmp_path / "file").write_text("not a directory")
    run = crawl(**NOON, env={"MISO_DATA_DIR": str(tmp_path / "file")})
    assert run.status == 1
    assert feed.requests == []
    assert len(run.lines("ERROR") + run.lines("CRITICAL")) <= 1
    assert len([line for line in run.log.splitlines() if str(tmp_path / "file") in line]) == 1
    assert "Traceback" not in run.log


def test_a_file_that_cannot_be_written_is_failed_and_not_registered(crawl, feed, archive, valkey):
    feed.set(clock=CLOCK)
    (archive.root / KEY).parent.parent.mkdir(parents=True)
    (archive.root / KEY).parent.write_text("in the way")
    run = crawl(**NOON, env={"REDIS_URL": valkey.url})
    assert (run.status, run.outcomes) == (1, {"failed": 1})
    (line,) = run.lines("ERROR")
    assert "realtime_total_load_20251205_120000.json" in line
    assert "Traceback" not in run.log
    name = "dev:miso_realtime_total_load:realtime_total_load_20251205_120000.json"
    assert not valkey.client.exists(name)


def test_on_a_full_disk_a_file_is_written_whole_or_not_at_all(scrapy, feed, archive):
    feed.set(clock=CLOCK)
    args = [part for item in NOON.items() for part in ("-a", "=".join(item))]
    done = scrapy(
        "crawl", "miso_rtload", *args, "-a", "skip_hash_check=1", "-s", "MISO_MIN_INTERVAL=0",
        cold=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300)),
    )  # fmt: skip
    assert done.returncode == 1
    assert len(feed.requests) == 1
    assert "Traceback" not in done.stderr
    left = [path.name for path in archive.root.rglob("*") if path.is_file()]
    assert left == ["archive.json"]  # which is small enough


def test_partial_files_are_removed_only_when_no_living_run_can_be_writing_them(tmp_path):
    store = DirectoryStore(tmp_path / "data")
    store.check()
    partial = store.root / ".partial"
    for name, minutes in (("living", 0), ("slow", 50), ("dead", 70)):
        (partial / name).touch()
        then = time.time() - minutes * 60
        os.utime(partial / name, (then, then))
    store.check()
    assert {path.name for path in partial.iterdir()} == {"living", "slow"}


def test_the_directory_can_be_checked_while_living_runs_write(tmp_path):
    store = DirectoryStore(tmp_path / "data")
    store.check()
    ended = threading.Event()

    def write():
        while not ended.is_set():
            paths = [store.root / ".partial" / str(number) for number in range(200)]
            for path in paths:
                path.touch()
            for path in paths:
                path.unlink()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(300):
            store.check()
    finally:
        ended.set()
        writer.join()
