"""Redis, S3, Kafka or the disk fails, at the start or in the middle: told, bounded, and made good."""

import asyncio
import contextlib
import json
import os
import resource
import secrets
import signal
import threading
import time
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pytest
from scrapy.settings import Settings

from miso_scrapy.connections.open import open_registry
from miso_scrapy.notifications import kafka
from miso_scrapy.options import Options
from tests.support.archive_reader import PREFIX, Witness, files_below, files_in
from tests.support.crawl import Run, started
from tests.support.faketime import faketime
from tests.support.fast_clock import SteppedClock
from tests.support.servers import embedded_servers
from tests.support.tcp_proxy import ProxiedKafka, Proxy

CLOCK = "2025-12-05T12:00:00+00:00"
RANGE = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:15"}
TWO_HOURS = {"start": "2025-12-05T12:00", "end": "2025-12-05T13:55"}
ANOTHER = {"start": "2025-12-05T15:00", "end": "2025-12-05T15:05"}
# How a question to a Kafka broker begins that hands it a message: its length, then 0 for its kind.
PRODUCE = rb"(?s)^.{4}\x00\x00"
# A run that hangs is a failure. What it needs on a busy machine is not.
BOUND = 200


@pytest.fixture
def proxy():
    """Put a proxy before the server at a port of localhost."""
    with contextlib.ExitStack() as stack:

        def before(port):
            made = Proxy(port)
            stack.callback(made.stop)
            return made

        yield before


@pytest.fixture
def asked(proxy, feed, environment):
    """A proxy before the feed, which tells how far a run has come."""
    feed.set(clock=CLOCK, advance=5)
    before = proxy(urlsplit(feed.url).port)
    environment["MISO_API_URL"] = f"http://{before.address}/api/RealTimeTotalLoad"
    return before


@pytest.fixture
def redis(proxy, valkey, environment):
    before = proxy(valkey.port)
    # By default a registry that hangs is waited for longer than a test should take.
    environment["REDIS_URL"] = f"redis://{before.address}/0?socket_timeout=1"
    return before


@pytest.fixture
def s3(proxy, bucket, environment):
    before = proxy(urlsplit(bucket.endpoint).port)
    environment.update(bucket.settings, AWS_ENDPOINT_URL=f"http://{before.address}")
    return before


@pytest.fixture(scope="module")
def _broker():
    broker = ProxiedKafka()
    yield broker
    broker.stop()


@pytest.fixture
def broker(_broker, environment):
    """A proxy before a broker, which has an empty topic: `.messages()`, `.contents()`."""
    _broker.proxy.turn("pass")
    name = f"miso-{secrets.token_hex(4)}"
    _broker.create_topic(name)
    environment.update(KAFKA_BROKERS=_broker.brokers, KAFKA_TOPIC=name, KAFKA_TIMEOUT="30")
    _broker.proxy.messages = lambda: _broker.messages(name)
    _broker.proxy.contents = lambda: [json.loads(value) for _, value in _broker.messages(name)]
    return _broker.proxy


@pytest.fixture
def files(request, archive):
    """Read what is filed: in the bucket, where the test has one, or in the directory."""
    if "bucket" not in request.fixturenames:
        return lambda: files_below(archive.root)
    bucket = request.getfixturevalue("bucket")
    return lambda: files_in(bucket.client, bucket.name)


def fail(server, how):
    """Let *server*, a proxy, fail: a mode of its own, or an answer of S3."""
    if how == "403":
        server.fail(403, "AccessDenied")
    elif how == "503":
        server.fail(503, "SlowDown")
    else:
        server.turn(how)


def told(run, *words):
    """Assert that the run failed, that a line says why with *words*, and that each candidate that
    failed has one. Beside these: at most a line that ends the run, and one about what is owed.
    """
    assert run.status == 1, run.log
    assert "Traceback" not in run.log, run.log
    errors = run.lines("ERROR")
    assert any(all(word in line for word in words) for line in errors), run.log
    candidates = [line for line in errors if " failed realtime_total_load_2" in line]
    assert len([line for line in errors if "The run ends here" in line]) <= 1, run.log
    assert len(errors) <= len(candidates) + 2, run.log
    assert len(candidates) == run.outcomes["failed"] >= 1, run.log


