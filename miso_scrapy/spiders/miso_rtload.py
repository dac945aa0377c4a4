"""The spider for MISO's real-time total load: one snapshot per 5-minute candidate."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.http import Response
from twisted.python.failure import Failure

from miso_scrapy.components import ArchiveSpider
from miso_scrapy.downloadermiddlewares.feed_access import NotAsked
from miso_scrapy.exceptions import Dropped
from miso_scrapy.feed.candidate import (
    INTERVAL,
    CandidateRange,
    floor_to_interval,
    identifier,
    parse_range,
)
from miso_scrapy.feed.coverage import TOLERANCE, covers
from miso_scrapy.feed.ref_id import iso_utc
from miso_scrapy.feed.shape import NotJSON, error_in
from miso_scrapy.items import Snapshot
from miso_scrapy.no_answer import why_no_answer
from miso_scrapy.options import Options, flag
from miso_scrapy.spiders import refuse
from miso_scrapy.stats import CANDIDATES, NEXT_DUE, Outcome
from miso_scrapy.text.masking import masked_url
from miso_scrapy.text.wording import count

_AGAIN = "run the same range again"


class MisoRtloadSpider(ArchiveSpider):
    """Fetch a snapshot for each candidate from *start* to *end*.

    ``-a start=`` and ``-a end=``: see :func:`~miso_scrapy.feed.candidate.parse_range`.
    ``-a follow=1`` goes on until the run is told to stop, unless there is an *end*, and waits for
    servers that are down. ``-a force=1`` also files candidates that are registered already.
    ``-a skip_hash_check=1`` files all candidates, without a registry.
    """

    name = "miso_rtload"

    def __init__(
        self,
        start: str | None = None,
        end: str | None = None,
        follow: str = "0",
        force: str = "0",
        skip_hash_check: str = "0",
        **others: Any,
    ) -> None:
        super().__init__()
        self.api_url = ""
        self.publish_delay = timedelta()
        refuse(others, self.name, "its arguments are start, end, follow, force and skip_hash_check")
        self.follow = flag("follow", follow)
        self._from_now = start is None or start.strip().lower() == "now"
        now = datetime.now(UTC)
        self.candidates: CandidateRange = parse_range(start, end, now, follow=self.follow)
        self.force = flag("force", force)
        self.skip_hash_check = flag("skip_hash_check", skip_hash_check)

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> MisoRtloadSpider:
        """Create the spider for *crawler*. Raises ValueError with one line for the user."""
        spider = super().from_crawler(crawler, *args, **kwargs)
        options = Options.from_settings(crawler.settings)
        spider.api_url = options.api_url
        spider.publish_delay = timedelta(seconds=options.publish_delay)
        now = datetime.now(UTC)
        if spider.follow and spider._from_now:
            # Begin with the candidate before the current one: it takes the snapshot that is there, and
            # the current one waits for the next. If the current one took a snapshot of unknown age, the
            # next could come and go before the next candidate is due.
            first = min(spider.candidates.first, spider._newest(now)) - INTERVAL
            spider.candidates = replace(spider.candidates, first=first)
        spider.reaches_ahead = spider.candidates.last > now
        if spider.follow:  # before the run waits for a server that is down at the start
            crawler.signals.connect(spider._tell_start, signal=signals.spider_opened)
        return spider

    async def start(self) -> AsyncIterator[Request]:
        """Yield a request per candidate, when the scheduler has room for it.

        The candidates of a range that reaches into the future are yielded when they are due.
        """
        began = datetime.now(UTC)
        if not self.follow:
            self.logger.info(
                "Candidates: %d, %s, from %s", len(self.candidates), self.candidates, self.api_url
            )
        candidate = self.candidates.first
        while candidate <= self.candidates.last:
            came_due = 0.0
            if self.reaches_ahead:
                candidate, came_due = await self._due(candidate, began)
            if self.crawler.engine.needs_backout():
                await self.crawler.signals.wait_for(signals.scheduler_empty)
            yield self.request_for(candidate, came_due)
            candidate += INTERVAL

    def _tell_start(self) -> None:
        due = max(self.candidates.first, self._newest(datetime.now(UTC)) + INTERVAL)
        self.logger.info(
            "Following %s, %s, from %s: %s",
            self.candidates,
            "until told to stop" if self.candidates.endless else "and no further",
            masked_url(self.api_url),
            f"the next candidate is due at {iso_utc(due + self.publish_delay)}"
            if due <= self.candidates.last
            else "all of them are due",
        )

    def _newest(self, now: datetime) -> datetime:
        """Return the newest candidate that is due at *now*."""
        return floor_to_interval(now - self.publish_delay)

    def due_candidates(self) -> int:
        """Return the number of candidates of the range that are due now."""
        if self.candidates.endless:
            return 0  # none of them is required: later snapshots have the same load
        last = self._newest(datetime.now(UTC))
        if self.candidates.last <= last + INTERVAL:  # the last candidate is due within an interval
            return len(self.candidates)
        return max((last - self.candidates.first) // INTERVAL + 1, 0)

    async def _due(self, candidate: datetime, began: datetime) -> tuple[datetime, float]:
        """Wait until *candidate* is due. Return it, and the monotonic time at which the wait ended.

        The time is 0 for a candidate that was due when the run *began*. The wall clock is read every
        two seconds, as it may be set, and the machine may be suspended. In a range without an end,
        another candidate is returned if the clock was set back, or if the market day of *candidate* is
        over.
        """
        if candidate + self.publish_delay <= began and not self.candidates.endless:
            return candidate, 0
        self.crawler.stats.set_value(NEXT_DUE, iso_utc(candidate + self.publish_delay))
        while (left := candidate + self.publish_delay - (now := datetime.now(UTC))) > timedelta():
            next_one = self._newest(now) + INTERVAL
            if self.candidates.endless and self.candidates.first < next_one < candidate:
                self.logger.warning(
                    "The clock was set back to %s: going on with the candidate %s",
                    iso_utc(now),
                    iso_utc(next_one),
                )
                candidate = next_one
                continue
            await asyncio.sleep(min(left.total_seconds(), 2))
        if self.candidates.endless:
            candidate = self._first_of_today(candidate, now)
        return candidate, 0 if candidate + self.publish_delay <= began else time.monotonic()

    def _first_of_today(self, candidate: datetime, now: datetime) -> datetime:
        """Return *candidate*, or the first one after it that the feed can still give at *now*.

        The feed has the market day of now only. For a few minutes after midnight EST it can still answer
        with yesterday's last interval.
        """
        wanted, lost = candidate, 0
        while not (covers(now, wanted) or covers(now - TOLERANCE, wanted)):
            wanted += INTERVAL
            lost += 1
        if lost:
            self.crawler.stats.inc_value(CANDIDATES, lost)
            self.crawler.stats.inc_value(Outcome.UNCOVERED.stat, lost)
            self.logger.warning(
                "uncovered %s, %s to %s: their market day is over, and the feed has no history",
                count(lost, "candidate"),
                iso_utc(candidate),
                iso_utc(wanted - INTERVAL),
            )
        return wanted

    def request_for(self, candidate: datetime, came_due: float) -> Request:
        """Return the request for *candidate*. All have the same URL, so duplicates are not filtered."""
        return Request(
            self.api_url,
            callback=self.parse,
            errback=self.not_fetched,
            dont_filter=True,
            meta={"identifier": identifier(candidate), "came_due": came_due},
            cb_kwargs={"candidate": candidate},
        )

    def parse(self, response: Response, candidate: datetime) -> Iterator[Snapshot]:
        """Yield the snapshot in *response*, in the documented shape.

        @feed
        @returns items 1 1
        @snapshot
        """
        snapshot = Snapshot(
            candidate=candidate,
            body=response.body,
            source_url=response.url,
            collected_at=response.meta.get("fetched_at") or datetime.now(UTC),
            token=response.meta.get("token", ""),
        )
        if error := error_in(response.body):
            snapshot.trouble = Dropped(
                Outcome.FAILED,
                f"HTTP 200 with {error} from {snapshot.source_url}{_tries(response.meta)}; {_AGAIN}",
                together=response.meta.get("failed_together", False),
            )
            yield snapshot
            return
        try:
            snapshot.read()
        except NotJSON as problem:
            snapshot.trouble = Dropped(
                Outcome.INVALID,
                f"{problem}; if this goes on, look at {snapshot.source_url} in a browser",
            )
        yield snapshot

    def not_fetched(self, failure: Failure) -> Iterator[Snapshot]:
        """Yield the candidate as failed, with a line that says why and what to do.

        Yield nothing if the run ended before a request was sent.
        """
        if isinstance(failure.value, NotAsked):
            return
        request: Request = failure.request  # type: ignore[attr-defined]
        timeout = request.meta.get("download_timeout", 0)
        reason, advice, level = why_no_answer(failure.value, timeout, _AGAIN)
        yield Snapshot(
            candidate=request.cb_kwargs["candidate"],
            body=b"",
            source_url=request.url,
            collected_at=datetime.now(UTC),
            token=request.meta.get("token", ""),
            trouble=Dropped(
                Outcome.FAILED,
                f"{reason} from {masked_url(self.api_url)}{_tries(request.meta)}; {advice}",
                log_level=level,
                together=request.meta.get("failed_together", False),
            ),
        )


def _tries(meta: dict[str, Any]) -> str:
    tries = meta.get("retry_times", 0) + 1
    return f" after {tries} tries" if tries > 1 else ""
