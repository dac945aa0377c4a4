"""Storage of the feed's turn, answer and hold-off, for all who share the limit.

With Redis, they are in three keys, by the clock of Redis. Each change is one transaction, which starts
again if another worker changes the state meanwhile. Without Redis, they are in a file below
MISO_DATA_DIR, under a lock, so that `scrapy check` can use the answer of a run that has not ended.

A kill between two changes costs one interval at most: the turn is taken before the request is sent,
and stays taken.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import math
import platform
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from miso_scrapy.feed.turns import (
    Answer,
    FeedState,
    Now,
    Shared,
    Turn,
    Wait,
    ask,
    finish,
    hold_off,
    slack,
)
from miso_scrapy.registry.client import Registry, RegistryUnavailable

T = TypeVar("T")
Decision = Callable[[FeedState, Now], tuple[FeedState, T]]

_DAY = 86400


class Turns(ABC):
    """The limit on requests to one link. *interval* is in seconds.

    *fresh*: do not use an answer to a request that was sent before the first call. Every method
    raises RegistryUnavailable.
    """

    def __init__(self, url: str, interval: float, *, fresh: bool = False) -> None:
        self.url = url
        self.link = hashlib.md5(url.encode(), usedforsecurity=False).hexdigest()
        self.interval = interval
        self._fresh = fresh
        self._since = 0.0

    async def ask(self, late: Turn | None = None) -> Turn | Shared | Wait:
        """Take the turn if it is free; otherwise return the shared answer, or how long to wait.

        *late* is the turn that the last call returned, if it came too late to be used.
        """

        def decide(state: FeedState, now: Now) -> tuple[FeedState, Turn | Shared | Wait]:
            if self._fresh:
                self._fresh, self._since = False, now.steady
            return ask(state, now, self.interval, self._since, late)

        return await self._change(decide)

    async def finish(self, turn: Turn, answer: Answer | None = None) -> None:
        """End *turn*, and share its *answer* until the interval is over."""
        await self._change(lambda state, now: (finish(state, now, turn, answer), None))

    async def hold_off(self, seconds: float) -> None:
        """Allow no request for *seconds*."""
        await self._change(lambda state, now: (hold_off(state, now, seconds), None))

    @abstractmethod
    async def _change(self, decide: Decision[T]) -> T:
        """Replace the state by the one that *decide* returns, atomically; return its result."""


class RedisTurns(Turns):
    """The limit for all who share a registry in Redis."""

    def __init__(
        self, registry: Registry, url: str, interval: float, *, fresh: bool = False
    ) -> None:
        super().__init__(url, interval, fresh=fresh)
        self._registry = registry

    async def _change(self, decide: Decision[T]) -> T:
        async def step(pipeline: Any, turn: str, answer: str, not_before: str) -> T:
            kept = await pipeline.mget(turn, answer, not_before)
            seconds, microseconds = await pipeline.time()
            now = seconds + microseconds / 1e6
            before = FeedState(
                turn=None if kept[0] is None else float(kept[0]),
                answer=kept[1] and Answer.from_json(json.loads(kept[1])),
                not_before=float(kept[2] or 0),
            )
            after, result = decide(before, Now(now, now))
            pipeline.multi()
            if after.turn is not None and after.turn != before.turn:
                # Keep it longer than our interval: another worker's may be longer.
                pipeline.set(turn, repr(after.turn), px=_ms(max(_DAY, 2 * self.interval)))
            if after.answer is None and before.answer is not None:
                pipeline.delete(answer)
            elif after.answer is not None and after.answer is not before.answer:
                kept_for = self.interval + slack(self.interval)
                pipeline.set(answer, json.dumps(after.answer.to_json()), px=_ms(kept_for))
            if after.not_before > max(before.not_before, now):
                pipeline.set(not_before, repr(after.not_before), px=_ms(after.not_before - now))
            return result

        names = (f"turn:{self.link}", f"answer:{self.link}", f"not-before:{self.link}")
        return await self._registry.transact(step, *names)


class DirectoryTurns(Turns):
    """The limit for all runs without Redis that use the same data directory."""

    def __init__(self, directory: Path, url: str, interval: float, *, fresh: bool = False) -> None:
        super().__init__(url, interval, fresh=fresh)
        self._directory = directory
        self._path = directory / f"{self.link}.json"

    async def _change(self, decide: Decision[T]) -> T:
        return await asyncio.to_thread(self._change_file, decide)

    def _change_file(self, decide: Decision[T]) -> T:
        try:
            before = self._read()
            after, result = decide(before, _now())
            if after == before:  # no lock: without a limit there is no file
                return result
            self._directory.mkdir(parents=True, exist_ok=True)
            with (self._directory / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # released when it is closed, by a kill too
                after, result = decide(self._read(), _now())
                self._write(after)
                return result
        except OSError as error:
            raise RegistryUnavailable(
                f"{self._directory} cannot be written to: {error.strerror}; check MISO_DATA_DIR, its "
                "permissions and the free space"
            ) from error

    def _read(self) -> FeedState:
        try:
            kept = json.loads(self._path.read_text())
            if kept["clock"] != _CLOCK:  # another machine, or a restart: the turn's age is unknown
                return FeedState(math.inf, kept["not_before"])
            answer = kept["answer"] and Answer.from_json(kept["answer"])
            return FeedState(kept["turn"], kept["not_before"], answer)
        except FileNotFoundError:
            return FeedState()
        except (ValueError, TypeError, KeyError):  # damaged
            return FeedState(math.inf)

    def _write(self, state: FeedState) -> None:
        temporary = self._path.with_suffix(".new")
        kept = {
            "clock": _CLOCK,
            "turn": state.turn,
            "not_before": state.not_before,
            "answer": state.answer and state.answer.to_json(),
        }
        temporary.write_text(json.dumps(kept))
        temporary.replace(self._path)


def _clock() -> str:
    """Return a name for this machine's monotonic clock; on Linux, it changes with each start."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # not Linux
        return platform.node()


_CLOCK = _clock()


def _now() -> Now:
    """Return the current time. All processes share the monotonic clock, which cannot be set."""
    return Now(time.monotonic(), time.time())


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))