def told_at_the_start(run, feed, *words):
    """Assert that the run ended in one line with *words*, before anything was fetched."""
    assert run.status == 1, run.log
    assert feed.requests == []
    assert "Traceback" not in run.log, run.log
    assert len(run.lines("ERROR") + run.lines("CRITICAL")) <= 1, run.log
    lines = [line for line in run.log.splitlines() if all(word in line for word in words)]
    assert len(lines) == 1, run.log
    assert len(lines[0]) < 500, run.log


def made_good(run, witness, contents):
    """Assert that a run after the outage left everything as it should be, *contents* filed."""
    assert run.status == 0, run.log
    assert "Traceback" not in run.log, run.log
    witness.all_promises()
    witness.nothing_left_open()
    assert len(witness.registered) == len(witness.contents) == contents


# --- Redis ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["refuse", "hang"])
def test_a_registry_that_is_down_is_told_at_the_start(how, crawl, feed, redis, valkey, files):
    feed.set(clock=CLOCK, advance=5)
    redis.turn(how)
    told_at_the_start(crawl(timeout=BOUND, **RANGE), feed, str(redis.port))
    redis.turn("pass")
    run = crawl(timeout=BOUND, **RANGE)
    assert run.outcomes == {"stored": 4}
    made_good(run, Witness(files(), valkey.client), 4)


@pytest.mark.parametrize("how", ["refuse", "hang"])
def test_a_registry_lost_while_fetching_is_told_and_made_good(
    how, crawl, asked, redis, valkey, files
):
    asked.when(rb"^GET ", 2, lambda: redis.turn(how))
    run = crawl(timeout=BOUND, **RANGE)
    told(run, str(redis.port), "REDIS_URL")
    Witness(files(), valkey.client).stored_means_safe()
    redis.turn("pass")
    made_good(crawl(timeout=BOUND, **RANGE), Witness(files(), valkey.client), 4)


@pytest.mark.parametrize("how", ["refuse", "hang"])
def test_a_registry_lost_between_the_store_and_the_registration_is_told_and_made_good(
    how, crawl, asked, redis, s3, broker, valkey, files
):
    s3.when(rb"^PUT \S+\.json\.gz", 2, lambda: redis.turn(how), answered=True)
    run = crawl(timeout=BOUND, **RANGE)
    told(run, str(redis.port), "REDIS_URL")
    before = Witness(files(), valkey.client, broker.messages())
    before.stored_means_safe()
    assert set(before.registered) < set(before.contents)
    redis.turn("pass")
    run = crawl(timeout=BOUND, **RANGE)
    after = Witness(files(), valkey.client, broker.messages())
    made_good(run, after, 4)
    # What was filed in the outage is still what it was: adopted, not filed again.
    assert before.contents.items() <= after.contents.items()


# --- S3 ---------------------------------------------------------------------------------------


# One that hangs from the start: test_store_s3.py.
@pytest.mark.parametrize("how", ["refuse", "503", "cut"])
def test_an_s3_that_is_down_is_told_at_the_start(
    how, crawl, feed, redis, s3, bucket, valkey, files
):
    feed.set(clock=CLOCK, advance=5)
    fail(s3, how)
    run = crawl(timeout=BOUND, **RANGE)
    told_at_the_start(run, feed, bucket.name)
    s3.turn("pass")
    made_good(crawl(timeout=BOUND, **RANGE), Witness(files(), valkey.client), 4)


def test_an_s3_that_denies_everything_is_told_for_each_candidate(
    crawl, asked, redis, s3, bucket, valkey, files
):
    fail(s3, "403")
    run = crawl(timeout=BOUND, **RANGE)
    # Three refusals in a row end the run; by then the fourth candidate may be under way.
    assert run.outcomes in ({"failed": 3}, {"failed": 4}), run.log
    told(run, "AccessDenied", bucket.name, "permissions")
    assert not valkey.client.keys("*:realtime_*")
    s3.turn("pass")
    made_good(crawl(timeout=BOUND, **RANGE), Witness(files(), valkey.client), 4)


