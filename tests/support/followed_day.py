"""A day of simulated time for a followed run: each server is down for an hour, and more goes wrong."""

import contextlib
import gzip
import signal
import time
from datetime import UTC, datetime, timedelta

import orjson

from miso_scrapy.feed.shape import normalise
from tests.support.archive_reader import Witness
from tests.support.fast_clock import FastClock, FastValkey, PublishedFeed
from tests.support.tcp_proxy import ProxiedKafka, Proxy

MIDNIGHT = datetime(2025, 12, 5, 5, tzinfo=UTC)  # of the market day, in EST
SPEED = 720
TOPIC = "followed-day"
STALE = "runbook.md#nothing-has-been-collected-for-15-minutes"


def at(hours):
    return MIDNIGHT + timedelta(hours=hours)


class FollowedDay:
    """The servers of a program that follows, and what happens on the day; its logs are in *directory*.

    The *program* has `start(*command, env, output)`, which returns a process and follows without a
    command, and `send(process, signal)`. The *store* has `down()`, a context manager, and `files()`,
    which returns what files_below does.
    """

    def __init__(self, directory, program, store):
        self.clock = FastClock(at(0.5), SPEED)
        self._program, self._store = program, store
        self._directory = directory
        self._path = directory / "log"
        self._path.touch()
        self._read = 0
        with contextlib.ExitStack() as stack:
            self.feed = stack.enter_context(
                PublishedFeed(self.clock, at(0), 288, phase=40, jitter=90)
            )
            self.valkey = stack.enter_context(FastValkey(self.clock, directory))
            self.redis = Proxy(self.valkey.port)
            stack.callback(self.redis.stop)
            self.kafka = ProxiedKafka()
            stack.callback(self.kafka.stop)
            self.kafka.create_topic(TOPIC)
            self._stack = stack.pop_all()
        self._settings = {
            "MISO_API_URL": self.feed.url,
            "MISO_MIN_INTERVAL": "60",
            "MISO_STALE_AFTER": "15",
            "REDIS_URL": self.valkey.url.replace(str(self.valkey.port), str(self.redis.port)),
            "REGISTRY_CLAIM_TTL": "600",
            "KAFKA_BROKERS": self.kafka.brokers,
            "KAFKA_TOPIC": TOPIC,
            # The program counts them by the fast clock.
            "KAFKA_TIMEOUT": "1800",
            "DOWNLOAD_TIMEOUT": "6000",
        }

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self._stack.__exit__(*failure)

    def live(self):
        """Let the program live through the day; return its log."""
        run, took = self._follow()
        self.redis.turn("refuse")
        self._hour_after("Waiting for the registry: ")
        self.redis.turn("pass")
        self._logged(" stored ")
        with self._store.down():
            self._hour_after("Waiting for the store: ")
        self._logged(" stored ")
        self.kafka.proxy.turn("refuse")
        self._hour_after("Kafka does not take messages")
        self.kafka.proxy.turn("pass")
        self._logged("Kafka takes messages")
        # The machine is suspended: for the program, the clock jumps.
        self._program.send(run, signal.SIGSTOP)
        self.clock.wait_until(self.clock.now() + timedelta(minutes=20))
        self._program.send(run, signal.SIGCONT)
        self._logged(" stored ")
        self.feed.fault = (503, {}, b"")
        self._hour_after("Waiting for the feed: ")
        self._status_is(1, STALE)
        self.feed.fault = None
        self._logged(" stored ")
        self._status_is(0)
        self._logged(" stored ")
        self._program.send(run, signal.SIGKILL)
        run.wait(30)
        # The machine is off until shortly before midnight: the program must be there in time.
        self.clock.jump(at(23.5) - 2 * took - self.clock.now())
        run, _ = self._follow()
        self._logged("interval 2025-12-06T04:55:00Z")
        self._program.send(run, signal.SIGTERM)
        assert run.wait(30) == 0, self._path.read_text()
        return self._path.read_text()

    def _follow(self):
        """Start the program; return its process, and how long it took by the clock."""
        began = self.clock.now()
        run = self._begun(log=self._path)
        self._logged("Following ")
        took = self.clock.now() - began
        self._logged(" stored ")
        return run, took

    def _begun(self, *command, log):
        output = self._stack.enter_context(log.open("a"))
        env = {**self.clock.environment(), **self._settings}
        process = self._program.start(*command, env=env, output=output)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process

    def _status_is(self, status, text=""):
        """Wait until the command `status` has the exit status *status*, and says *text*."""
        said = self._directory / "status"
        until = time.monotonic() + 60
        while True:
            said.write_text("")
            if self._begun("status", log=said).wait(60) == status and text in said.read_text():
                return
            assert time.monotonic() < until, said.read_text()

    def _logged(self, text):
        """Wait until *text* is logged, after what was waited for before."""
        until = time.monotonic() + 60
        while (found := self._path.read_text().find(text, self._read)) < 0:
            assert time.monotonic() < until, f"{text!r} was not logged:\n{self._path.read_text()}"
            time.sleep(0.02)
        self._read = found + len(text)

    def _hour_after(self, text):
        self._logged(text)
        self.clock.wait_until(self.clock.now() + timedelta(hours=1))

    def lost_nothing(self):
        """Assert that every value that the feed offered is filed, and each file is announced."""
        files = self._store.files()
        witness = Witness(files, self.valkey.client, self.kafka.messages(TOPIC))
        witness.all_promises()
        filed = [orjson.loads(gzip.decompress(body))["data"] for body in files.values()]
        # The whole market day is known.
        published = [normalise(orjson.loads(body)) for _, body in self.feed.published]
        last = max(published, key=lambda data: data["RefId"])
        wanted = {row["Time"]: row["Value"] for row in last["FiveMinTotalLoad"]}
        known = {row["Time"]: row["Value"] for data in filed for row in data["FiveMinTotalLoad"]}
        assert len(wanted) == 288
        assert wanted.items() <= known.items()
        # So is what the feed gave, but for what the run that was killed had in its hands.
        given = {published[number]["RefId"] for number in self.feed.given}
        assert len(given - {data["RefId"] for data in filed}) <= 1
        assert min(self.feed.gaps()) >= 60


def told_once(log):
    """Assert that the *log* of the day tells of each outage once, and of nothing worse."""
    # What is in progress then has less than a second to finish, which is a millisecond here.
    log = log[: log.rindex("Received SIGTERM")]
    assert "Traceback" not in log, log
    assert "] ERROR: " not in log, log
    for begin, end in (
        ("Waiting for the registry: ", "The registry works again, after "),
        ("Waiting for the store: ", "The store works again, after "),
        ("Waiting for the feed: ", "The feed works again, after "),
    ):
        assert (log.count(begin), log.count(end)) == (1, 1), log
    # The broker has two seconds for each message, or the program takes it for down.
    assert log.count("Kafka does not take messages") == log.count("Kafka takes messages") > 0, log
