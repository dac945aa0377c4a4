"""Run processes, and take what the operating system says they cost."""

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
    """A measured process did not do its work."""


@dataclass(frozen=True)
class Cost:
    """What a process and its descendants have cost."""

    cpu: float
    """Seconds, user and system, of all its processes."""
    children: float
    """The part of *cpu* that is its children's, such as the embedded registry."""
    wall: float
    """Seconds from start to exit."""
    memory: float
    """The peak resident set of the largest of them, in MB."""


def run(command: Sequence[str | Path], env: Mapping[str, str], cwd: Path) -> tuple[Cost, str]:
    """Run *command* to its end; return its cost, and what it printed. Raises PeerFailed."""
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
        # Not reaped yet: until it is, the kernel tells its own part from its children's.
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
    """Become the parent of what outlives its own, such as the server that forks a pool's workers:
    the kernel counts what a process has cost for who waits for it.
    """
    subreaper = 36  # PR_SET_CHILD_SUBREAPER
    if ctypes.CDLL(None).prctl(subreaper, 1, 0, 0, 0):
        raise OSError("prctl: no Linux")


def _orphans(others: set[psutil.Process]) -> list[resource.struct_rusage]:
    """Wait for children that are none of *others*, and return what each has cost."""
    found = []
    while new := set(psutil.Process().children()) - others:
        found += [os.wait4(process.pid, 0)[2] for process in new]
    return found


def interleaved(runs: int, peers: Mapping[str, Callable[[], Cost]]) -> dict[str, Cost]:
    """Run each of *peers* in turn, *runs* times over; return the medians.

    In turn, so that what else the machine does in between falls on all of them.
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
