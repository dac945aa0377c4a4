"""A progress bar on a terminal; it is not shown if standard error is a pipe or a log file."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from miso_scrapy.components import Component, spider_of
from miso_scrapy.logs.json_format import is_json
from miso_scrapy.logs.terminal import bar_size
from miso_scrapy.stats import Outcome

_REFRESH = 0.2


class _AboveTheBar:
    """A stream that writes log lines to standard error, above the bar."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def write(self, text: str) -> None:
        with self._bar.external_write_mode(file=sys.stderr):
            sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


class Progress(Component):
    """Show how many candidates of a range are done, their outcomes, and the remaining time."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        if not _is_terminal(sys.stderr) or is_json(crawler.settings):
            raise NotConfigured
        self.bar: Any = None
        self._moved: list[logging.StreamHandler[Any]] = []
        crawler.signals.connect(self._opened, signal=signals.spider_opened)
        crawler.signals.connect(self._closed, signal=signals.spider_closed)

    def _opened(self) -> None:
        candidates = spider_of(self.crawler).candidates
        if not candidates or candidates.endless or len(candidates) < 2:
            return
        from tqdm import tqdm

        self.bar = tqdm(
            total=len(candidates),
            bar_format="{percentage:3.0f}%|{bar}| {n}/{total} [{elapsed}<{remaining}{postfix}]",
            file=sys.stderr,
            **bar_size(),
        )
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr:
                handler.setStream(_AboveTheBar(self.bar))
                self._moved.append(handler)
        self._showing = asyncio.ensure_future(self._keep_showing())

    async def _keep_showing(self) -> None:
        while True:
            self._show()
            await asyncio.sleep(_REFRESH)

    def _show(self) -> None:
        stats = self.crawler.stats
        done = {outcome: stats.get_value(outcome.stat, 0) for outcome in Outcome}
        self.bar.set_postfix_str(
            ", ".join(f"{number} {outcome}" for outcome, number in done.items() if number),
            refresh=False,
        )
        self.bar.update(sum(done.values()) - self.bar.n)

    def _closed(self) -> None:
        if self.bar is None:
            return
        self._showing.cancel()
        self._show()
        self.bar.close()
        for handler in self._moved:
            handler.setStream(sys.stderr)


def _is_terminal(stream: Any) -> bool:
    """Return whether *stream* is a terminal; a job runner's replacement may lack ``isatty``."""
    return bool(getattr(stream, "isatty", bool)())
