"""Workers on one range, at once: one file per candidate and per content, whoever comes first."""

import contextlib
import os
import signal
import subprocess
import threading
from urllib.parse import urlsplit

import pytest

from tests.support import warm_start
from tests.support.archive_reader import Witness, files_below, files_in
from tests.support.crawl import Run
from tests.support.project import SCRAPY
from tests.support.tcp_proxy import Proxy

CLOCK = "2025-12-05T12:00:00+00:00"
HOUR = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:55"}
NOON = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:00"}
IDENTIFIERS = {f"realtime_total_load_20251205_12{minute:02}00.json" for minute in range(0, 60, 5)}


class Shared:
    """What the workers of a test share: `.env`; and what is there afterwards."""

    def __init__(self, valkey, topic, archive, bucket=None):
        self.valkey, self.topic, self.archive, self.bucket = valkey, topic, archive, bucket
        self.env = {
            "REDIS_URL": valkey.url,
            **topic.settings,
            **(bucket.settings if bucket else {}),
        }

    def files(self):
        if self.bucket:
            return files_in(self.bucket.client, self.bucket.name)
        return files_below(self.archive.root)

    def settled(self):
        """Return what is there, once all promises are kept and nothing is left open."""
        witness = Witness(self.files(), self.valkey.client, self.topic.messages())
        witness.all_promises()
        witness.nothing_left_open()
        assert witness.announced == set(witness.contents)
        assert not witness.partial
        return witness


@pytest.fixture(params=["directory", "s3"])
def shared(request, valkey, topic, archive):
    bucket = request.getfixturevalue("bucket") if request.param == "s3" else None
    return Shared(valkey, topic, archive, bucket)