@pytest.mark.parametrize("how", ["refuse", "hang", "403", "503", "cut"])
def test_an_s3_that_fails_in_the_middle_is_told_and_made_good(
    how, crawl, asked, redis, s3, broker, bucket, valkey, files
):
    s3.when(rb"^PUT \S+\.json\.gz", 2, lambda: fail(s3, how))
    run = crawl(timeout=BOUND, **RANGE)
    assert run.outcomes.keys() <= {"stored", "failed"}
    told(run, bucket.name)
    if how == "503":  # nothing is wrong with those
        assert "permissions" not in run.log
    Witness(files(), valkey.client, broker.messages()).stored_means_safe()
    s3.turn("pass")
    run = crawl(timeout=BOUND, **RANGE)
    made_good(run, Witness(files(), valkey.client, broker.messages()), 4)


# In its first line, and in its headers, before the ETag.
@pytest.mark.parametrize("kept", [10, 60])
def test_an_answer_of_s3_that_is_cut_once_costs_nothing(
    kept, crawl, asked, redis, s3, broker, valkey, files
):
    # The file is there, and the writer has not been told: it asks again, and adopts what it finds.
    s3.kept = kept
    s3.when(rb"^PUT \S+\.json\.gz", 2, lambda: s3.turn("cut once"), answered=True)
    run = crawl(timeout=BOUND, **RANGE)
    assert run.outcomes == {"stored": 4}, run.log
    assert not run.lines("ERROR")
    made_good(run, Witness(files(), valkey.client, broker.messages()), 4)
    assert all(message["etag"] for message in broker.contents())


def test_an_s3_that_denies_what_a_dead_run_stored_does_not_make_it_forgotten(
    crawl, asked, feed, redis, s3, broker, valkey, files
):
    s3.when(rb"^PUT \S+\.json\.gz", 1, lambda: redis.turn("refuse"), answered=True)
    env = {"REGISTRY_CLAIM_TTL": "1"}
    assert crawl(timeout=BOUND, env=env, **RANGE).status == 1
    redis.turn("pass")
    # The next run settles what is open by what the store says; and the store says nothing.
    fail(s3, "403")
    feed.set(clock="2025-12-05T15:00:00+00:00", advance=5)
    run = crawl(timeout=BOUND, env=env, **ANOTHER)
    assert run.status == 1, run.log
    assert "Traceback" not in run.log
    s3.turn("pass")
    run = crawl(timeout=BOUND, env=env, **ANOTHER)
    assert run.status == 0, run.log
    after = Witness(files(), valkey.client, broker.messages())
    after.all_promises()
    after.nothing_left_open()


def test_an_s3_and_a_registry_that_are_slow_cost_time_and_nothing_else(
    crawl, asked, redis, s3, valkey, files
):
    # Longer than a lease: the claims are renewed meanwhile.
    s3.delay, redis.delay = 3, 0.05
    s3.turn("slow")
    redis.turn("slow")
    run = crawl(timeout=BOUND, **RANGE)
    assert run.outcomes == {"stored": 4}
    assert not run.lines("ERROR")
    made_good(run, Witness(files(), valkey.client), 4)


# --- Kafka ------------------------------------------------------------------------------------


def owed(run, count, brokers):
    """Assert that the run has told, in one line, that it owes *count* messages, and why in another."""
    assert run.status == 1, run.log
    assert "Traceback" not in run.log, run.log
    (error,) = run.lines("ERROR")
    assert f"{count} message" in error
    assert "owed" in error
    (warning,) = run.lines("WARNING")
    assert brokers in warning
    assert "KAFKA_BROKERS" in warning
    assert run.stats["miso/outbox"] == count


