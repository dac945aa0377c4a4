"""Rows 6 and 7: the cost of exporting, auditing and reindexing an archive."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from benchmarks import servers
from benchmarks.measure import Cost, interleaved, run
from benchmarks.peers import PEERS
from benchmarks.table import Line

FIRST = date(2024, 12, 31)
_DAY = 288
_TREE = Path("sourcing/miso_realtime_total_load")


@dataclass(frozen=True)
class Archive:
    """A simulated archive of *days* market days below *root*."""

    root: Path
    days: int

    @property
    def files(self) -> int:
        """The number of files."""
        return self.days * _DAY

    def scrapy(self, *arguments: str | Path, **settings: str) -> Cost:
        """Run one of the project's commands on this archive, unless *settings* name another."""
        with tempfile.TemporaryDirectory() as directory:
            env = {**servers.PROJECT, "MISO_DATA_DIR": str(self.root), **settings}
            return run([servers.BIN / "scrapy", *arguments], env, Path(directory))[0]

    def peer(self, name: str, *arguments: str) -> Cost:
        """Run the peer script *name* on this archive."""
        command = [sys.executable, PEERS / name, self.root / _TREE, *arguments]
        return run(command, servers.CLEAN, self.root)[0]

    def without_the_last(self) -> Callable[[], Path]:
        """Move the newest file away. Return a function that moves it back."""
        newest = max((self.root / _TREE).rglob("*.json.gz"))
        aside = newest.rename(self.root / newest.name)
        return lambda: aside.rename(newest)


@contextlib.contextmanager
def simulated(days: int) -> Iterator[Archive]:
    """Write a simulated archive of *days* market days, and yield it."""
    with tempfile.TemporaryDirectory() as directory:
        archive = Archive(Path(directory), days)
        end = FIRST + timedelta(days=days)
        archive.scrapy("simulate", "--write", directory, "--start", f"{FIRST}", "--end", f"{end}")
        yield archive


def row_6(*, small: bool) -> list[Line]:
    """Measure an export against gunzip and parsing alone, and a pandas loop against the export."""
    month = 3 if small else 31
    with simulated(14 if small else 365) as archive, tempfile.TemporaryDirectory() as directory:
        again: list[Cost] = []
        numbers = iter(range(99))

        def export() -> Cost:
            output = Path(directory) / str(next(numbers))
            put_back = archive.without_the_last()
            cost = archive.scrapy("export", "-o", output)
            put_back()
            again.append(archive.scrapy("export", "-o", output))
            return cost

        cost = interleaved(
            1 if small else 3,
            {
                "export": export,
                "bound": lambda: archive.peer("bound.py"),
                "pandas": lambda: archive.peer("pandas_loop.py", f"{FIRST}T05", str(month)),
            },
        )
    fold, bound, pandas = cost["export"], cost["bound"], cost["pandas"]
    each, loop = 1000 / archive.files, 1000 / (month * _DAY)
    files = f"{archive.files:,} files"
    return [
        Line(
            6,
            f"CPU of `scrapy export` of {files}, over gunzip and orjson of the same files alone",
            goal=1.2,
            reached=fold.cpu / bound.cpu,
            measured={"project, s": fold.cpu, "bound, s": bound.cpu, "project, MB": fold.memory},
        ),
        Line(
            6,
            f"CPU per file of a pandas loop over {month} days, over that export's",
            goal=20,
            more=True,
            reached=loop * pandas.cpu / (each * fold.cpu),
            measured={
                "project, ms": each * fold.cpu,
                "pandas, ms": loop * pandas.cpu,
                "the bound, ms": each * bound.cpu,
                "pandas, MB": pandas.memory,
            },
        ),
        Line(
            6,
            "the same in wall time, the export with all cores",
            more=True,
            reached=loop * pandas.wall / (each * fold.wall),
            measured={"project, ms": each * fold.wall, "pandas, ms": loop * pandas.wall},
        ),
        Line(
            6,
            "wall time of that export, with all cores; over the bound's",
            reached=fold.wall / bound.wall,
            measured={"project, s": fold.wall, "bound, s": bound.wall},
        ),
        Line(
            6,
            "the same export again, after one new snapshot, wall time",
            goal=2,
            unit="s",
            reached=sorted(cost.wall for cost in again)[len(again) // 2],
        ),
    ]


def row_7(*, small: bool) -> list[Line]:
    """Measure the CPU of an audit and of a reindex, against gunzip and parsing alone."""
    with simulated(14 if small else 365) as archive:
        cost = interleaved(
            1 if small else 3,
            {
                "audit": lambda: archive.scrapy("audit", "--json"),
                "reindex": lambda: archive.scrapy("reindex"),
                "bound": lambda: archive.peer("bound.py"),
            },
        )
    return [
        Line(
            7,
            f"CPU of `scrapy {name}` of {archive.files:,} files, over gunzip and orjson alone",
            reached=cost[name].cpu / cost["bound"].cpu,
            measured={
                "project, s": cost[name].cpu,
                "bound, s": cost["bound"].cpu,
                "project, MB": cost[name].memory,
                "wall, s": cost[name].wall,
            },
        )
        for name in ("audit", "reindex")
    ]