class Worker:
    """A crawl that runs beside the test: `.process`; `.finished()` waits for its Run."""

    def __init__(self, log, environment, arguments):
        self.log = log
        arguments = [part for item in arguments.items() for part in ("-a", "{}={}".format(*item))]
        with log.open("w") as output:
            self.process = warm_start.Process(
                [SCRAPY, "crawl", "miso_rtload", *arguments, "-s", "MISO_MIN_INTERVAL=0"],
                cwd=log.parent,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def finished(self):
        status = self.process.wait(150)
        return Run(status, self.log.read_text())

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def worker(tmp_path, environment):
    """Start a worker: worker(env, **arguments) -> Worker."""
    with contextlib.ExitStack() as stack:

        def start(env, **arguments):
            log = tmp_path / f"worker-{len(os.listdir(tmp_path))}.log"
            started = Worker(log, {**environment, **env}, arguments)
            stack.callback(started.stop)
            return started

        yield start


@pytest.fixture
def proxy():
    """Put a proxy before the server at a URL."""
    with contextlib.ExitStack() as stack:

        def before(url):
            made = Proxy(urlsplit(url).port)
            stack.callback(made.stop)
            return made

        yield before


def total(runs):
    """Return the outcomes of all *runs*, added up."""
    counts = {}
    for run in runs:
        assert run.status == 0, run.log
        assert "Traceback" not in run.log
        for name, count in run.outcomes.items():
            counts[name] = counts.get(name, 0) + count
    return counts


# --- Four at once -----------------------------------------------------------------------------


def test_four_workers_that_find_ever_new_content_file_each_candidate_once(worker, feed, shared):
    feed.set(clock=CLOCK, advance=5)
    counts = total([w.finished() for w in [worker(shared.env, **HOUR) for _ in range(4)]])
    assert counts.pop("stored") == 12
    # Who waited for another's claim has its outcome; nothing failed, nothing was found twice.
    assert counts == {"skipped": 36}
    witness = shared.settled()
    assert set(witness.contents) == set(witness.registered) == IDENTIFIERS
    assert len(set(witness.registered.values())) == 12


def test_four_workers_that_find_one_content_file_it_once(worker, feed, shared):
    feed.set(clock=CLOCK)
    counts = total([w.finished() for w in [worker(shared.env, **HOUR) for _ in range(4)]])
    assert counts.pop("stored") == 1
    assert counts.keys() <= {"skipped", "duplicate"}
    assert sum(counts.values()) == 47
    witness = shared.settled()
    assert len(witness.contents) == 1
    assert set(witness.registered) == IDENTIFIERS


# --- Another's claim --------------------------------------------------------------------------


@pytest.mark.parametrize("shared", ["directory"], indirect=True)
def test_a_worker_that_meets_a_living_one_s_claim_waits_for_its_outcome(
    worker, crawl, feed, shared, proxy
):
    # The answer takes twice as long as a lease: the living worker renews its claim.
    feed.set(clock=CLOCK, advance=5, faults=["delay=4*1"])
    asked, before = threading.Event(), proxy(feed.url)
    before.when(rb"^GET ", 1, asked.set)
    url = f"http://{before.address}/api/RealTimeTotalLoad"
    first = worker({**shared.env, "MISO_API_URL": url}, **NOON)
    assert asked.wait(120)
    second = crawl(env=shared.env, **NOON)
    assert first.finished().outcomes == {"stored": 1}
    assert second.status == 0, second.log
    assert second.outcomes in ({"skipped": 1}, {"duplicate": 1})
    assert len(feed.requests) == 1
    assert len(shared.settled().contents) == 1


@pytest.mark.parametrize("shared", ["directory"], indirect=True)
def test_a_worker_takes_over_when_a_dead_one_s_lease_runs_out(worker, crawl, feed, shared, proxy):
    feed.set(clock=CLOCK, advance=5)
    asked, before = threading.Event(), proxy(feed.url)

    def no_answer():
        before.turn("hang")
        asked.set()

    before.when(rb"^GET ", 1, no_answer)
    url = f"http://{before.address}/api/RealTimeTotalLoad"
    # Long enough for the second worker to meet it.
    dead = worker({**shared.env, "MISO_API_URL": url, "REGISTRY_CLAIM_TTL": "6"}, **NOON)
    assert asked.wait(120)
    dead.stop()
    run = crawl(env=shared.env, **NOON)
    assert (run.status, run.outcomes) == (0, {"stored": 1}), run.log
    assert len(shared.settled().contents) == 1


@pytest.mark.parametrize(
    ("shared", "at"), [("directory", "fetch"), ("s3", "fetch"), ("s3", "put")], indirect=["shared"]
)
def test_a_worker_that_comes_to_after_its_claim_was_taken_over_changes_nothing(
    worker, crawl, feed, shared, proxy, at
):
    feed.set(clock=CLOCK, advance=5)
    env = dict(shared.env)
    if at == "fetch":
        before = proxy(feed.url)
        env["MISO_API_URL"] = f"http://{before.address}/api/RealTimeTotalLoad"
    else:
        before = proxy(env["AWS_ENDPOINT_URL"])
        env["AWS_ENDPOINT_URL"] = f"http://{before.address}"
    reached = threading.Event()

    def freeze():
        before.turn("hang")
        frozen.process.send_signal(signal.SIGSTOP)
        reached.set()

    before.when(rb"^GET .*RealTime" if at == "fetch" else rb"^PUT \S+\.json\.gz", 1, freeze)
    frozen = worker(env, **NOON)
    assert reached.wait(120)
    second = crawl(env=shared.env, **NOON)
    assert second.outcomes == {"stored": 1}
    assert second.status == 0, second.log
    filed = shared.files()

    before.turn("pass")
    frozen.process.send_signal(signal.SIGCONT)
    run = frozen.finished()
    assert "stored" not in run.outcomes, run.log
    assert "Traceback" not in run.log
    assert {key: body for key, body in shared.files().items() if "/quarantine/" not in key} == filed
    assert len(shared.settled().contents) == 1