@pytest.mark.parametrize("how", ["refuse", "hang"])
def test_a_broker_that_is_down_is_waited_for_once_and_its_messages_are_sent_by_the_next_run(
    how, crawl, feed, redis, broker, valkey, files, environment
):
    feed.set(clock=CLOCK, advance=5)
    broker.turn(how)
    # 24 waits would take longer than the run is given.
    run = crawl(timeout=110, env={"KAFKA_TIMEOUT": "5"}, **TWO_HOURS)
    assert run.outcomes == {"stored": 24}
    owed(run, 24, environment["KAFKA_BROKERS"])
    late = set(Witness(files(), valkey.client).contents)

    broker.turn("pass")
    feed.set(clock="2025-12-05T15:00:00+00:00", advance=5)
    run = crawl(timeout=BOUND, env={"KAFKA_TIMEOUT": "30"}, **ANOTHER)
    assert run.outcomes == {"stored": 2}
    made_good(run, Witness(files(), valkey.client, broker.messages()), 26)
    # First what was owed, then what is new.
    sent = [key for key, _ in broker.messages()]
    assert set(sent[:-2]) == late
    assert len(sent) == 26


@pytest.mark.parametrize("how", ["cut", "hang"])
def test_a_broker_lost_in_the_middle_costs_no_file_and_no_message(
    how, crawl, feed, redis, broker, valkey, files, environment
):
    feed.set(clock=CLOCK, advance=5)
    broker.when(PRODUCE, 2, lambda: broker.turn(how))
    run = crawl(timeout=110, env={"KAFKA_TIMEOUT": "5"}, **TWO_HOURS)
    assert run.outcomes == {"stored": 24}
    broker.turn("pass")
    before = Witness(files(), valkey.client, broker.messages())
    before.all_promises()
    assert before.announced
    owed(run, len(before.outbox), environment["KAFKA_BROKERS"])

    feed.set(clock="2025-12-05T15:00:00+00:00", advance=5)
    run = crawl(timeout=BOUND, env={"KAFKA_TIMEOUT": "30"}, **ANOTHER)
    assert run.outcomes == {"stored": 2}
    made_good(run, Witness(files(), valkey.client, broker.messages()), 26)


def of_this_process(environment):
    """Return the settings of *environment*, for what runs in the test's own process."""
    settings = Settings()
    settings.setmodule("miso_scrapy.settings")
    settings.update(environment, priority="cmdline")
    return settings


@pytest.mark.parametrize("how", ["refuse", "hang", "cut"])
def test_a_process_that_lost_its_connection_to_the_broker_sends_again(
    how, broker, environment, monkeypatch
):
    monkeypatch.setattr(kafka, "_LEAVE_ALONE", 0)  # a minute, in which nothing is tried
    environment["KAFKA_TIMEOUT"] = "2"
    settings = of_this_process(environment)
    notifier = kafka.Notifier(settings, Options.from_settings(settings))
    until = time.monotonic() + 100

    async def sent(key):
        while not await notifier.send([(key, "{}")]):
            assert time.monotonic() < until

    async def sends():
        await sent("first")
        broker.when(PRODUCE, 1, lambda: broker.turn(how))
        assert await notifier.send([("lost", "{}")]) == []
        assert notifier.down
        broker.turn("pass")
        await sent("again")
        assert not notifier.down
        await notifier.close()

    asyncio.run(sends())
    assert {key for key, _ in broker.messages()} >= {"first", "again"}


def test_what_is_owed_is_sent_once_also_if_several_want_to_send_it(
    broker, redis, valkey, environment
):
    settings = of_this_process(environment)
    options = Options.from_settings(settings)
    owed = {f"realtime_total_load_20251205_{number:06}.json": "{}" for number in range(20)}

    async def sends():
        async with open_registry(options) as registry:
            valkey.client.hset(f"{PREFIX}outbox", mapping=owed)
            notifier = kafka.Notifier(settings, options)
            await asyncio.gather(*(notifier.send_owed(registry) for _ in range(3)))
            await notifier.close()
            assert await registry.owed() == 0

    asyncio.run(sends())
    assert sorted(key for key, _ in broker.messages()) == sorted(owed)


# --- The disk ---------------------------------------------------------------------------------


