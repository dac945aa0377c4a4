"""Rows 20, 21 and 23: the cost of reading and of listing an archive in S3."""

from __future__ import annotations

import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from urllib.request import urlopen

from benchmarks import servers
from benchmarks.archives import simulated
from benchmarks.bucket import REQUESTS
from benchmarks.measure import Cost, interleaved, run
from benchmarks.peers import PEERS
from benchmarks.table import Line

_DELAY = 0.03  # s
_AT_ONCE = 32
_LISTING = Path(__file__).with_name("listing.py")


def row_20(*, small: bool) -> list[Line]:
    """Measure the first export of an archive in S3, against 32 requests at once that take no CPU."""
    with (
        simulated(7 if small else 70) as archive,
        servers.s3("--delay", str(_DELAY), "--archive", archive.root) as s3,
        tempfile.TemporaryDirectory() as directory,
    ):
        numbers = iter(range(99))

        def export() -> Cost:
            output = Path(directory) / str(next(numbers))
            return archive.scrapy("export", "-o", output, **{**s3(), "S3_BUCKET": "archive"})

        cost = interleaved(1 if small else 3, {"export": export})["export"]
    ideal = archive.files * _DELAY / _AT_ONCE
    return [
        Line(
            20,
            f"wall time of the first export of {archive.files:,} objects, each {1000 * _DELAY:.0f} ms "
            f"away, over the ideal of {_AT_ONCE} at once",
            goal=1.5,
            reached=cost.wall / ideal,
            measured={"project, s": cost.wall, "its CPU, s": cost.cpu, "the ideal, s": ideal},
        )
    ]


def row_21(*, small: bool) -> list[Line]:
    """Measure the memory of a listing, against boto3's paginator alone."""
    few, many = 1_000, 20_000 if small else 1_000_000
    with servers.s3() as s3:

        def memory(script: Path, number: int) -> float:
            env = {**servers.CLEAN, **s3(), "S3_BUCKET": f"listed-{number}"}
            printed = run([sys.executable, script], env, Path.cwd())[1]
            # Not what Cost has: that is never less than the memory of the process that measures.
            return int(printed.split()[-1]) / 1024

        project, paginator = (
            {number: memory(script, number) for number in (few, many)}
            for script in (_LISTING, PEERS / "paginator.py")
        )
    return [
        Line(
            21,
            f"peak memory, listing of {many:,} objects over {few:,}",
            goal=50,
            unit="MB",
            reached=project[many] - project[few],
            measured={
                f"{few:,} objects, MB": project[few],
                f"{many:,}, MB": project[many],
                "boto3's paginator alone, MB more": paginator[many] - paginator[few],
            },
        )
    ]


def row_23(*, small: bool) -> list[Line]:
    """Count the requests of an audit from tables, against boto3's paginator alone."""
    with (
        simulated(7 if small else 70) as archive,
        servers.s3("--archive", archive.root) as s3,
        tempfile.TemporaryDirectory() as directory,
    ):
        env = {**s3(), "S3_BUCKET": "archive"}
        counted = f"{env['AWS_ENDPOINT_URL']}{REQUESTS}"

        def requests() -> dict[str, int]:
            with urlopen(counted, timeout=10) as answer:
                return defaultdict(int, json.load(answer))

        archive.scrapy("audit", "--tables", "s3://archive/tables", **env)
        first = requests()
        cost = archive.scrapy("audit", "--tables", "s3://archive/tables", **env)
        again = requests()
        run([sys.executable, PEERS / "paginator.py"], {**servers.CLEAN, **env}, Path(directory))
        paginator = requests()
    return [
        Line(
            23,
            f"objects read by `scrapy audit --tables` of {archive.files:,} objects in S3, tables up to "
            "date, but for the manifest and the archive's identity",
            goal=0,
            unit="objects",
            reached=again["GET"] - 2,
            measured={
                "listings": again["LIST"],
                "boto3's paginator, listings": paginator["LIST"],
                "objects read by the first audit": first["GET"],
                "wall, s": cost.wall,
            },
        )
    ]
