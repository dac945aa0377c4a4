"""The store, the registry and the notifier of a run, opened before anything is fetched."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.exceptions import CloseSpider
from scrapy.http import Response
from scrapy.utils.defer import deferred_from_coro
from twisted.python.failure import Failure

from miso_scrapy.archive.document import UnreadableDocument, key_of
from miso_scrapy.archive.identity import (
    Identity,
    Kind,
    WrongArchive,
    identify,
    read_identity,
    wrong_kind,
)
from miso_scrapy.archive.record import Filed, filed_from
from miso_scrapy.components import Component, spider_of
from miso_scrapy.connections import binding
from miso_scrapy.connections.open import make_store, open_registry
from miso_scrapy.exceptions import Dropped, Stopped
from miso_scrapy.extensions.outages import POLL, REGISTRY, STORE, DaemonThreads, Outages
from miso_scrapy.items import Snapshot
from miso_scrapy.notifications.kafka import Notifier, message_of
from miso_scrapy.options import Options
from miso_scrapy.registry.client import Claim, Registry, RegistryUnavailable, Step
from miso_scrapy.stats import (
    ARCHIVE_UNAVAILABLE,
    CLAIMS,
    FOLLOWING,
    LOST,
    OUTBOX,
    OWED,
    QUARANTINED,
    REGISTRY_UNAVAILABLE,
    STORE_UNAVAILABLE,
    WRONG_ARCHIVE,
    Outcome,
)
from miso_scrapy.store import AccessDenied, Store, StoreUnavailable
from miso_scrapy.text.wording import count

logger = logging.getLogger(__name__)

_POLL = 0.02
# A single failure may be temporary; after this number in a row the run ends.
_REFUSALS = 3
# Seconds that an operation in progress is waited for when a followed run is stopped. What it did is
# settled by the next run.
_FINISH = 0.6
# Seconds between two looks of a followed run at what other runs have left behind.
_HOUSEKEEPING = 60

T = TypeVar("T")


def _reason(error: Exception) -> str:
    if isinstance(error, WrongArchive):
        return WRONG_ARCHIVE
    return STORE_UNAVAILABLE if isinstance(error, StoreUnavailable) else REGISTRY_UNAVAILABLE


class Connections(Component):
    """Open the store, the registry and the notifier of a run, and close them at its end.

    ``registry`` is None with ``skip_hash_check=1``; ``notifier`` is None without Kafka settings.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self.options = Options.from_settings(crawler.settings)
        self.force: bool = spider_of(crawler).force
        self.store: Store
        self.identity: Identity | None = None
        """The identity of the archive; None until it has one and the registry is bound to it."""
        self.registry: Registry | None = None
        self.notifier: Notifier | None = None
        self.outages = (
            Outages(crawler.stats, lambda: self.ending) if spider_of(crawler).follow else None
        )
        """The servers that the run waits for; None if it ends instead."""
        self._housekeeping: asyncio.Task[None] | None = None
        self.settled = asyncio.Event()
        """Set when the run has sent the messages that it can send, and the stats count the others."""
        self._identifying = asyncio.Lock()
        self._connections = contextlib.AsyncExitStack()
        self._stopping: asyncio.Future[None] | None = None
        self._giving_up: set[asyncio.Task[None]] = set()
        self.refusals = 0
        """How many candidates in a row the store has failed to take."""
        crawler.signals.connect(self._open, signal=signals.spider_opened)
        crawler.signals.connect(self._unfiled, signal=signals.item_dropped)
        crawler.signals.connect(self._unfiled, signal=signals.item_error)
        crawler.signals.connect(self._broken, signal=signals.spider_error)
        crawler.signals.connect(self._close, signal=signals.spider_closed)

    @classmethod
    def of(cls, crawler: Crawler) -> Connections:
        """Return the instance of *crawler*, which all components share."""
        archive = crawler.get_extension(cls)
        if archive is None:
            raise RuntimeError("EXTENSIONS lacks miso_scrapy.extensions.connections.Connections")
        return archive

    async def claim(self, identifier: str) -> tuple[Step, str]:
        """Claim a candidate; settle it first if a killed worker held it. See Registry.claim."""
        step, token = await self._claim(identifier)
        if step == Step.ABANDONED:
            await self.settle()
            return await self._claim(identifier, insist=True)
        return step, token

    async def _claim(self, identifier: str, *, insist: bool = False) -> tuple[Step, str]:
        assert self.registry is not None
        while True:
            step, token = await self.registry.claim(identifier, force=self.force, insist=insist)
            if step != Step.FOREIGN:
                return step, token
            # The registry was bound after this run opened it, to this archive or to another one.
            self.identity = await binding.compare(self.registry, self.store)

    async def identify(self, kind: Kind) -> None:
        """Check that the archive takes snapshots of *kind*; the first snapshot sets its identity.

        Raises WrongArchive if it takes the other kind, StoreUnavailable and RegistryUnavailable.
        """
        async with self._identifying:  # the candidates keep their order
            if self.identity is None:
                identity = await asyncio.to_thread(identify, self.store, kind)
                if self.registry:
                    await binding.bind(self.registry, self.store, identity)
                self.identity = identity
        if self.identity.kind != kind:
            raise wrong_kind(self.store, kind)

    def refused(self, error: StoreUnavailable) -> Dropped:
        """Return the exception that drops a candidate after a failure of the store.

        The third failure in a row ends the run.
        """
        self.refusals += 1
        if self.outages is None and self.refusals >= _REFUSALS:
            self.stop(error)
        return Dropped(Outcome.FAILED, f"{error}; then run the same range again")

    async def settle(self) -> None:
        """Settle the claims of killed workers.

        Commit a candidate if its file is in the store; free it if not. Raises RegistryUnavailable and
        StoreUnavailable.
        """
        assert self.registry is not None
        async for claim in self.registry.take_expired():
            identifier = claim.identifier
            key = key_of(identifier)
            try:
                body = await asyncio.to_thread(self.store.get, key)
                if body is not None:
                    filed = filed_from(identifier, self.store.locate(key), body)
                    await self.registry.commit(identifier, filed.fingerprint, self.message(filed))
                    logger.info("recovered %s: stored by a run that was killed", identifier)
                    continue
            except AccessDenied as error:
                logger.warning("not recovered, yet: %s", error)
                await self.registry.leave(claim)
                continue
            except UnreadableDocument as error:
                logger.error(
                    "%s cannot be read (%s): move it away, or file it again with force=1",
                    self.store.locate(key),
                    error,
                )
            except (StoreUnavailable, RegistryUnavailable):
                await self.registry.leave(claim)  # or this run would renew it, and never settle it
                raise
            await self.registry.release(claim)

    async def lasting(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Return the result of *operation*; with ``follow=1``, try it again until its servers work.

        Raises StoreUnavailable and RegistryUnavailable without ``follow=1``; WrongArchive; Stopped if
        the run is stopped while it waits.
        """
        if self.outages is None:
            return await operation()
        failed: list[str] = []
        while True:
            try:
                if self.registry and self.registry.lost and not self.ending:
                    await self.registry.try_again()
                result = await self.unless_stopped(operation())
            except WrongArchive:
                raise
            except (StoreUnavailable, RegistryUnavailable) as error:
                failed.append(STORE if isinstance(error, StoreUnavailable) else REGISTRY)
                self.outages.begin(failed[-1], error)
                await self.outages.pause(len(failed))
            else:
                for server in set(failed):
                    self.outages.end(server)
                if REGISTRY in failed:
                    await self._compare()
                return result

    async def unless_stopped(self, operation: Awaitable[T]) -> T:
        """Await *operation*. If the run is stopped, give it up after a while, or at once if it waits for
        the store or the registry.

        Raises Stopped.
        """
        assert self.outages is not None
        task = asyncio.ensure_future(operation)
        left = _FINISH / POLL
        try:
            while not task.done():
                if self.ending:
                    left -= 1
                    if left <= 0 or STORE in self.outages or REGISTRY in self.outages:
                        raise Stopped
                await asyncio.wait({task}, timeout=POLL)
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                if self.registry and REGISTRY in self.outages:
                    self.registry.give_up()

    async def _compare(self) -> None:
        """Check again that the registry belongs to the archive: it may have lost its data."""
        assert self.registry is not None
        try:
            self.identity = await binding.compare(self.registry, self.store)
        except WrongArchive as error:
            self.stop(error)
        except (StoreUnavailable, RegistryUnavailable):  # the next operation waits for it
            pass

    async def _keep_house(self) -> None:
        """Settle the claims of killed workers and send what is owed, again and again."""
        with contextlib.suppress(Stopped):
            while True:
                await asyncio.sleep(_HOUSEKEEPING)
                await self.lasting(self._tidy)

    async def _tidy(self) -> None:
        assert self.registry is not None
        await self.settle()
        if self.notifier and self.notifier.down:
            await self.notifier.send_owed(self.registry)

    def message(self, filed: Filed) -> str:
        """Return the message to send about *filed*; empty if there is no notifier."""
        return message_of(filed, self.options.environment) if self.notifier else ""

    @property
    def stopping(self) -> bool:
        """Whether the run is ending because its store or registry cannot be used."""
        return self._stopping is not None

    @property
    def ending(self) -> bool:
        """Whether the run is ending, for any reason."""
        return self.stopping or not self.crawler.crawling

    def stop(self, error: StoreUnavailable | RegistryUnavailable) -> None:
        """End the run because of *error*: it could not file what it fetches."""
        if self._stopping is None:
            again = "" if isinstance(error, WrongArchive) else "; then run the same range again"
            logger.error("The run ends here: %s%s", error, again)
            self._stopping = asyncio.ensure_future(
                self.crawler.engine.close_spider_async(reason=_reason(error))
            )

    async def _open(self) -> None:
        from twisted.internet import reactor

        # If Scrapy is stopped while a run opens or closes, it does not wait for that to finish: the
        # embedded registry's server, for example, would keep running.
        reactor.addSystemEventTrigger(
            "before",
            "shutdown",  # type: ignore[arg-type]  # a Zope interface, which has no self
            lambda: deferred_from_coro(self._ended()),
        )
        candidates = spider_of(self.crawler).candidates
        if candidates and candidates.endless:
            self.crawler.stats.set_value(FOLLOWING, 1)
        if self.outages is not None:
            asyncio.get_running_loop().set_default_executor(DaemonThreads())
        try:
            self.store = await asyncio.to_thread(make_store, self.crawler.settings, self.options)
            if self.options.kafka_topic:
                self.notifier = Notifier(self.crawler.settings, self.options)
            await self.lasting(self._connect)
        except Stopped:
            raise CloseSpider("shutdown") from None
        except (StoreUnavailable, RegistryUnavailable) as error:
            logger.error("Nothing was fetched: %s", error)
            raise CloseSpider(_reason(error)) from None
        except Exception:  # a bug: the run must not continue without its registry
            logger.exception("Nothing was fetched: the archive could not be opened")
            raise CloseSpider(ARCHIVE_UNAVAILABLE) from None
        if not self.crawler.crawling:  # stopped meanwhile
            raise CloseSpider("shutdown")
        if self.outages is not None and self.registry:
            self._housekeeping = asyncio.ensure_future(self._keep_house())

    async def _connect(self) -> None:
        """Open and check what is configured. Can be called again after it has failed."""
        await asyncio.to_thread(self.store.check)
        if spider_of(self.crawler).skip_hash_check:
            self.identity = await asyncio.to_thread(read_identity, self.store)
            return
        if self.registry is None:
            self.registry = await self._connections.enter_async_context(open_registry(self.options))
        await self.registry.begin_run(self.crawler.spidercls.name)
        self.identity = await binding.compare(self.registry, self.store)
        await self.settle()
        if self.notifier:
            await self.notifier.send_owed(self.registry)

    async def _ended(self) -> None:
        """Wait until the run has closed, or a second signal asks it to stop."""
        while self.crawler.engine.spider and signal.getsignal(signal.SIGTERM) != signal.SIG_IGN:
            await asyncio.sleep(_POLL)

    async def _unfiled(self, item: Any) -> None:
        """Give up the claim of a candidate that is dropped or fails before it is registered."""
        if isinstance(item, Snapshot):
            await self._give_up(item.token, item.identifier, item.home)

    def _broken(self, response: Response | Failure) -> None:
        """Give up the claim of a candidate if its callback raises an error, as there is no item then."""
        meta = response.request.meta  # type: ignore[union-attr]  # Scrapy sets it on both
        if "token" in meta:
            # Scrapy does not wait for handlers of this signal.
            task = asyncio.ensure_future(self._give_up(meta["token"], meta["identifier"]))
            self._giving_up.add(task)
            task.add_done_callback(self._giving_up.discard)

    async def _give_up(self, token: str, *names: str) -> None:
        if self.registry:
            with contextlib.suppress(RegistryUnavailable):  # its lease runs out by itself
                await self.registry.leave(*(Claim(name, token) for name in names))

    async def _close(self) -> None:
        if self._housekeeping:
            self._housekeeping.cancel()
        try:
            await self._settle_up()
        finally:
            self.settled.set()

    async def _settle_up(self) -> None:
        stats = self.crawler.stats
        lost = self.notifier.lost if self.notifier else 0
        outbox = 0
        if self.registry:
            try:
                if self.notifier and not self._abandons_broker:
                    with contextlib.suppress(TimeoutError):  # the next run sends them
                        async with asyncio.timeout(self._patience):
                            await self.notifier.send_owed(self.registry)
                async with self._soon():
                    await self.registry.leave()
                    outbox = await self.registry.owed()
                    stats.set_value(CLAIMS, await self.registry.claims())
                    stats.set_value(QUARANTINED, await self.registry.quarantined())
            except RegistryUnavailable as error:
                if self.notifier:
                    logger.error(
                        "The number of messages owed to the Kafka topic is not known: %s", error
                    )
                    stats.set_value(OWED, 1)
        stats.set_value(OUTBOX, outbox)
        stats.set_value(LOST, lost)
        stats.inc_value(OWED, outbox if self.notifier else 0)
        if self.notifier and outbox:
            logger.error(
                "%s owed to the Kafka topic %s at %s: the next run sends what is owed first",
                count(outbox, "message"),
                self.options.kafka_topic,
                ",".join(self.options.kafka_brokers),
            )
        if lost:
            logger.error(
                "lost %s for the Kafka topic %s: without a registry there is no outbox to keep them",
                count(lost, "message"),
                self.options.kafka_topic,
            )
        try:
            if self.notifier:
                await self.notifier.close(at_once=self._abandons_broker)
        finally:
            await self._connections.aclose()

    @contextlib.asynccontextmanager
    async def _soon(self) -> AsyncIterator[None]:
        """Raise RegistryUnavailable if a followed run has to wait long for the registry."""
        assert self.registry is not None
        try:
            async with asyncio.timeout(self._patience):
                yield
        except TimeoutError:
            raise self.registry.give_up() from None

    @property
    def _patience(self) -> float | None:
        """How long a server is waited for at the end of the run, in seconds; None: until it fails."""
        return None if self.outages is None else _FINISH

    @property
    def _abandons_broker(self) -> bool:
        """Whether to end without another try at a broker that is down: the outbox keeps what is owed."""
        return self.outages is not None and self.notifier is not None and self.notifier.down