@pytest.mark.parametrize("since", [1, 3])
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux's prlimit")
def test_a_disk_that_is_full_is_told_and_made_good(
    since, crawl, asked, redis, valkey, files, environment, tmp_path
):
    # From the first answer of the feed on, or the third, no file may have more than 300 bytes.
    def fill():
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (300, 300))

    asked.when(rb"^GET ", since, fill)
    arguments = [part for item in RANGE.items() for part in ("-a", "=".join(item))]
    arguments += ["-s", "MISO_MIN_INTERVAL=0"]
    with started(tmp_path, environment, *arguments) as process:
        output, _ = process.communicate(timeout=BOUND)
    run = Run(process.returncode, output)
    assert run.outcomes["failed"] >= 4 - since
    told(run, environment["MISO_DATA_DIR"], "free space")
    during = Witness(files(), valkey.client)
    during.stored_means_safe()
    assert not during.partial
    assert len(during.contents) == run.outcomes.get("stored", 0)
    made_good(crawl(timeout=BOUND, **RANGE), Witness(files(), valkey.client), 4)


# --- A followed run ---------------------------------------------------------------------------


NOON = datetime.fromisoformat(CLOCK)
STORED = " stored realtime_total_load_20251205_{:%H%M}"


class Followed:
    """A run with follow=1, at 12:02; `.due(minute)` lets the candidate at 12:*minute* come due."""

    def __init__(self, process, clock):
        self.process = process
        self._clock = clock
        self.log = []

    def due(self, minute):
        self._clock.set(NOON + timedelta(minutes=minute + 2))

    def read_until(self, *texts):
        """Read the log until each of *texts* was in it since the last call, in any order."""
        missing = list(texts)
        # A time-out in the process may take many times as long by the clock that the test sets.
        hangs = threading.Timer(120, self.process.kill)
        hangs.start()
        try:
            while missing:
                line = self.process.stdout.readline()
                assert line, f"{missing} not in:\n{''.join(self.log)}"
                self.log.append(line)
                missing = [text for text in missing if text not in line]
        finally:
            hangs.cancel()

    def stopped(self, timeout=15):
        """Stop it; return its Run. A call that hangs takes longer than *timeout*."""
        self.process.terminate()
        output, _ = self.process.communicate(timeout=timeout)
        return Run(self.process.returncode, "".join(self.log) + output)


@pytest.fixture
def follow(asked, redis, environment, tmp_path):
    """Start a followed run, which has a snapshot for 11:55 and for 12:00 when it is here."""
    clock = SteppedClock(tmp_path)
    clock.set(NOON + timedelta(minutes=2))
    environment.update(clock.environment(), MISO_MIN_INTERVAL="1", RETRY_TIMES="1")
    with contextlib.ExitStack() as stack:

        def run(until=""):
            process = stack.enter_context(started(tmp_path, environment, "-a", "follow=1"))
            followed = Followed(process, clock)
            first = STORED.format(NOON - timedelta(minutes=5)), STORED.format(NOON)
            followed.read_until(*([until] if until else first))
            return followed

        yield run


def waited_once(log, server):
    """Assert that the log tells once that the run waits for *server*, and once that this is over."""
    assert log.count(f"Waiting for the {server}: ") == 1, log
    assert log.count(f"The {server} works again, after ") == 1, log
    assert "] ERROR: " not in log, log
    assert "Traceback" not in log, log


