"""Rows 1 to 5: the cost of collecting."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks import servers
from benchmarks.measure import Cost, PeerFailed, interleaved, run
from benchmarks.peers import PEERS
from benchmarks.table import Line

DAY = 288
YEAR = 105_120
# The first candidate of a market day. It is over a year ago, because a run waits for candidates in the
# future.
START = datetime.fromisoformat("2024-12-05T05:00")

Settings = Mapping[str, object]
# The project's settings, given to bare Scrapy too: one request at a time.
ONE_AT_A_TIME = {"CONCURRENT_REQUESTS": 1, "CONCURRENT_REQUESTS_PER_DOMAIN": 1}
EACH_A_FETCH = {"MISO_MIN_INTERVAL": 0}


class Peers:
    """Run the project and its peers on *feed*.

    Each run starts with an empty archive, and with the same time on the feed's clock.
    """

    def __init__(self, feed: servers.Feed, advance: float = 5) -> None:
        self.feed = feed
        self.advance = advance

    def project(
        self,
        number: int,
        *into: servers.Fresh,
        settings: Settings = EACH_A_FETCH,
        arguments: Sequence[str] = (),
    ) -> Cost:
        """File *number* candidates with the project, into the servers *into*, or into a directory.

        *arguments* are those of the spider, besides its start and end.
        """
        last = START + timedelta(minutes=5 * (number - 1))
        arguments = [*arguments, "-a", f"start={START:%FT%R}", "-a", f"end={last:%FT%R}"]
        env = {name: value for fresh in into for name, value in fresh().items()}
        return self._scrapy(
            ["crawl", "miso_rtload", *arguments], settings, {**servers.PROJECT, **env}
        )

    def bare(self, number: int, settings: Settings = ONE_AT_A_TIME) -> Cost:
        """Request *number* snapshots with bare Scrapy."""
        spider = ["runspider", PEERS / "bare.py", "-a", f"requests={number}", "--loglevel=INFO"]
        return self._scrapy(spider, settings, servers.CLEAN)

    def script(self, number: int, *into: servers.Fresh) -> Cost:
        """Collect *number* candidates with the peer script, into the servers *into*."""
        env = {name: value for fresh in into for name, value in fresh().items()}
        command = [sys.executable, PEERS / "collector.py", f"{START:%FT%R}", str(number)]
        return self._run(command, {**servers.CLEAN, **env})[0]

    def _scrapy(self, arguments: list[str | Path], settings: Settings, env: dict[str, str]) -> Cost:
        command: list[str | Path] = [servers.BIN / "scrapy", *arguments]
        for name, value in settings.items():
            command += ["-s", f"{name}={value}"]
        cost, printed = self._run(command, env)
        if "] ERROR: " in printed or "] CRITICAL: " in printed:
            raise PeerFailed(f"{command}:\n{printed[-3000:]}")
        return cost

    def _run(self, command: list[str | Path], env: dict[str, str]) -> tuple[Cost, str]:
        self.feed.set(f"{START:%FT%R}+00:00", self.advance)
        with tempfile.TemporaryDirectory() as directory:
            return run(command, {**env, "MISO_API_URL": self.feed.url}, Path(directory))


Ask = Callable[[int], Cost]


def _each(
    runs: int, number: int, peers: Mapping[str, Ask], part: str = "cpu"
) -> tuple[dict[str, float], dict[str, Cost]]:
    """Return the cost of each further snapshot with each peer, in ms, and the medians behind it.

    The cost of a further snapshot is the cost of *number* snapshots minus the cost of one, divided by
    *number* - 1. This leaves out the start of the process. *part* is the field of Cost to use. With one
    run in place of three, CPU was seen to be off by a factor of four.
    """

    def asks(ask: Ask, size: int) -> Callable[[], Cost]:
        return lambda: ask(size)

    medians = interleaved(
        runs,
        {f"{peer} {size}": asks(ask, size) for peer, ask in peers.items() for size in (1, number)},
    )
    each = {
        peer: 1000
        * (getattr(medians[f"{peer} {number}"], part) - getattr(medians[f"{peer} 1"], part))
        / (number - 1)
        for peer in peers
    }
    return each, medians


def row_1(*, small: bool) -> list[Line]:
    """Measure the CPU per snapshot into a directory, against bare Scrapy."""
    with servers.feed() as feed:
        peers = Peers(feed)
        cpu, medians = _each(
            3 if small else 5, DAY, {"project": peers.project, "bare Scrapy": peers.bare}
        )
    registry = medians[f"project {DAY}"].children - medians["project 1"].children
    return [
        Line(
            1,
            "CPU per snapshot, each with new content, into a directory with the embedded registry; "
            "over bare Scrapy",
            goal=1.35,
            reached=cpu["project"] / cpu["bare Scrapy"],
            measured={
                "project, ms": cpu["project"],
                "the part of its Valkey, ms": 1000 * registry / (DAY - 1),
                "bare Scrapy, ms": cpu["bare Scrapy"],
            },
        )
    ]


def row_2(*, small: bool) -> list[Line]:
    """Measure the CPU per snapshot into S3 and Redis, without and with Kafka, against bare Scrapy."""
    with (
        servers.feed() as feed,
        servers.s3() as s3,
        servers.redis() as redis,
        servers.kafka() as kafka,
    ):
        peers = Peers(feed)
        cpu, _ = _each(
            3 if small else 5,
            DAY,
            {
                "S3 and Redis": lambda number: peers.project(number, s3, redis),
                "S3, Redis and Kafka": lambda number: peers.project(number, s3, redis, kafka),
                "bare Scrapy": peers.bare,
            },
        )
    bare = cpu.pop("bare Scrapy")
    return [
        Line(
            2,
            f"the same, into {places}",
            goal=2.5,
            reached=value / bare,
            measured={"project, ms": value, "bare Scrapy, ms": bare},
        )
        for places, value in cpu.items()
    ]


def row_3(*, small: bool) -> list[Line]:
    """Measure the wall time of a day from a feed with a delay of 60 ms."""
    day = DAY // 6 if small else DAY
    together = {"CONCURRENT_REQUESTS": 32, "CONCURRENT_REQUESTS_PER_DOMAIN": 32, **EACH_A_FETCH}
    with servers.feed("delay=0.06") as feed, servers.s3() as s3, servers.redis() as redis:
        peers = Peers(feed)
        each, medians = _each(
            1 if small else 3,
            day,
            {
                "project": lambda number: peers.project(number, s3, redis, settings=together),
                "script": lambda number: peers.script(number, s3, redis),
            },
            part="wall",
        )
    wall = {peer: medians[f"{peer} {day}"].wall for peer in each}
    what = (
        f"{day} snapshots from a feed 60 ms away into S3 and Redis, wall time of the usual script"
    )
    return [
        Line(
            3,
            f"{what} over the project's, start-up and all",
            goal=8,
            more=True,
            reached=wall["script"] / wall["project"],
            measured={f"{peer}, s": value for peer, value in wall.items()},
        ),
        Line(
            3,
            "the same without start-up",
            goal=20,
            more=True,
            reached=each["script"] / each["project"],
            measured={f"{peer}, ms a snapshot": value for peer, value in each.items()},
        ),
    ]


def row_4(*, small: bool) -> list[Line]:
    """Measure the memory for a year of candidates, and the CPU per candidate of an unchanged feed."""
    year = YEAR // 50 if small else YEAR
    unchanged = {"MISO_REQUIRE_COVERAGE": 0, "MISO_MIN_INTERVAL": 3600}
    cached = {**ONE_AT_A_TIME, "HTTPCACHE_ENABLED": 1}
    with servers.feed() as feed:
        peers = Peers(feed, advance=0)
        cpu, _ = _each(
            3,
            2_000,
            {
                "project": lambda number: peers.project(number, settings=unchanged),
                "bare Scrapy": lambda number: peers.bare(number, cached),
            },
        )
        short = peers.project(DAY, settings=unchanged)
        long = peers.project(year, settings=unchanged)
    return [
        Line(
            4,
            f"peak memory, {year:,} candidates over {DAY}",
            goal=15,
            unit="MB",
            reached=long.memory - short.memory,
            measured={f"{DAY} candidates, MB": short.memory, f"{year:,}, MB": long.memory},
        ),
        Line(
            4,
            "CPU per candidate when the feed did not change; over bare Scrapy, with its HTTP cache",
            goal=1,
            reached=cpu["project"] / cpu["bare Scrapy"],
            measured={f"{peer}, ms": value for peer, value in cpu.items()},
        ),
    ]


def row_5(*, small: bool) -> list[Line]:
    """Measure the CPU of a scheduled run of one snapshot."""
    with servers.feed() as feed, servers.redis() as redis, servers.s3() as s3:
        peers = Peers(feed)
        cost = interleaved(
            3 if small else 9,
            {
                "embedded": lambda: peers.project(1, settings={}),
                "redis": lambda: peers.project(1, redis, settings={}),
                "s3": lambda: peers.project(1, s3, redis, settings={}),
                "bare": lambda: peers.bare(1, {}),
                "script": lambda: peers.script(1, s3, redis),
            },
        )
    cpu = {peer: measured.cpu for peer, measured in cost.items()}
    return [
        Line(
            5,
            "CPU of a run of one snapshot, start to exit, directory and embedded registry; over "
            "`scrapy runspider` with one request",
            goal=1,
            reached=cpu["embedded"] / cpu["bare"],
            measured={"project, s": cpu["embedded"], "bare Scrapy, s": cpu["bare"]},
        ),
        Line(
            5,
            "the same, with a Redis that is there",
            goal=1.5,
            reached=cpu["redis"] / cpu["bare"],
            measured={"project, s": cpu["redis"], "bare Scrapy, s": cpu["bare"]},
        ),
        Line(
            5,
            "the same, into S3 and Redis; over the usual script, start to exit",
            goal=1.8,
            reached=cpu["s3"] / cpu["script"],
            measured={"project, s": cpu["s3"], "script, s": cpu["script"]},
        ),
    ]
