"""Follow mode: a range that reaches into the future is fetched as its candidates come due."""

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from miso_scrapy.feed.candidate import floor_to_interval
from tests.support.crawl import Run, read_until, started
from tests.support.project import SCRAPY

faketime = pytest.mark.skipif(
    not shutil.which("faketime"), reason="needs Debian's package faketime (as root)"
)


@pytest.fixture
def sped_up(tmp_path, environment, valkey):
    """Run a crawl whose clock runs 60 times as fast: a minute of the feed is a second."""

    def run(**arguments):
        args = [part for item in arguments.items() for part in ("-a", "{}={}".format(*item))]
        done = subprocess.run(
            ["faketime", "-f", "+0 x60", SCRAPY, "crawl", "miso_rtload", *args],
            cwd=tmp_path,
            # Time-outs run by the fast clock, too.
            env={
                **environment,
                "REDIS_URL": f"{valkey.url}?socket_timeout=600&socket_connect_timeout=600",
                "REGISTRY_CLAIM_TTL": "600",
                "DOWNLOAD_TIMEOUT": "600",
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
        return Run(done.returncode, done.stdout + done.stderr)

    return run


def _libfaketime():
    """The library that the command `faketime` preloads."""
    command = ["faketime", "now", "printenv", "LD_PRELOAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def iso(instant):
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


@faketime
def test_a_range_into_the_future_catches_up_and_then_follows(sped_up, feed, archive):
    now = floor_to_interval(datetime.now(UTC))
    first, last = now - timedelta(minutes=10), now + timedelta(minutes=15)
    feed.set(clock=first.isoformat(), advance=5)
    run = sped_up(start=iso(first), end=iso(last))
    assert run.status == 0, run.log
    # Past candidates share the answer of a minute; those to come are fetched one by one.
    assert run.outcomes.get("stored", 0) + run.outcomes.get("duplicate", 0) == 6
    # (Minutes are seconds here: a slow start may find the first of these overdue, too.)
    assert run.outcomes["stored"] >= 3
    fetched = [
        datetime.fromisoformat(archive.document(path)["collection_metadata"]["collected_at"])
        for path in archive.files()
        if datetime.strptime(path[-23:-8], "%Y%m%d_%H%M%S").replace(tzinfo=UTC) > now
    ]
    assert len(fetched) >= 2
    for path in archive.files():
        candidate = datetime.strptime(path[-23:-8], "%Y%m%d_%H%M%S").replace(tzinfo=UTC)
        collected = archive.document(path)["collection_metadata"]["collected_at"]
        assert datetime.fromisoformat(collected) >= candidate + timedelta(seconds=60)
    assert datetime.fromisoformat(collected) < last + timedelta(minutes=6)  # the next one's turn


def test_a_candidate_to_come_is_not_fetched_before_it_is_due_and_a_stop_is_obeyed_at_once(
    feed, environment, tmp_path
):
    start = floor_to_interval(datetime.now(UTC)) + timedelta(hours=1)
    args = ("-a", f"start={iso(start)}", "-a", f"end={iso(start + timedelta(days=1))}")
    with started(tmp_path, {**environment, "LOG_FORMAT": "json"}, *args) as process:
        read_until(process, "Candidates: 289")
        process.terminate()
        said = [json.loads(line) for line in process.stdout]
        process.wait(20)
    assert process.returncode == 0
    assert feed.requests == []
    assert "Received SIGTERM" in said[0]["message"]
    assert [line["message"] for line in said[-2:]] == ["Spider closed (shutdown)", "0 candidates"]
    told, closed = (datetime.fromisoformat(line["time"]) for line in (said[0], said[-1]))
    assert closed - told < timedelta(seconds=1)


@faketime
def test_a_clock_that_jumps_fetches_what_is_overdue_at_once_and_nothing_twice(
    feed, environment, archive, valkey, tmp_path
):
    feed.set(clock="2025-12-05T12:55:00+00:00", advance=5, faults=["delay=0*1", "delay=2*1"])
    clock = tmp_path / "clock"

    def jump(instant):
        """Let the run's clock, which goes on from there, show *instant*."""
        later = clock.with_suffix(".later")
        later.write_text(f"@2025-12-05 {instant}:00\n")
        later.replace(clock)

    jump("12:30")
    env = {
        **environment,
        "REDIS_URL": valkey.url,
        "TZ": "UTC",
        "LD_PRELOAD": _libfaketime(),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # that one never jumps
    }
    hour = ("-a", "start=2025-12-05T13:00", "-a", "end=2025-12-05T13:15")
    with started(tmp_path, env, *hour, "-s", "MISO_MIN_INTERVAL=0") as process:
        read_until(process, "Candidates: 4")
        assert feed.requests == []
        jump("13:13")  # as a machine that wakes up finds it: three are overdue
        read_until(process, " stored realtime_total_load_20251205_130000")
        jump("12:40")  # while the second is being fetched
        read_until(process, " stored realtime_total_load_20251205_130500")
        jump("13:20")
        said = read_until(process, "Spider closed (finished)")
        process.wait(20)
    assert process.returncode == 0, said
    assert len(feed.requests) == 4
    assert [path[-14:-8] for path in archive.files()] == ["130000", "130500", "131000", "131500"]


@faketime
def test_after_a_failure_a_followed_range_goes_on_with_its_next_candidate(
    feed, environment, archive, valkey, tmp_path
):
    feed.set(clock="2025-12-05T12:30:00+00:00", advance=5, faults=["status=404*1"])
    clock = tmp_path / "clock"

    def jump(instant):
        later = clock.with_suffix(".later")
        later.write_text(f"@2025-12-05 {instant}:00\n")
        later.replace(clock)

    jump("12:30")
    env = {
        **environment,
        "REDIS_URL": valkey.url,
        "MISO_MIN_INTERVAL": "1",
        "TZ": "UTC",
        "LD_PRELOAD": _libfaketime(),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    some = ("-a", "start=2025-12-05T12:20", "-a", "end=2025-12-05T12:35")
    with started(tmp_path, env, *some) as process:
        said = read_until(process, "failed 2 candidates")
        assert "realtime_total_load_20251205_122000.json to " in said[-1]
        jump("12:32")
        read_until(process, " stored realtime_total_load_20251205_123000")
        jump("12:37")
        read_until(process, "4 candidates: ")
        process.wait(20)
    assert process.returncode == 1
    assert len(feed.requests) in (
        2,
        3,
    )  # the last one may be served by the answer of the one before
    assert archive.files()[0][-14:-8] == "123000"


def test_an_overdue_range_is_not_waited_for(crawl, feed):
    start = floor_to_interval(datetime.now(UTC)) - timedelta(minutes=5)
    feed.set(clock=start.isoformat(), advance=5)
    run = crawl(start=iso(start), end=iso(start), env={"MISO_PUBLISH_DELAY": "100000"})
    assert run.outcomes == {"stored": 1}
    assert os.environ.get("FAKETIME") is None