@faketime
@pytest.mark.parametrize(
    ("server", "how"),
    [
        ("registry", "refuse"),
        ("registry", "hang"),
        ("store", "refuse"),
        ("store", "503"),
        ("store", "403"),
        ("feed", "refuse"),
        ("feed", "503"),
    ],
)
def test_a_followed_run_waits_for_a_server_that_is_down_and_loses_nothing(
    server, how, follow, asked, redis, s3, valkey, files, scrapy
):
    failing = {"registry": redis, "store": s3, "feed": asked}[server]
    run = follow()
    fail(failing, how)
    run.due(5)
    run.read_until(f"Waiting for the {server}: ")
    for minute in (10, 15, 20):
        run.due(minute)
        time.sleep(1.5)  # more than MISO_MIN_INTERVAL: one that is not in the run's way is asked
    if server == "registry":  # REGISTRY_CLAIM_TTL has passed: nobody knows of a run
        assert not valkey.client.keys("*:run:*")
    failing.turn("pass")
    run.due(22)  # no candidate is, but the pause before the next try is over
    run.read_until(f"The {server} works again", "_120500.json: ", "_122000.json: ")
    if server == "registry":
        status = scrapy("status", "--json", env={"LD_PRELOAD": ""})
        (alive,) = json.loads(status.stdout)["runs"]
        assert alive["process"] == run.process.pid
    done = run.stopped()
    assert done.status == 0, done.log
    waited_once(done.log, server)
    made = Witness(files(), valkey.client)
    made.all_promises()
    made.nothing_left_open()
    assert done.outcomes.keys() <= {"stored", "duplicate"}
    assert len(made.registered) == 6
    # What was fetched while only the store was down is kept until it is back. Otherwise the first
    # candidate after the outage has a new snapshot, and the one that is not overdue waits for the next.
    assert len(made.contents) == done.outcomes["stored"]
    assert len(made.contents) == 6 if server == "store" else len(made.contents) >= 4


@faketime
@pytest.mark.parametrize(
    ("server", "how"),
    [("registry", "hang"), ("store", "refuse"), ("store", "hang"), ("feed", "hang")],
)
def test_a_followed_run_is_stopped_at_once_in_an_outage(
    server, how, follow, asked, redis, s3, valkey, files, environment
):
    environment["DOWNLOAD_TIMEOUT"] = "1"
    failing = {"registry": redis, "store": s3, "feed": asked}[server]
    run = follow()
    fail(failing, how)
    run.due(5)
    run.read_until(f"Waiting for the {server}: ")
    done = run.stopped()
    assert done.status == 0, done.log
    assert "Traceback" not in done.log, done.log
    assert "] ERROR: " not in done.log, done.log
    # A snapshot that could not be stored is told.
    assert ("failed realtime_total_load_20251205_120500" in done.log) == (server == "store")
    failing.turn("pass")
    Witness(files(), valkey.client).stored_means_safe()


@faketime
@pytest.mark.parametrize(
    ("server", "question"),
    [("registry", rb"EVALSHA"), ("store", rb"^PUT \S+\.json\.gz"), ("feed", rb"^GET ")],
)
def test_a_followed_run_is_stopped_before_it_knows_that_a_server_hangs(
    server, question, follow, asked, redis, s3, valkey, files
):
    failing = {"registry": redis, "store": s3, "feed": asked}[server]
    run = follow()
    hangs = threading.Event()
    failing.when(question, 1, lambda: [failing.turn("hang"), hangs.set()])
    run.due(5)
    assert hangs.wait(30)
    done = run.stopped(timeout=4)  # each would have been waited for longer
    assert done.status == 0, done.log
    assert "Traceback" not in done.log, done.log
    assert "] ERROR: " not in done.log, done.log
    failing.turn("pass")
    Witness(files(), valkey.client).stored_means_safe()


def test_a_followed_run_is_stopped_before_it_knows_that_a_broker_hangs(
    feed, redis, broker, environment, valkey, files, tmp_path
):
    feed.set()
    hangs = threading.Event()
    broker.when(PRODUCE, 1, lambda: [broker.turn("hang"), hangs.set()])
    environment["MISO_MIN_INTERVAL"] = "1"
    with started(tmp_path, environment, "-a", "follow=1") as process:
        assert hangs.wait(60)
        process.terminate()
        output, _ = process.communicate(timeout=15)  # KAFKA_TIMEOUT is 30 s
    done = Run(process.returncode, output)
    assert done.status == 0, done.log
    assert "Traceback" not in done.log, done.log
    # The next run sends it.
    (error,) = done.lines("ERROR")
    assert "1 message owed to the Kafka topic" in error
    broker.turn("pass")
    Witness(files(), valkey.client, broker.messages()).all_promises()


