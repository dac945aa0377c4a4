"""Rows 8 to 10: the cost of following, and what an outage costs."""

from __future__ import annotations

import gzip
import subprocess
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import psutil

from benchmarks import servers
from benchmarks.crawls import DAY, Peers
from benchmarks.measure import Cost, PeerFailed, interleaved
from benchmarks.table import Line
from miso_scrapy.feed.shape import normalise
from tests.support.archive_reader import files_in
from tests.support.fast_clock import FastClock, FastValkey, PublishedFeed
from tests.support.servers import S3, EmptyBucket
from tests.support.tcp_proxy import Proxy

SECONDS_OF_A_DAY = 86_400
# Until then a run has imported what it needs, and waits.
_STARTED = 15
CANDIDATES, FEW = 2_000, 20
# A minute of the outages' clock is half a second.
SPEED = 120


def _follow(peers: Peers, number: int) -> Cost:
    """File *number* candidates with a run that follows, each with new content, into a directory."""
    return peers.project(number, arguments=("-a", "follow=1"))


def row_8(*, small: bool) -> list[Line]:
    """Measure the CPU of a day of following: waiting, and 288 snapshots."""
    idle = _idle(40 if small else 300)
    with servers.feed() as feed:
        peers = Peers(feed)
        cost = interleaved(
            1 if small else 3,
            {"day": lambda: _follow(peers, DAY), "one": lambda: _follow(peers, 1)},
        )
    work = (cost["day"].cpu - cost["one"].cpu) / (DAY - 1) * DAY
    waiting = {name: used * SECONDS_OF_A_DAY for name, used in idle.items()}
    return [
        Line(
            8,
            "CPU of a day of following, the embedded registry included",
            goal=40,
            unit="s",
            reached=sum(waiting.values()) + work,
            measured={
                **{f"waiting, {name}, s": used for name, used in waiting.items()},
                f"{DAY} snapshots, s": work,
            },
        )
    ]


def _idle(seconds: float) -> dict[str, float]:
    """Return the CPU per second of a run that waits for a candidate, by the name of the process."""
    start = datetime.now(UTC) + timedelta(hours=2)
    command = [servers.BIN / "scrapy", "crawl", "miso_rtload", "-a", "follow=1"]
    with tempfile.TemporaryDirectory() as directory:
        run = subprocess.Popen(
            [*command, "-a", f"start={start:%FT%R}"],
            cwd=directory,
            env=servers.PROJECT,
            stderr=subprocess.DEVNULL,
        )
        try:
            time.sleep(_STARTED)
            processes = [psutil.Process(run.pid), *psutil.Process(run.pid).children()]
            before = [_ran(process.pid) for process in processes]
            time.sleep(seconds)
            after = [_ran(process.pid) for process in processes]
        finally:
            run.terminate()
            run.wait()
    if len(processes) != 2:
        raise PeerFailed("the run has not started its registry in time")
    names = ("Scrapy", "Valkey")
    return {
        name: (late - early) / seconds
        for name, early, late in zip(names, before, after, strict=True)
    }


def _ran(pid: int) -> float:
    """Return how long the threads of *pid* have run, in seconds; psutil counts in hundredths only."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def row_9(*, small: bool) -> list[Line]:
    """Measure the memory of a run that follows."""
    number = CANDIDATES // 4 if small else CANDIDATES
    with servers.feed() as feed:
        peers = Peers(feed)
        cost = interleaved(
            1 if small else 3,
            {"few": lambda: _follow(peers, FEW), "many": lambda: _follow(peers, number)},
        )
    few, many = cost["few"], cost["many"]
    return [
        Line(
            9,
            f"peak memory of following, {number:,} candidates over {FEW}",
            goal=3,
            unit="MB",
            reached=many.memory - few.memory,
            measured={f"{FEW} candidates, MB": few.memory, f"{number:,}, MB": many.memory},
        )
    ]


def row_10(*, small: bool) -> list[Line]:
    """Count what an outage of Redis, S3 and the feed loses, each an hour of a clock that runs fast."""
    begin = datetime(2025, 12, 5, 12, tzinfo=UTC)
    outage = timedelta(minutes=20 if small else 60)
    pause = timedelta(minutes=20)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        clock = FastClock(begin, SPEED)
        feed = stack.enter_context(PublishedFeed(clock, begin, DAY, phase=150, jitter=90))
        valkey = stack.enter_context(FastValkey(clock, directory))
        s3 = S3()
        stack.callback(s3.stop)
        bucket = EmptyBucket(s3)
        redis, store = Proxy(valkey.port), Proxy(int(s3.endpoint.rpartition(":")[2]))
        stack.callback(redis.stop)
        stack.callback(store.stop)
        env = {
            **servers.PROJECT,
            **bucket.settings,
            **clock.environment(),
            "AWS_ENDPOINT_URL": f"http://{store.address}",
            "AWS_EC2_METADATA_DISABLED": "true",
            "MISO_API_URL": feed.url,
            "MISO_DATA_DIR": str(directory / "data"),
            "REDIS_URL": valkey.url.replace(str(valkey.port), str(redis.port)),
            "REGISTRY_CLAIM_TTL": "600",
            "DOWNLOAD_TIMEOUT": "6000",
        }
        command = [servers.BIN / "scrapy", "crawl", "miso_rtload", "-a", "follow=1"]
        run = subprocess.Popen(command, cwd=directory, env=env, stderr=subprocess.DEVNULL)
        stack.callback(run.kill)
        feed.began()
        for server in (redis, store, None):
            clock.wait_until(clock.now() + pause)
            if server:
                server.turn("refuse")
            else:
                feed.fault = (503, {}, b"")
            clock.wait_until(clock.now() + outage)
            if server:
                server.turn("pass")
            else:
                feed.fault = None
        clock.wait_until(clock.now() + pause)
        run.terminate()
        if run.wait(60):
            raise PeerFailed(f"the followed run ended with {run.returncode}")
        files = files_in(bucket.client, bucket.name).values()
        filed = {orjson.loads(gzip.decompress(body))["data"]["RefId"] for body in files}
        given = {
            normalise(orjson.loads(feed.published[number][1]))["RefId"] for number in feed.given
        }
    return [
        Line(
            10,
            f"an outage of Redis, S3 and the feed, {outage // timedelta(minutes=1)} min each: "
            "snapshots that the feed gave and that are lost",
            goal=0,
            unit="snapshots",
            reached=len(given - filed),
            measured={"given": len(given), "asked": len(feed.asked)},
        )
    ]
