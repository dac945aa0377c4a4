"""A followed run lives through a day of simulated time, and the archive has what the feed offered."""

import contextlib
import signal
from datetime import UTC, datetime, timedelta

import orjson

from miso_scrapy.feed.shape import normalise
from tests.support.archive_reader import Witness, files_below
from tests.support.crawl import started
from tests.support.fast_clock import FastClock, FastValkey, PublishedFeed, faketime
from tests.support.tcp_proxy import Proxy

MIDNIGHT = datetime(2025, 12, 5, 5, tzinfo=UTC)  # of the market day, in EST
SPEED = 720


def at(hours):
    return MIDNIGHT + timedelta(hours=hours)


@contextlib.contextmanager
def store_down(root):
    """A disk that takes no file: what should be a directory is not one."""
    place = root / "sourcing"
    place.rename(root / "away")
    place.write_text("")
    yield
    place.unlink()
    (root / "away").rename(place)


@faketime
def test_a_day_with_outages_a_kill_and_a_clock_that_jumps_costs_no_value(
    environment, archive, tmp_path
):
    clock = FastClock(at(0.5), SPEED)
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

        def start():
            env = {**environment, **clock.environment()}
            log = stack.enter_context((tmp_path / "log").open("a"))
            return stack.enter_context(started(tmp_path, env, "-a", "follow=1", output=log))

        run = start()
        feed.began()
        clock.wait_until(at(5))
        redis.turn("refuse")
        clock.wait_until(at(6))
        redis.turn("pass")
        clock.wait_until(at(8))
        with store_down(archive.root):
            clock.wait_until(at(9))
        clock.wait_until(at(11))
        feed.fault = (503, {}, b"")
        clock.wait_until(at(12))
        feed.fault = None
        clock.wait_until(at(13))
        run.send_signal(signal.SIGKILL)
        run.wait()
        clock.jump(timedelta(hours=1))  # the machine was asleep
        run = start()
        clock.wait_until(at(24.2))
        run.send_signal(signal.SIGTERM)
        assert run.wait(30) == 0
        log = (tmp_path / "log").read_text()
        witness = Witness(files_below(archive.root), valkey.client)

    assert "Traceback" not in log, log
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