@faketime
@pytest.mark.parametrize("server", ["registry", "store", "feed"])
def test_a_followed_run_can_be_started_while_a_server_is_down(
    server, follow, asked, redis, s3, valkey, files
):
    failing = {"registry": redis, "store": s3, "feed": asked}[server]
    failing.turn("refuse")
    run = follow(until=f"Waiting for the {server}: ")
    failing.turn("pass")
    run.read_until(f"The {server} works again", STORED.format(NOON))
    done = run.stopped()
    assert (done.status, done.outcomes) == (0, {"stored": 2}), done.log
    waited_once(done.log, server)
    # It says first of all what it will do, also where it cannot begin yet.
    before, _, after = done.log.partition(f"Waiting for the {server}: ")
    assert "the next candidate is due at 2025-12-05T12:06:00Z" in before
    assert "Following " not in after


@faketime
def test_a_followed_run_sends_what_a_broker_that_was_down_did_not_take(
    follow, redis, broker, valkey, files, environment
):
    environment["KAFKA_TIMEOUT"] = "3"
    run = follow()
    broker.turn("refuse")
    for minute in (5, 10, 15):
        run.due(minute)
        run.read_until(STORED.format(NOON + timedelta(minutes=minute)))
    broker.turn("pass")
    run.due(20)
    run.read_until(STORED.format(NOON + timedelta(minutes=20)), " messages that were owed")
    done = run.stopped()
    assert done.status == 0, done.log
    assert done.log.count("Kafka does not take messages") == 1, done.log
    after = Witness(files(), valkey.client, broker.messages())
    after.all_promises()
    assert len(after.contents) == 6


def test_a_followed_run_that_loses_the_registry_with_a_message_on_its_way_sends_it_once(
    feed, redis, broker, environment, valkey, tmp_path
):
    feed.set()
    broker.when(PRODUCE, 1, lambda: redis.turn("refuse"))
    environment["MISO_MIN_INTERVAL"] = "1"
    with started(tmp_path, environment, "-a", "follow=1") as process:
        run = Followed(process, clock=None)
        run.read_until("Waiting for the registry: ")
        redis.turn("pass")
        run.read_until(" stored ")
        done = run.stopped()
    assert done.status == 0, done.log  # it sends what it owes first
    assert not valkey.client.keys("*:outbox")
    assert len(broker.messages()) == done.outcomes["stored"] >= 1, done.log


@faketime
def test_a_followed_run_settles_what_a_killed_run_left_once_the_store_is_back(
    follow, redis, s3, valkey
):
    run = follow()
    s3.turn("refuse")
    left = {"token": "killed:1", "deadline": 0, "fingerprint": "0" * 32}
    valkey.client.hset(
        f"{PREFIX}claims", "realtime_total_load_20251205_100000.json", json.dumps(left)
    )
    run.due(3)  # no candidate is
    run.read_until("Waiting for the store: ")
    s3.turn("pass")
    run.read_until("The store works again")
    done = run.stopped()
    assert done.status == 0, done.log
    waited_once(done.log, "store")
    assert not valkey.client.hgetall(f"{PREFIX}claims")


@faketime
def test_a_followed_run_keeps_what_is_invalid_when_the_store_is_back(follow, feed, s3, bucket):
    run = follow()
    feed.serve('{"RefId": 1}')
    s3.turn("refuse")
    run.due(5)
    run.read_until("Waiting for the store: ")
    s3.turn("pass")
    run.read_until("kept the body of realtime_total_load_20251205_120500.json")
    assert run.stopped().status == 0
    assert [name for name in files_in(bucket.client, bucket.name) if "quarantine" in name]


@faketime
def test_a_followed_run_starts_an_embedded_registry_again_that_was_killed(
    follow, environment, archive
):
    del environment["REDIS_URL"]
    run = follow()
    (server,) = embedded_servers(archive.root / ".registry")
    os.kill(server, signal.SIGKILL)
    run.due(5)
    run.read_until(STORED.format(NOON + timedelta(minutes=5)))
    done = run.stopped()
    assert (done.status, done.outcomes) == (0, {"stored": 3}), done.log
    assert not embedded_servers(archive.root / ".registry")
