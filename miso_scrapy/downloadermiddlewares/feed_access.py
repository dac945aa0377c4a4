"""Feed access: limit the requests to the feed, and share their answers between candidates."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NoReturn
from urllib.parse import urldefrag

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.retry import get_retry_request
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Headers, Response
from scrapy.spidermiddlewares.httperror import HttpError
from scrapy.utils.misc import load_object

from miso_scrapy.components import Component
from miso_scrapy.connections.open import connect_registry, feed_turns
from miso_scrapy.downloadermiddlewares.decompression import UNREADABLE
from miso_scrapy.exceptions import Stopped
from miso_scrapy.extensions.connections import Connections
from miso_scrapy.extensions.outages import FEED, Outages
from miso_scrapy.feed.ref_id import iso_utc
from miso_scrapy.feed.shape import error_in
from miso_scrapy.feed.turns import (
    PATIENCE,
    REFUSED,
    Again,
    Answer,
    Shared,
    Turn,
    Wait,
    margin,
    retry_after,
    slack,
)
from miso_scrapy.no_answer import why_no_answer
from miso_scrapy.options import MISO_ASKS, Options
from miso_scrapy.registry.client import Registry, RegistryUnavailable
from miso_scrapy.registry.feed_turns import Turns
from miso_scrapy.stats import ASKED_AGAIN, HELD_OFF, REQUESTS, SHARED
from miso_scrapy.text.masking import masked_url

logger = logging.getLogger(__name__)

_TURN, _RETRY_AFTER = "feed_turn", "feed_retry_after"
_POLL = 0.2
# The same, in seconds, for waits that are part of following: they are long, and not urgent.
_LONG_POLL = 0.5
# How often a followed run looks for an answer of another worker, and how often it asks a feed that is
# down if there is no limit on requests.
_REST = 5.0


class NotAsked(IgnoreRequest):
    """The run ends before there is an answer. The reason has been logged."""


@dataclass(frozen=True)
class _Failure:
    """The *result* of the last try. Every candidate that was due at the monotonic time *at* fails."""

    result: Response | Exception
    tries: int
    at: float

    def end(self, request: Request) -> Response:
        """Return or raise the result for *request*."""
        request.meta.update(retry_times=self.tries - 1, failed_together=True)
        if isinstance(self.result, Exception):
            raise self.result.with_traceback(None)
        response = self.result.replace(request=request)
        if response.status != 200:  # not returned: the stats have counted this response
            raise HttpError(response)
        return response


class FeedAccessMiddleware(Component):
    """Give each candidate the feed's answer, with at most one request per MISO_MIN_INTERVAL.

    The request of a candidate waits here for a shared answer, or for a turn. With a turn it is sent to
    the feed, and its answer is used for every candidate until the interval is over. A failed request is
    sent again up to RETRY_TIMES times; each retry needs its own turn. After the last one, all candidates
    that were due fail; ``came_due`` in a request's meta is the monotonic time since when it is due.
    Retry-After delays all runs that share the registry.

    With MISO_MIN_INTERVAL=0 each candidate gets its own answer or failure.

    Sets ``fetched_at`` or ``failed_together`` in the request's meta.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        settings = crawler.settings
        self.options = Options.from_settings(settings)
        self.interval = self.options.min_interval
        self.retry_http_codes = {int(code) for code in settings.getlist("RETRY_HTTP_CODES")}
        self.retry_exceptions = tuple(map(load_object, settings.getlist("RETRY_EXCEPTIONS")))
        self._link = Request(self.options.api_url).url
        self._answer: Answer | None = None
        self._good_until = 0.0
        self._asking_until = 0.0
        """The monotonic time until which a request of this run may be in progress; there is only one."""
        self._asked_at = -math.inf
        self._problem = ""
        """The problem of the last try in words, if another try follows."""
        self._tries = 0
        self._failure: _Failure | None = None
        self._turns: Turns | None = None
        self._registry: Registry | None = None
        self._ending: asyncio.Future[None] | None = None
        self._rest_until = 0.0
        """The monotonic time before which a feed that is down is not asked, without an interval."""
        # Read from every response, including redirections and cut-off ones.
        crawler.signals.connect(self._read_retry_after, signal=signals.headers_received)
        crawler.signals.connect(self._closed, signal=signals.spider_closed)

    async def process_request(self, request: Request) -> Request | Response | None:
        """Return the shared answer, or pass the request on with a turn."""
        if visited := request.meta.get("redirect_urls"):
            return await self._redirected(request, visited)
        if request.url != self._link:
            return None
        step = await self._step(request)
        if isinstance(step, _Failure):
            return step.end(request)
        again: Again | None = request.meta.get("again")
        if isinstance(step, Answer):
            if not again:
                self.crawler.stats.inc_value(SHARED)
            return _response(step, request)
        request.meta[_TURN] = step
        self._asking_until = time.monotonic() + _timeout(self.crawler) if self.interval else 0
        self.crawler.stats.inc_value(REQUESTS)
        if again:
            self.crawler.stats.inc_value(ASKED_AGAIN)
        return None

    async def _redirected(self, request: Request, visited: list[str]) -> Request | None:
        """Pass on a redirected request, but never to a link that was requested before."""
        if await self._obey(request):
            problem = "a redirection with Retry-After"
            error = IgnoreRequest(f"{problem} to {masked_url(request.url)}")
            if again := await self._again(request, error, problem, passes=True):
                return again
            raise error
        most = self.crawler.settings.getint("REDIRECT_MAX_TIMES")
        links = [urldefrag(url).url for url in visited]
        if urldefrag(request.url).url in links or len(visited) > most:
            raise IgnoreRequest(f"redirections in a circle, the last to {masked_url(request.url)}")
        if _TURN in request.meta:
            self.crawler.stats.inc_value(REQUESTS)
        return None

    async def process_response(self, request: Request, response: Response) -> Request | Response:
        """Share the answer if it is good; send the request again if not."""
        if _TURN not in request.meta:
            return response
        held_off = await self._obey(request, response.status)
        problem: str | Exception | None = f"HTTP {response.status}"
        passes = response.status >= 500 or response.status in self.retry_http_codes
        if error := request.meta.pop(UNREADABLE, None):
            problem, passes = error, not isinstance(error, IgnoreRequest)
        elif response.status == 200:
            problem, passes = error_in(response.body), True
        if problem is None:
            answer = Answer(response.body, masked_url(response.url), datetime.now(UTC))
            await self._finish(request, answer)
            self._tries, self._problem, self._failure = 0, "", None
            self._answer = answer
            self._good_until = time.monotonic() + self.interval + margin(self.interval)
            request.meta["fetched_at"] = answer.fetched_at
            if (outages := self._outages) is not None:
                outages.end(FEED)
            return response
        if "again" in request.meta:
            return await self._unmoved(request, error or response, problem)
        if held_off > PATIENCE:
            self._held_off(datetime.fromtimestamp(time.time() + held_off, UTC), str(problem))
        if again := await self._again(request, error or response, problem, passes=passes):
            return again
        if error:
            raise error
        if 200 < response.status < 300:  # Scrapy treats every 2xx status as a success
            raise HttpError(response)
        return response

    async def process_exception(
        self, request: Request, exception: Exception
    ) -> Request | Response | None:
        """Send the request again if *exception* may be temporary."""
        if _TURN not in request.meta:
            return None
        if isinstance(exception, Stopped):
            await self._finish(request)
            if again := request.meta.get("again"):
                return _response(again.before, request)
            raise NotAsked("the run ends")
        await self._obey(request)
        if "again" in request.meta:
            return await self._unmoved(request, exception, exception)
        passes = isinstance(exception, self.retry_exceptions)
        return await self._again(request, exception, exception, passes=passes)

    async def _unmoved(
        self, request: Request, result: Response | Exception, problem: str | Exception
    ) -> Request:
        """Return the request for the next try after *problem*, for a candidate that has an answer."""
        await self._finish(request)
        self._tries += 1
        if self._tries > self.crawler.settings.getint("RETRY_TIMES"):
            self._wait_for_feed(*_why(request, result, problem))
        again: Again = request.meta["again"]
        pause = timedelta(seconds=0 if self.interval else MISO_ASKS)
        request.meta["again"] = replace(again, not_before=datetime.now(UTC) + pause)
        return request.replace(url=self._link, meta=_without_redirects(request))

    async def _again(
        self,
        request: Request,
        result: Response | Exception,
        problem: str | Exception,
        *,
        passes: bool,
    ) -> Request | None:
        """Return the request for the next try, or None if *result* is final.

        *passes*: whether the problem may be temporary.
        """
        await self._finish(request)
        if self.interval:  # the next request, of any candidate, is the next try
            request.meta["retry_times"] = self._tries
        self._tries += 1
        assert self.crawler.spider is not None
        if passes and (
            again := get_retry_request(
                request.replace(url=self._link, meta=_without_redirects(request)),
                spider=self.crawler.spider,
                # A statistic has the reason in its name: leave out what the feed says in its body.
                reason=problem if isinstance(problem, Exception) else problem.partition(":")[0],
                priority_adjust=1,
            )
        ):
            self._problem = (
                problem if isinstance(problem, str) else _why(request, result, problem)[0]
            )
            return again
        if self._wait_for_feed(*_why(request, result, problem)):
            self._tries, self._problem = 0, ""
            self._rest_until = time.monotonic() + (0 if self.interval else _REST)
            return request.replace(url=self._link, meta=_without_redirects(request))
        if self.interval:
            request.meta["failed_together"] = True
            self._failure = _Failure(result, self._tries, time.monotonic())
        self._tries, self._problem = 0, ""
        return None

    async def _finish(self, request: Request, answer: Answer | None = None) -> None:
        """End the turn of *request*, and share its *answer* if there is one."""
        self._asking_until, self._asked_at = 0.0, time.monotonic()
        turn = request.meta.pop(_TURN, None)
        if turn is None:  # not a request to the feed
            return
        with contextlib.suppress(RegistryUnavailable):  # the next step reports it
            await self._open_turns().finish(turn, answer)

    async def _step(self, request: Request) -> Turn | Answer | _Failure:
        """Wait for a turn, an answer or a failure, and return it."""
        again: Again | None = request.meta.get("again")
        quiet = again is not None or self._outages is not None
        told = False
        late: Turn | None = None
        while True:
            if again and (self._stopping() or datetime.now(UTC) >= again.until):
                return again.before
            if self._stopping():
                raise NotAsked("the run ends")
            began = time.monotonic()
            if not again and self._failure and request.meta.get("came_due", 0) <= self._failure.at:
                return self._failure
            if self._answer and began < self._good_until and _is_news(self._answer, again):
                return self._answer
            if began < self._asking_until:
                await asyncio.sleep(_POLL)
                continue
            if began < self._rest_until or (again and datetime.now(UTC) < again.not_before):
                await asyncio.sleep(_LONG_POLL)
                continue
            try:
                step = await self._ask(late)
            except RegistryUnavailable as error:
                if connections := self.crawler.get_extension(Connections):
                    connections.stop(error)
                raise NotAsked(str(error)) from None
            except Stopped:
                continue
            late = None
            if isinstance(step, Shared) and not _is_news(step.answer, again):
                step = Wait(step.seconds)
            if isinstance(step, Wait):
                if step.held_off_until and step.seconds > PATIENCE and not again:
                    self._held_off(step.held_off_until)
                if not told and not quiet and step.seconds >= 1:
                    told = True
                    self._tell_wait(step)
                if quiet:
                    await self._rest(step.seconds, again)
                else:
                    await asyncio.sleep(min(step.seconds, _POLL))
            elif isinstance(step, Shared):
                self._failure = None
                self._answer, self._good_until = step.answer, began + step.seconds
                if not quiet:
                    logger.info(
                        "Using the answer of %s: at most one request in %g s",
                        iso_utc(step.answer.fetched_at),
                        self.interval,
                    )
            elif not self.interval or (
                # The process was not suspended while it got its turn, and the clock of the registry was
                # not set forward since the last request of this run.
                time.monotonic() - began <= slack(self.interval)
                and began - self._asked_at >= self.interval
            ):
                return step
            elif began - self._asked_at >= self.interval:
                late = step

    async def _ask(self, late: Turn | None) -> Turn | Shared | Wait:
        archive = self.crawler.get_extension(Connections)
        turns = self._open_turns()
        if archive is None:
            return await turns.ask(late)
        return await archive.lasting(lambda: turns.ask(late))

    async def _rest(self, seconds: float, again: Again | None) -> None:
        """Wait for *seconds*, but not long: look whether another worker has an answer meanwhile."""
        until = time.monotonic() + min(seconds, _REST)
        while (left := until - time.monotonic()) > 0 and not self._stopping():
            if again:
                left = min(left, max(0.01, (again.until - datetime.now(UTC)).total_seconds()))
            await asyncio.sleep(min(left, _LONG_POLL))

    def _tell_wait(self, wait: Wait) -> None:
        logger.info(
            "%sThe next request to the feed is in %.0f s: %s",
            f"{self._problem}. " if self._problem else "",
            wait.seconds,
            "its Retry-After asks for that"
            if wait.held_off_until
            else f"at most one request in {self.interval:g} s",
        )

    def _read_retry_after(self, headers: Headers, request: Request) -> None:
        value, date = (
            (headers.get(name) or b"").decode("latin-1") for name in ("Retry-After", "Date")
        )
        if seconds := retry_after(value, date):
            request.meta[_RETRY_AFTER] = seconds

    async def _obey(self, request: Request, status: int = 0) -> float:
        """Delay all requests as long as the answer to *request* asks with Retry-After.

        After a 403, delay them for REFUSED seconds at least. Return the seconds.
        """
        seconds: float = request.meta.pop(_RETRY_AFTER, 0)
        if status == 403:
            seconds = max(seconds, REFUSED)
        if seconds:
            archive = self.crawler.get_extension(Connections)
            turns = self._open_turns()
            with contextlib.suppress(RegistryUnavailable, Stopped):  # the next step reports it
                if archive:
                    await archive.lasting(lambda: turns.hold_off(seconds))
                else:
                    await turns.hold_off(seconds)
        return seconds

    @property
    def _outages(self) -> Outages | None:
        """What the run waits for; None if it ends instead."""
        archive = self.crawler.get_extension(Connections)
        return archive.outages if archive else None

    def _wait_for_feed(self, what: str, fix: str) -> bool:
        """Tell that the run waits for the feed, and why; return False if it does not wait."""
        if (outages := self._outages) is None:
            return False
        told = (f"{what} from {masked_url(self._link)}", fix, "it is asked until it answers")
        outages.begin(FEED, "; ".join(filter(None, told)))
        return True

    def _held_off(self, until: datetime, problem: str = "") -> None:
        """Wait for a feed that allows no request before *until*, or end the run."""
        outages = self._outages
        if outages is None:
            self._end(until, problem)
        said = f"it answered {problem} and " if problem else "it "
        outages.begin(FEED, f"{said}allows no request before {iso_utc(until)}")

    def _end(self, until: datetime, problem: str = "") -> NoReturn:
        said = f"answered {problem} and " if problem else ""
        line = (
            f"The run ends here: the feed {said}allows no request before {iso_utc(until)}; run the same "
            "range again after that"
        )
        if self._ending is None:
            logger.error(line)
            assert self.crawler.engine is not None
            self._ending = asyncio.ensure_future(
                self.crawler.engine.close_spider_async(reason=HELD_OFF)
            )
        raise NotAsked(line)

    def _open_turns(self) -> Turns:
        if self._turns is None:
            archive = self.crawler.get_extension(Connections)
            registry = archive.registry if archive else None
            if archive is None and self.options.redis_url:  # scrapy check
                registry = self._registry = connect_registry(self.options, self.options.redis_url)
            force = archive is not None and archive.force
            self._turns = feed_turns(self.options, registry, fresh=force)
        return self._turns

    def _stopping(self) -> bool:
        archive = self.crawler.get_extension(Connections)
        return (
            self._ending is not None
            or not self.crawler.crawling
            or (archive is not None and archive.stopping)
        )

    async def _closed(self) -> None:
        if self._registry:
            await self._registry.close()


def _timeout(crawler: Crawler) -> float:
    """Return the longest time that a request with its redirections can take, in seconds."""
    settings = crawler.settings
    return settings.getfloat("DOWNLOAD_TIMEOUT") * (2 + settings.getint("REDIRECT_MAX_TIMES"))


def _response(answer: Answer, request: Request) -> Response:
    request.meta["fetched_at"] = answer.fetched_at
    return Response(answer.url, body=answer.body, request=request)


def _is_news(answer: Answer, again: Again | None) -> bool:
    """Return whether *answer* is newer than what is known already."""
    return again is None or answer.fetched_at > again.before.fetched_at


def _why(
    request: Request, result: Response | Exception, problem: str | Exception
) -> tuple[str, str]:
    """Return in words why *result* is no answer, and what to do about it, if anything."""
    if isinstance(result, Response) and result.status == 200:
        return f"HTTP 200 with {problem}", ""
    error = HttpError(result) if isinstance(result, Response) else result
    what, fix, _ = why_no_answer(error, request.meta.get("download_timeout", 0))
    return what, fix


def _without_redirects(request: Request) -> dict[str, object]:
    return {name: value for name, value in request.meta.items() if "redirect" not in name}
