"""A followed run lives through a day of simulated time, and the archive has what the feed offered."""

import contextlib
import signal
import time
from datetime import UTC, datetime, timedelta

import orjson

from miso_scrapy.feed.shape import normalise
from tests.support.archive_reader import Witness, files_below
from tests.support.crawl import started
from tests.support.faketime import faketime
from tests.support.fast_clock import FastClock, FastValkey, PublishedFeed
from tests.support.tcp_proxy import Proxy

MIDNIGHT = datetime(2025, 12, 5, 5, tzinfo=UTC)  # of the market day, in EST
SPEED = 720


def at(hours):
    return MIDNIGHT + timedelta(hours=hours)


class Disk:
    """A disk for the files of the archive in *root*, which may fail."""

    def __init__(self, root, directory):
        self._place = root / "sourcing"
        self._directory = directory
        directory.mkdir()
        root.mkdir()
        self._lead_to(directory)

    def _lead_to(self, target):
        later = self._place.with_name("later")
        later.symlink_to(target)
        later.replace(self._place)

    @contextlib.contextmanager
    def down(self):
        self._lead_to("/dev/null")  # no directory
        yield
        self._lead_to(self._directory)

    def leave(self):
        """Leave the files in the directory itself."""
        self._place.unlink()
        self._directory.rename(self._place)


@faketime
def test_a_day_with_outages_a_kill_and_a_clock_that_jumps_costs_no_value(
    environment, archive, tmp_path
):
    clock = FastClock(at(0.5), SPEED)
    disk = Disk(archive.root, tmp_path / "disk")
    with contextlib.ExitStack() as stack:
        feed = stack.enter_context(PublishedFeed(clock, at(0), 288, phase=40, jitter=90))
        valkey = stack.enter_context(FastValkey(clock, tmp_path))
        redis = Proxy(valkey.port)
        stack.callback(redis.stop)
        environment.update(
            MISO_API_URL=feed.url,
            REDIS_URL=valkey.url.replace(str(valkey.port), str(redis.port)),
            MISO_MIN_INTERVAL="60",
            REGISTRY_CLAIM_TTL="600",
            DOWNLOAD_TIMEOUT="6000",
        )

        path = tmp_path / "log"
        seen = [0]

        def start():
            env = {**environment, **clock.environment()}
            log = stack.enter_context(path.open("a"))
            run = stack.enter_context(started(tmp_path, env, "-a", "follow=1", output=log))
            logged(" stored ")
            return run

        def logged(text):
            """Wait until *text* is logged, after what was waited for before."""
            until = time.monotonic() + 60
            while (found := path.read_text().find(text, seen[-1])) < 0:
                assert time.monotonic() < until, f"{text!r} was not logged:\n{path.read_text()}"
                time.sleep(0.02)
            seen.append(found + len(text))

        def an_hour_without(server):
            logged(f"Waiting for the {server}: ")
            clock.wait_until(clock.now() + timedelta(hours=1))

        run = start()
        redis.turn("refuse")
        an_hour_without("registry")
        redis.turn("pass")
        logged(" stored ")
        with disk.down():
            an_hour_without("store")
        logged(" stored ")
        feed.fault = (503, {}, b"")
        an_hour_without("feed")
        feed.fault = None
        logged(" stored ")
        run.send_signal(signal.SIGKILL)
        run.wait()
        clock.jump(at(23) - clock.now())  # the machine was off
        run = start()
        logged("interval 2025-12-06T04:55:00Z")
        run.send_signal(signal.SIGTERM)
        assert run.wait(30) == 0
        log = path.read_text()
        disk.leave()
        witness = Witness(files_below(archive.root), valkey.client)

    # Scrapy gives its connections a second to close, a millisecond here, and then logs an error.
    log = log[: log.rindex("Spider closed")]
    assert "Traceback" not in log, log
    assert "] ERROR: " not in log, log
    for server in ("registry", "store", "feed"):
        assert log.count(f"Waiting for the {server}: ") == 1, log
        assert log.count(f"The {server} works again, after ") == 1, log
    filed = [archive.document(path)["data"] for path in archive.files()]
    # The whole market day is known.
    published = [normalise(orjson.loads(body)) for _, body in feed.published]
    last = max(published, key=lambda data: data["RefId"])
    wanted = {row["Time"]: row["Value"] for row in last["FiveMinTotalLoad"]}
    known = {row["Time"]: row["Value"] for data in filed for row in data["FiveMinTotalLoad"]}
    assert len(wanted) == 288
    assert wanted.items() <= known.items()
    # So is what the feed gave, but for what the run that was killed had in its hands.
    given = {published[number]["RefId"] for number in feed.given}
    assert len(given - {data["RefId"] for data in filed}) <= 1
    assert min(feed.gaps()) >= 60
    witness.all_promises()
