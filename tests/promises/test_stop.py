"""Stopped politely: SIGTERM and Ctrl-C finish what is in flight and leave nothing owed."""

import contextlib
import os
import signal
import subprocess
import threading
import time

import pytest

from tests.support import warm_start
from tests.support.archive_reader import Witness, files_below
from tests.support.crawl import Run
from tests.support.project import SCRAPY
from tests.support.tcp_proxy import Proxy

RANGE = {"start": "2025-12-05T12:00", "end": "2025-12-05T14:00"}
CANDIDATES = 25
NOON = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:00"}


class Running:
    """A `scrapy crawl` in a session of its own, as one in a terminal has; its log goes to a file."""

    def __init__(self, directory, environment, arguments):
        self.log = directory / "stopped.log"
        options = [part for item in arguments.items() for part in ("-a", "{}={}".format(*item))]
        with self.log.open("w") as log:
            self.process = warm_start.Process(
                [SCRAPY, "crawl", "miso_rtload", *options, "-s", "MISO_MIN_INTERVAL=0"],
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def until(self, happened, seconds=120):
        """Wait until *happened()*, while the run runs."""
        for _ in range(seconds * 50):
            if happened():
                return
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)
        raise AssertionError(self.log.read_text())

    def logged(self, text):
        return text in self.log.read_text()

    def signal(self, number, group=False):
        (os.killpg if group else os.kill)(self.process.pid, number)

    def ended(self, timeout=60):
        """Wait for the end, which must come by itself."""
        return Run(self.process.wait(timeout), self.log.read_text())


@pytest.fixture
def start(tmp_path, environment):
    """Start a crawl in the background: start(start=..., end=..., env={...}) -> Running."""
    with contextlib.ExitStack() as stack:

        def run(*, env=None, **arguments):
            running = Running(tmp_path, {**environment, **(env or {})}, arguments)
            stack.callback(running.process.wait)
            stack.callback(running.process.kill)
            return running

        yield run


@pytest.mark.parametrize(
    ("number", "group"),
    [(signal.SIGTERM, False), (signal.SIGINT, False)],
    ids=["SIGTERM", "SIGINT"],
)
def test_a_stopped_run_finishes_what_is_in_flight_and_the_next_completes_the_range(
    number, group, start, crawl, feed, valkey, topic, archive
):
    env = {"REDIS_URL": valkey.url, **topic.settings}
    feed.set(clock="2025-12-05T12:00:00+00:00", advance=5, faults=["delay=0.5"])
    running = start(**RANGE, env=env)
    running.until(lambda: len(feed.requests) >= 3)
    running.signal(number, group)
    run = running.ended()
    assert run.status == 1, run.log  # not all that was due is filed
    assert "Traceback" not in run.log
    assert not run.lines("ERROR") + run.lines("CRITICAL")
    # What was asked for is filed; nothing more was asked for.
    stored = len(feed.requests)
    assert run.outcomes == {"stored": stored}
    assert 3 <= stored < CANDIDATES
    assert run.stats["finish_reason"] == "shutdown"
    witness = Witness(files_below(archive.root), valkey.client, topic.messages())
    witness.all_promises()
    witness.nothing_left_open()
    assert len(witness.contents) == len(witness.announced) == stored
    assert not witness.partial

    feed.simulator.faults.clear()
    run = crawl(**RANGE, env=env)
    assert run.status == 0, run.log
    assert run.outcomes == {"skipped": stored, "stored": CANDIDATES - stored}


@pytest.mark.parametrize(
    ("number", "group"),
    [(signal.SIGTERM, True), (signal.SIGINT, True)],
    ids=["SIGTERM to all", "Ctrl-C"],
)
def test_the_embedded_registry_is_there_until_the_stopped_run_has_ended(
    number, group, start, crawl, feed, archive
):
    feed.set(clock="2025-12-05T12:00:00+00:00", advance=5, faults=["delay=0.5"])
    running = start(**RANGE)
    running.until(lambda: len(feed.requests) >= 3)
    running.signal(number, group)
    run = running.ended()
    assert run.status == 1, run.log  # not all that was due is filed
    assert "Traceback" not in run.log
    assert not run.lines("ERROR") + run.lines("CRITICAL")
    stored = len(feed.requests)
    assert run.outcomes == {"stored": stored}
    assert len(archive.files()) == stored
    assert (run.stats["miso/claims"], run.stats["miso/outbox"]) == (0, 0)

    feed.simulator.faults.clear()
    run = crawl(**RANGE)
    assert run.status == 0, run.log
    assert run.outcomes == {"skipped": stored, "stored": CANDIDATES - stored}


