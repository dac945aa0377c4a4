"""METRICS_FILE: what Prometheus is told of a run."""

import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.crawl import read_until, started
from tests.support.faketime import Clock, faketime
from tests.support.metrics_file import OUTCOMES, SUCCESS, Metrics
from tests.support.servers import free_port
from tests.support.tcp_proxy import Proxy

FAILURE = "miso_last_failure_timestamp_seconds"
NEWEST = "miso_newest_interval_timestamp_seconds"
HEARTBEAT = "miso_heartbeat_timestamp_seconds"


@pytest.fixture
def metrics(tmp_path):
    (tmp_path / "textfile").mkdir()
    return Metrics(tmp_path / "textfile" / "miso.prom")


def test_a_good_run_and_then_an_outage(crawl, feed, archive, metrics, tmp_path):
    now = datetime.now(UTC)
    feed.set()
    run = crawl(start=now.isoformat(), env=metrics.settings)
    assert run.outcomes == {"stored": 1}
    good = metrics.read()
    assert set(good["candidates"]) == OUTCOMES
    assert {name: n for name, n in good["candidates"].items() if n} == {"stored": 1}
    (filed,) = archive.files()
    assert good["miso_stored_bytes"] == (tmp_path / "data" / filed).stat().st_size
    assert 0 <= good["miso_snapshot_age_seconds"] < 15 * 60
    assert 0 < good["miso_run_duration_seconds"] < 60
    assert good["miso_outbox_messages"] == 0
    assert now.timestamp() <= good[SUCCESS] <= time.time()
    assert list(metrics.path.parent.iterdir()) == [metrics.path]  # nothing half-written beside it

    feed.set(faults=["status=503"])
    run = crawl(start=(now - timedelta(minutes=5)).isoformat(), end=now.isoformat(), force=1,
                env=metrics.settings)  # fmt: skip
    assert run.status == 1
    bad = metrics.read()
    assert {name: n for name, n in bad["candidates"].items() if n} == {"failed": 2}
    assert bad["miso_stored_bytes"] == 0
    assert "miso_snapshot_age_seconds" not in bad  # nobody knows it
    assert bad[SUCCESS] == good[SUCCESS]

    # A run that could not even start.
    nowhere = {"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    run = crawl(env={**metrics.settings, **nowhere})
    assert run.status == 1
    none = metrics.read()
    assert set(none["candidates"]) == OUTCOMES
    assert not any(none["candidates"].values())
    assert none[SUCCESS] == good[SUCCESS]


def test_a_success_is_of_the_current_interval_and_of_a_feed_that_is_not_stale(crawl, feed, metrics):
    env = {**metrics.settings, "MISO_STALE_AFTER": "15", "MISO_REQUIRE_COVERAGE": "0"}
    # Until a run has been one, it is 0: an alert needs a value to compare with.
    feed.set(faults=["status=503"])
    assert crawl(env=env, settings={"RETRY_TIMES": 0}).status == 1
    assert metrics.read()[SUCCESS] == 0
    # A feed that stands still is filed, and no success.
    feed.set(faults=["stale=20"])
    run = crawl(env=env)
    assert (run.status, run.outcomes) == (0, {"stored": 1})
    assert metrics.read()[SUCCESS] == 0
    # Nor is a range of the past, whatever the feed answers.
    feed.set()
    run = crawl(start="2025-12-05T12:00", end="2025-12-05T12:00", env=env)
    assert (run.status, run.outcomes) == (0, {"stored": 1})
    assert metrics.read()[SUCCESS] == 0
    # A run that only skips has not asked: it does not know whether the feed stands still.
    began = time.time()
    run = crawl(env=env)
    assert run.status == 0
    begun = run.outcomes != {"skipped": 1}  # another interval, by chance
    assert (metrics.read()[SUCCESS] == 0) != begun
    # Of a feed that goes on, a duplicate is as good as a file of its own.
    run = crawl(env=env, force=1)
    assert (run.status, len(run.outcomes)) == (0, 1)
    good = metrics.read()[SUCCESS]
    assert began <= good <= time.time()
    # From now on that stays what it is.
    feed.set(faults=["stale=20"])
    assert crawl(env=env, force=1).status == 0
    assert metrics.read()[SUCCESS] == good


def test_what_is_skipped_counts_where_the_run_has_asked(crawl, feed, metrics):
    now = datetime.now(UTC)
    before = [(now - timedelta(minutes=minutes)).isoformat() for minutes in (25, 5)]
    # With five minutes more, the last two candidates are of the current interval for some time.
    env = {
        "ENVIRONMENT": metrics.settings["ENVIRONMENT"],
        "MISO_STALE_AFTER": "15",
        "MISO_REQUIRE_COVERAGE": "0",
        "MISO_PUBLISH_DELAY": "300",
    }
    assert crawl(start=before[1], end=now.isoformat(), env=env).status == 0
    run = crawl(start=before[0], end=now.isoformat(), env={**metrics.settings, **env})
    assert run.status == 0
    assert run.outcomes["skipped"] == 2
    assert now.timestamp() < metrics.read()[SUCCESS] <= time.time()


def test_a_requeue_has_no_current_interval(scrapy, feed, metrics):
    done = scrapy("requeue", env=metrics.settings)
    assert done.returncode == 0, done.stderr
    assert "miso_run_duration_seconds{" in metrics.path.read_text()
    assert SUCCESS + "{" not in metrics.path.read_text()


def test_what_the_quarantine_holds_and_when_a_candidate_failed_is_told(crawl, feed, metrics):
    feed.serve('{"RefId": 1}')
    began = time.time()
    assert crawl(env=metrics.settings).status == 1
    told = metrics.read()
    assert told["miso_quarantine_bodies"] == 1
    assert began <= told[FAILURE] <= time.time()
    assert told[NEWEST] == 0
    feed.set()
    assert crawl(env=metrics.settings, force=1).status == 0
    well = metrics.read()
    assert well[FAILURE] == told[FAILURE]
    assert 0 <= time.time() - well[NEWEST] < 600
    assert well[HEARTBEAT] > told[HEARTBEAT]
    # A run of the past takes nothing back.
    past = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:00"}
    feed.set(clock="2025-12-05T12:00:00+00:00")
    assert crawl(**past, env=metrics.settings).status == 0
    assert metrics.read()[NEWEST] == well[NEWEST]


def test_a_time_that_lies_ahead_is_not_kept(crawl, feed, metrics):
    feed.set(faults=["status=503"])
    labels = '{spider="miso_rtload",environment="staging"}'
    metrics.path.write_text(f"{SUCCESS}{labels} 4e9\n{HEARTBEAT}{labels} 4e9\n")
    assert crawl(env=metrics.settings, settings={"RETRY_TIMES": 0}).status == 1
    told = metrics.read()
    assert told[SUCCESS] == 0
    assert told[HEARTBEAT] <= time.time()


def test_a_requeue_keeps_the_times_of_the_collector(crawl, scrapy, feed, metrics):
    feed.set()
    assert crawl(env=metrics.settings).status == 0
    before = metrics.read()
    assert scrapy("requeue", env=metrics.settings).returncode == 0
    text = metrics.path.read_text()
    for name in (SUCCESS, FAILURE, NEWEST, HEARTBEAT):
        (value,) = re.findall(rf'{name}{{.*spider="miso_rtload".*}} (.*)', text)
        assert float(value) == before[name]


@pytest.mark.parametrize("follow", [False, True], ids=["range", "follow"])
def test_a_run_that_waits_and_one_without_its_servers_still_beat(
    follow, feed, metrics, environment, valkey, tmp_path
):
    proxy = Proxy(valkey.port)
    redis = f"redis://{proxy.address}/0?socket_timeout=1"
    env = {**environment, **metrics.settings, "METRICS_INTERVAL": "0.2", "REDIS_URL": redis}
    start = datetime.now(UTC) + timedelta(hours=1)
    end = "follow=1" if follow else f"end={(start + timedelta(hours=1)).isoformat()}"
    try:
        with started(tmp_path, env, "-a", f"start={start.isoformat()}", "-a", end) as process:
            read_until(process, "Following " if follow else "Candidates: ")
            beats = iter(lambda: metrics.path.exists() and metrics.read()[HEARTBEAT], None)
            _later(beats, after=time.time(), process=process)
            proxy.turn("refuse")
            feed.set(faults=["status=503"])
            _later(beats, after=time.time() + 1, process=process)
            assert set(metrics.path.parent.iterdir()) <= {
                metrics.path, *metrics.path.parent.glob("miso.prom.*")}  # fmt: skip
            process.terminate()
            process.communicate(timeout=60)
    finally:
        proxy.stop()


def _later(beats, after, process):
    """Wait until a heartbeat is later than *after*."""
    until = time.monotonic() + 60
    for beat in beats:
        assert time.monotonic() < until
        assert process.poll() is None, process.stdout.read()
        if beat > after:
            return
        time.sleep(0.1)


def test_a_run_that_follows_is_told_of_meanwhile_and_at_its_end(
    feed, metrics, environment, tmp_path
):
    now = datetime.now(UTC)
    env = {**environment, **metrics.settings, "METRICS_INTERVAL": "0.2", "MISO_STALE_AFTER": "15"}
    hour = ("-a", f"start={now.isoformat()}", "-a", f"end={(now + timedelta(hours=1)).isoformat()}")
    with started(tmp_path, env, *hour, "-s", "MISO_PUBLISH_DELAY=0") as process:
        until = time.monotonic() + 30
        while not metrics.path.exists() or not metrics.read()["candidates"]["stored"]:
            assert time.monotonic() < until
            time.sleep(0.1)
        before = after = metrics.read()
        while after["miso_run_duration_seconds"] == before["miso_run_duration_seconds"]:
            assert time.monotonic() < until
            time.sleep(0.1)
            after = metrics.read()
        assert process.poll() is None
        process.terminate()
        process.communicate(timeout=20)
    assert after["miso_run_duration_seconds"] > before["miso_run_duration_seconds"]
    assert now.timestamp() <= after[SUCCESS] <= time.time()
    assert process.returncode == 0
    assert metrics.read()[SUCCESS] >= after[SUCCESS]


@faketime
def test_a_feed_that_skips_a_snapshot_is_no_reason_to_think_that_nothing_is_collected(
    feed, metrics, environment, valkey, tmp_path
):
    feed.set(clock="2025-12-05T12:00:00+00:00")  # for ever
    clock = Clock(tmp_path, "12:02")
    env = {**environment, **metrics.settings, **clock.env, "METRICS_INTERVAL": "0.2"}
    env |= {"MISO_STALE_AFTER": "15", "REDIS_URL": valkey.url}
    due = datetime(2025, 12, 5, 12, 6, tzinfo=UTC).timestamp()
    with started(tmp_path, env, "-a", "follow=1") as process:
        read_until(process, " stored realtime_total_load_20251205_115500.json")
        clock.set("12:06")
        read_until(process, " duplicate realtime_total_load_20251205_120000.json")
        until = time.monotonic() + 30
        while not metrics.path.exists() or metrics.read()[SUCCESS] < due:
            assert time.monotonic() < until
            time.sleep(0.1)


def test_a_file_that_cannot_be_written_is_told_in_one_line(crawl, feed, tmp_path):
    path = tmp_path / "nowhere" / "miso.prom"
    env = {"METRICS_FILE": str(path), "METRICS_INTERVAL": "0.01"}
    run = crawl(start="2025-12-05T12:00", end="2025-12-05T12:00", env=env,
                settings={"MISO_REQUIRE_COVERAGE": 0})  # fmt: skip
    assert (run.status, run.outcomes) == (0, {"stored": 1})
    (line,) = run.lines("ERROR")
    assert str(path) in line
    assert "METRICS_FILE" in line
    assert "Traceback" not in run.log
