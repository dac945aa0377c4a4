"""Run processes, and measure their cost from the operating system's accounting."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil


class PeerFailed(Exception):
    """A measured process failed."""


@dataclass(frozen=True)
class Cost:
    """The cost of a process and its descendants."""

    cpu: float
    """Seconds, user and system, of all its processes."""
    children: float
    """The part of *cpu* used by child processes, such as the embedded registry."""
    wall: float
    """Seconds from start to exit."""
    memory: float
    """The peak resident set of the largest of them, in MB."""


def run(command: Sequence[str | Path], env: Mapping[str, str], cwd: Path) -> tuple[Cost, str]:
    """Run *command* to its end; return its cost and its output. Raises PeerFailed."""
    _adopt_orphans()
    others = set(psutil.Process().children())
    with tempfile.TemporaryFile() as output:
        begin = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        # Wait without reaping: until then the kernel still has separate times for the process and its
        # children.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        wall = time.perf_counter() - begin
        times = psutil.Process(process.pid).cpu_times()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        orphans = _orphans(others)
        output.seek(0)
        printed = output.read().decode(errors="replace")
    if process.returncode:
        raise PeerFailed(f"{command}: exit status {process.returncode}\n{printed[-3000:]}")
    return (
        Cost(
            cpu=sum(used.ru_utime + used.ru_stime for used in (usage, *orphans)),
            children=times.children_user + times.children_system,
            wall=wall,
            memory=max(used.ru_maxrss for used in (usage, *orphans)) / 1024,
        ),
        printed,
    )


def _adopt_orphans() -> None:
    """Become the parent of descendants that outlive their parent, such as a pool's fork server.

    The kernel reports the cost of a process to the process that waits for it. Raises OSError if the
    system is not Linux.
    """
    subreaper = 36  # PR_SET_CHILD_SUBREAPER
    if ctypes.CDLL(None).prctl(subreaper, 1, 0, 0, 0):
        raise OSError("prctl failed: the benchmarks need Linux")


def _orphans(others: set[psutil.Process]) -> list[resource.struct_rusage]:
    """Wait for all children that are not in *others*; return the resource usage of each."""
    found = []
    while new := set(psutil.Process().children()) - others:
        found += [os.wait4(process.pid, 0)[2] for process in new]
    return found


def interleaved(runs: int, peers: Mapping[str, Callable[[], Cost]]) -> dict[str, Cost]:
    """Run each of *peers* in turn, *runs* times over; return the medians.

    The peers take turns, so that other load on the machine affects all of them alike.
    """
    costs: dict[str, list[Cost]] = {peer: [] for peer in peers}
    for _ in range(runs):
        for peer, measured in peers.items():
            costs[peer].append(measured())
    return {
        peer: Cost(
            **{
                name: median(getattr(cost, name) for cost in found)
                for name in Cost.__dataclass_fields__
            }
        )
        for peer, found in costs.items()
    }
