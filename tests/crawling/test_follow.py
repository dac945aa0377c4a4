"""Follow mode: a range that reaches into the future is fetched as its candidates come due."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from miso_scrapy.feed.candidate import floor_to_interval
from miso_scrapy.feed.shape import normalise
from tests.support.archive_reader import Archive
from tests.support.crawl import Run, read_until, started
from tests.support.faketime import faketime, libfaketime
from tests.support.fast_clock import FastClock, FastValkey, PublishedFeed, SteppedClock
from tests.support.project import SCRAPY
from tests.support.servers import free_port


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
        "LD_PRELOAD": libfaketime(),
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
        "LD_PRELOAD": libfaketime(),
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


# --- Without an end -------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [{}, {"start": "now"}], ids=["no start", "start=now"])
def test_without_an_end_a_run_follows_until_it_is_told_to_stop(
    start, feed, environment, archive, tmp_path
):
    args = [part for item in start.items() for part in ("-a", "{}={}".format(*item))]
    env = {**environment, "MISO_MIN_INTERVAL": "60"}
    before = floor_to_interval(datetime.now(UTC) - timedelta(seconds=60))
    with started(tmp_path, env, "-a", "follow=1", *args) as process:
        said = read_until(process, " stored realtime_total_load_")
        process.terminate()
        rest, _ = process.communicate(timeout=20)
    run = Run(process.returncode, "".join(said) + rest)
    assert run.status == 0, run.log
    assert not run.lines("WARNING") + run.lines("ERROR")
    # It ends within a second of the signal, by the times of its log, which are whole seconds.
    first, *_, last = re.findall(r"^\S+ \S+Z(?= \[)", rest, re.MULTILINE)
    assert "Received SIGTERM" in rest.splitlines()[0]
    assert datetime.fromisoformat(last) - datetime.fromisoformat(first) <= timedelta(seconds=1)
    (line,) = [line for line in said if "Following " in line]
    due = datetime.fromisoformat(line.rpartition("is due at ")[2].strip())
    assert due in (before + timedelta(minutes=minutes, seconds=60) for minutes in (5, 10))
    assert "until told to stop" in line
    # The snapshot that is there, at once; the current candidate waits for the next one.
    assert len(feed.requests) == 1
    assert run.outcomes == {"stored": 1, "duplicate": 1}
    (path,) = archive.files()
    assert archive.only()["data"]["RefId"] >= iso(before)
    assert iso(before - timedelta(minutes=5)).replace("-", "")[:8] in path


def test_an_end_can_be_given_and_one_of_the_past_ends_the_run(crawl, feed):
    feed.set(clock="2025-12-05T12:10:00+00:00", advance=5)
    run = crawl(follow=1, start="2025-12-05T12:00", end="2025-12-05T12:10")
    assert (run.status, run.outcomes) == (0, {"stored": 3}), run.log
    (line,) = [line for line in run.log.splitlines() if "Following " in line]
    assert "Following 2025-12-05T12:00:00Z to 2025-12-05T12:10:00Z, and no further, " in line
    assert line.endswith(": all of them are due")


@faketime
def test_a_run_without_an_end_goes_on_with_the_time_that_a_clock_shows_that_was_set_back(
    feed, environment, archive, valkey, tmp_path
):
    feed.set(clock="2025-12-05T12:30:00+00:00", advance=5)
    clock = SteppedClock(tmp_path, steady=True)
    clock.set(datetime(2025, 12, 5, 12, 32, tzinfo=UTC))
    env = {**environment, "REDIS_URL": valkey.url, **clock.environment()}
    with started(tmp_path, env, "-a", "follow=1", "-a", "start=2025-12-05T12:25") as process:
        read_until(process, " stored realtime_total_load_20251205_123000")
        clock.set(datetime(2025, 12, 5, 15, 2, tzinfo=UTC))
        read_until(process, " stored realtime_total_load_20251205_150000")
        clock.set(datetime(2025, 12, 5, 12, 42, tzinfo=UTC))
        said = read_until(process, "The clock was set back to 2025-12-05T12:4")
        assert "going on with the candidate 2025-12-05T12:45:00Z" in said[-1]
        clock.set(datetime(2025, 12, 5, 15, 7, tzinfo=UTC))
        read_until(process, " stored realtime_total_load_20251205_150500")
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 0


@faketime
def test_candidates_whose_market_day_is_over_are_told_and_not_asked_for(
    feed, environment, archive, valkey, tmp_path
):
    feed.set(clock="2025-12-05T12:30:00+00:00", advance=5)
    clock = SteppedClock(tmp_path, steady=True)
    clock.set(datetime(2025, 12, 5, 12, 32, tzinfo=UTC))
    env = {**environment, "REDIS_URL": valkey.url, **clock.environment()}
    with started(tmp_path, env, "-a", "follow=1", "-a", "start=2025-12-05T12:30") as process:
        read_until(process, " stored realtime_total_load_20251205_123000")
        feed.set(clock="2025-12-06T05:25:00+00:00", advance=5)
        clock.set(datetime(2025, 12, 6, 5, 27, tzinfo=UTC))
        said = read_until(process, " stored realtime_total_load_20251206_050000")
        read_until(process, " stored realtime_total_load_20251206_052500")
        process.terminate()
        rest, _ = process.communicate(timeout=30)
    (line,) = [line for line in said if "WARNING" in line]
    assert "uncovered 197 candidates, 2025-12-05T12:35:00Z to 2025-12-06T04:55:00Z: " in line
    run = Run(process.returncode, rest)
    assert run.outcomes == {"stored": 7, "uncovered": 197}
    assert len(feed.requests) == 7
    assert run.stats["miso/quarantined"] == 0


# --- Servers that are down ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", ["refused", "status=404", "status=503", "html", "reset", "cut", "delay=5"]
)
def test_a_feed_that_is_down_is_told_in_the_words_of_a_run_that_ends(
    fault, crawl, feed, environment, tmp_path
):
    environment.update(RETRY_TIMES="0", DOWNLOAD_TIMEOUT="0.5")
    if fault == "refused":
        environment["MISO_API_URL"] = f"http://127.0.0.1:{free_port()}/api"
    else:
        feed.set(faults=[fault])
    run = crawl()
    (line,) = [line for line in run.log.splitlines() if " failed realtime_total_load_" in line]
    reason, advice = line.partition(".json: ")[2].split("; ", 1)
    assert f" from {environment['MISO_API_URL']}" in reason
    with started(tmp_path, environment, "-a", "follow=1") as process:
        told = read_until(process, "Waiting for the feed: ")[-1]
    assert f"Waiting for the feed: {reason}; " in told
    assert told.endswith("; it is asked until it answers\n")
    # It goes on by itself.
    fix = advice.removesuffix("run the same range again").removesuffix(", then ")
    assert f"; {fix}; it is asked" in told if fix else told.count("; ") == 1


# --- No snapshot slips through --------------------------------------------------------------------

JITTER = 90
PUBLISHED = 15


@faketime
def test_each_published_snapshot_is_filed_at_any_phase(environment, tmp_path):
    """The feed publishes a snapshot around the time at which the run asks, or between two such times."""
    with contextlib.ExitStack() as stack:
        runs = []
        for phase in (0, 45, 150):
            place = tmp_path / str(phase)
            place.mkdir()
            clock = FastClock(datetime(2025, 12, 5, 12, tzinfo=UTC), 75)
            begin = datetime(2025, 12, 5, 12, 1, tzinfo=UTC)
            feed = stack.enter_context(
                PublishedFeed(clock, begin, 3 * PUBLISHED, phase, JITTER, seed=phase)
            )
            valkey = stack.enter_context(FastValkey(clock, place))
            env = {
                **environment,
                **clock.environment(),
                "MISO_API_URL": feed.url,
                "REDIS_URL": valkey.url,
                "MISO_DATA_DIR": str(place / "data"),
                "MISO_MIN_INTERVAL": "60",
                "REGISTRY_CLAIM_TTL": "600",
                "DOWNLOAD_TIMEOUT": "6000",
            }
            run = stack.enter_context(started(place, env, "-a", "follow=1"))
            read_until(run, "Following ")
            runs.append((run, feed, clock, place))
        for run, feed, clock, place in runs:
            later = [(at, body) for at, body in feed.published if at > feed.began()]
            expected = later[:PUBLISHED]
            wanted = {normalise(orjson.loads(body))["RefId"] for _, body in expected}
            archive = Archive(place / "data")
            filed = set()
            clock.wait_until(expected[-1][0])
            patience = expected[-1][0] + timedelta(seconds=3000)  # for a machine that is busy
            while not wanted <= filed and clock.now() < patience:
                time.sleep(0.1)
                filed = {archive.document(path)["data"]["RefId"] for path in archive.files()}
            run.send_signal(signal.SIGTERM)
            log, _ = run.communicate(timeout=30)
            assert wanted <= filed, (sorted(wanted - filed), feed.asked, feed.published, log)
            assert min(feed.gaps()) >= 60
            assert Run(run.returncode, log).stats["miso/asked_again"] > 0