def test_a_run_stopped_while_it_waits_to_ask_again_does_not_wait_it_out(
    start, crawl, feed, valkey, archive
):
    env = {"REDIS_URL": valkey.url, "REGISTRY_CLAIM_TTL": "60"}
    feed.set(clock="2025-12-05T12:00:00+00:00", advance=5, faults=["status=503,retry-after:60"])
    running = start(**RANGE, env={**env, "LOG_LEVEL": "DEBUG"})
    running.until(lambda: running.logged("The next request to the feed is in 60 s"))
    running.signal(signal.SIGTERM)
    run = running.ended(timeout=25)
    assert "Traceback" not in run.log
    assert run.outcomes in ({}, {"failed": 1})
    assert len(feed.requests) == 1
    witness = Witness(files_below(archive.root), valkey.client)
    assert not witness.claims
    assert not witness.contents

    feed.simulator.faults.clear()
    # Retry-After is kept for the next run; without it nothing is in its way.
    assert valkey.client.delete(*valkey.client.keys("*not-before:*")) == 1
    run = crawl(**RANGE, env=env)
    assert run.status == 0, run.log
    assert run.outcomes == {"stored": CANDIDATES}


def test_a_run_stopped_while_it_waits_for_anothers_claim_ends_and_leaves_that_claim(
    start, feed, valkey, archive
):
    env = {"REDIS_URL": valkey.url, "REGISTRY_CLAIM_TTL": "600"}
    feed.set(clock="2025-12-05T12:00:00+00:00", faults=["delay=60*1"])
    other = start(**NOON, env=env)
    other.until(lambda: feed.requests)
    claims = Witness({}, valkey.client).claims
    assert len(claims) == 1
    other.signal(signal.SIGKILL)
    other.process.wait()

    running = start(start="2025-12-05T12:00", end="2025-12-05T12:05", env=env)
    running.until(lambda: archive.files())  # the second; the first is the other's
    running.until(lambda: Witness({}, valkey.client).claims == claims)
    running.signal(signal.SIGTERM)
    run = running.ended()
    assert run.status == 1, run.log  # not all that was due is filed
    assert "Traceback" not in run.log
    assert run.outcomes == {"stored": 1}
    assert list(Witness({}, valkey.client).claims) == list(claims)


@pytest.fixture
def slow_registry(valkey):
    """Before Valkey, what can hang."""
    proxy = Proxy(valkey.port)
    yield proxy
    proxy.stop()


def test_a_run_stopped_while_it_opens_closes_what_it_has_opened(start, feed, slow_registry):
    slow_registry.turn("hang")
    running = start(**NOON, env={"REDIS_URL": f"redis://{slow_registry.address}/0"})
    running.until(lambda: slow_registry.connections)
    running.signal(signal.SIGTERM)
    running.until(lambda: running.logged("shutting down gracefully"))
    slow_registry.turn("pass")
    run = running.ended()
    assert run.status == 1, run.log  # what was due is not filed
    assert "Traceback" not in run.log
    assert "Spider closed (shutdown)" in run.log
    (warning,) = run.lines("WARNING") + run.lines("ERROR")
    assert "Stopped after 0 of 1 candidate" in warning
    assert feed.requests == []


@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
def test_a_run_stopped_while_it_closes_still_closes_unless_it_is_told_twice(
    twice, start, feed, slow_registry
):
    feed.set(clock="2025-12-05T12:00:00+00:00")
    closing = threading.Event()

    def hang():
        slow_registry.turn("hang")
        closing.set()

    slow_registry.when(rb"(?i)HLEN", 1, hang)  # what is owed: asked at the end
    running = start(**NOON, env={"REDIS_URL": f"redis://{slow_registry.address}/0"})
    running.until(closing.is_set)
    running.signal(signal.SIGTERM)
    running.until(lambda: running.logged("shutting down gracefully"))
    if twice:
        running.signal(signal.SIGTERM)
        run = running.ended()
        assert "Spider closed" not in run.log
        return
    slow_registry.turn("pass")
    run = running.ended()
    assert (run.status, run.outcomes) == (0, {"stored": 1}), run.log
    assert run.stats["miso/claims"] == 0
    assert "Spider closed (finished)" in run.log
    assert "Traceback" not in run.log


def test_a_run_that_is_told_twice_ends_at_once_and_the_next_makes_it_good(
    start, crawl, feed, valkey, archive
):
    env = {"REDIS_URL": valkey.url, "REGISTRY_CLAIM_TTL": "1"}
    feed.set(clock="2025-12-05T12:00:00+00:00", advance=5, faults=["delay=0*2", "delay=300"])
    running = start(**RANGE, env={**env, "DOWNLOAD_TIMEOUT": "300"})
    running.until(lambda: len(feed.requests) >= 3 and len(archive.files()) == 2)
    running.signal(signal.SIGTERM)
    running.until(lambda: running.logged("shutting down gracefully"))
    running.signal(signal.SIGTERM)
    running.process.wait(60)
    Witness(files_below(archive.root), valkey.client).all_promises()

    feed.simulator.faults.clear()
    run = crawl(**RANGE, env=env)
    assert run.status == 0, run.log
    assert run.outcomes == {"skipped": 2, "stored": CANDIDATES - 2}
    witness = Witness(files_below(archive.root), valkey.client)
    witness.all_promises()
    witness.nothing_left_open()
