"""The servers that a followed run waits for: told once when one fails, and once when it works again."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeVar

from scrapy.statscollectors import StatsCollector

from miso_scrapy.exceptions import Stopped
from miso_scrapy.stats import WAITING_FOR
from miso_scrapy.text.wording import one_line, spell

logger = logging.getLogger(__name__)

STORE, REGISTRY, FEED = "store", "registry", "feed"

# Seconds between two looks at whether the run is stopped.
POLL = 0.2
# Seconds before the next try: they grow, up to the last of these.
_PAUSES = (1, 2, 5)

T = TypeVar("T")


class Outages:
    """The outages that a run waits for, until *ending* returns True. *stats* has them too."""

    def __init__(self, stats: StatsCollector, ending: Callable[[], bool]) -> None:
        self._stats = stats
        self._ending = ending
        self._since: dict[str, float] = {}

    def __contains__(self, server: str) -> bool:
        return server in self._since

    def begin(self, server: str, problem: str | Exception) -> None:
        """Log that the run waits for *server* because of *problem*, unless it waits for it already."""
        if server not in self._since:
            self._since[server] = time.monotonic()
            self._show()
            logger.warning("Waiting for the %s: %s", server, one_line(problem))

    def end(self, server: str) -> None:
        """Log that *server* works again, if the run has waited for it."""
        if server in self._since:
            lasted = time.monotonic() - self._since.pop(server)
            self._show()
            words = f"{lasted:.0f} s" if lasted < 120 else spell(timedelta(seconds=lasted))
            logger.info("The %s works again, after %s", server, words)

    async def pause(self, tries: int) -> None:
        """Wait before the next try, after *tries* tries. Raises Stopped if the run is stopped."""
        until = time.monotonic() + _PAUSES[min(tries, len(_PAUSES)) - 1]
        while time.monotonic() < until:
            if self._ending():
                raise Stopped
            await asyncio.sleep(POLL)

    def _show(self) -> None:
        self._stats.set_value(WAITING_FOR, ", ".join(sorted(self._since)))


class DaemonThreads(ThreadPoolExecutor):
    """An executor for calls that may hang: the process can end without waiting for their threads."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Call *fn* in a thread of its own."""
        future: Future[T] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001  as ThreadPoolExecutor does
                future.set_exception(error)

        threading.Thread(target=call, daemon=True).start()
        return future
