"""The client of the registry: one method per step, on Redis, for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import platform
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from miso_scrapy.archive.document import DATA_TYPE
from miso_scrapy.feed.ref_id import iso_utc
from miso_scrapy.registry import steps

_SETTLE_AT_ONCE = 100
# The prefixes of keys about the files of the archive. Other keys are not about its files.
_REGISTRATIONS = (f"{DATA_TYPE}_", "md5:", "home:")

T = TypeVar("T")


class RegistryUnavailable(Exception):
    """Raised if the registry cannot be used; the message says, in one line, what to do."""


class RegistryInUse(RegistryUnavailable):
    """Raised if the embedded registry is in use by another run, which is alive."""


class Step(StrEnum):
    """The result of a step. See registry/steps.py for the meaning of each."""

    CLAIMED = "claimed"
    FOREIGN = "foreign"
    REGISTERED = "registered"
    HELD = "held"
    ABANDONED = "abandoned"
    LOST = "lost"
    DUPLICATE = "duplicate"
    STORE = "store"


class Claim(NamedTuple):
    """A lease on a candidate, or on the home of its content.

    Each claim has its own token: a later claim, even by the same worker, has another one.
    """

    identifier: str
    token: str


class LivingRun(NamedTuple):
    """A run that renews its heartbeat in the registry."""

    spider: str
    host: str
    process: int
    since: datetime


class Contents(NamedTuple):
    """What a registry holds, as `scrapy status` reports it."""

    archive: str | None
    """The id of the archive that the registry belongs to."""
    messages: int
    """Messages in the outbox."""
    open_registrations: int
    """Claims with content: their files may be stored, and are not registered yet."""
    runs: list[LivingRun]


class Registry:
    """Registrations, claims and the outbox of one environment and dataset.

    Times to live and leases are in seconds. Every method raises RegistryUnavailable.
    """

    def __init__(self, redis: Redis, where: str, prefix: str, ttl: float, lease: float) -> None:
        self.where = where
        self._redis = redis
        self._prefix = prefix
        self._claims = f"{prefix}claims"
        self._outbox = f"{prefix}outbox"
        self._quarantine = f"{prefix}quarantine"
        self._archive = f"{prefix}archive"
        self._runs = f"{prefix}runs"
        self._heartbeat = ""
        """The text of this run's heartbeat; empty for a command that is not a run."""
        self._bound_to = ""
        """The id of the worker's archive, once the registry has stored it."""
        self._alone = False
        self._lost: RegistryUnavailable | None = None
        self.start_server: Callable[[], None] = _nothing
        """Start the server again if it has ended, where this program has started it."""
        self._ttl = int(ttl * 1000)
        self._lease = max(1, int(lease * 1000))
        self._worker = secrets.token_hex(8)
        self._serial = itertools.count(1)
        self._held: set[Claim] = set()
        """The claims that this worker renews."""
        self._claim = redis.register_script(steps.CLAIM)
        self._hold = redis.register_script(steps.HOLD)
        self._commit = redis.register_script(steps.COMMIT)
        self._release = redis.register_script(steps.RELEASE)
        self._leave = redis.register_script(steps.LEAVE)
        self._renew = redis.register_script(steps.RENEW)
        self._expire = redis.register_script(steps.EXPIRE)
        self._sent = redis.register_script(steps.SENT)
        self._forget = redis.register_script(steps.FORGET)
        self._renewing: asyncio.Task[None] | None = None

    @classmethod
    def connect(cls, url: str, prefix: str, ttl: float, lease: float) -> Registry:
        """Return the registry at *url*: ``redis://``, ``rediss://`` or ``unix://``."""
        try:
            redis = Redis.from_url(
                url,
                decode_responses=True,
                socket_connect_timeout=5,
                socket_timeout=5,
                retry=Retry(ExponentialBackoff(cap=1, base=0.1), 2),
            )
            redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        except (ValueError, TypeError) as error:
            raise RegistryUnavailable(f"REDIS_URL cannot be used: {error}") from None
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        return cls(redis, f"{parts.scheme}://{host}{parts.path}", prefix, ttl, lease)

    async def open(self, *, alone: bool = False) -> None:
        """Check that the registry answers, and start to renew this worker's claims.

        *alone*: no other worker can be using the registry, so every claim in it is abandoned.
        """
        self._alone = alone
        async with self._explained():
            # Open two connections: hold() of one candidate and claim() of the next are sent at the
            # same time. If one of them had to connect first, the other would overtake it.
            await asyncio.gather(self._redis.ping(), self._redis.ping())
        self._renewing = asyncio.create_task(self._keep_renewing())

    @property
    def lost(self) -> bool:
        """Whether the server has not answered, so that every further step fails at once."""
        return self._lost is not None

    async def try_again(self) -> None:
        """Let the next step reach for the server again, which did not answer before."""
        await asyncio.to_thread(self.start_server)
        self._lost = None

    def give_up(self) -> RegistryUnavailable:
        """Let every further step fail at once, with the error that is returned."""
        self._lost = self._lost or RegistryUnavailable(
            f"the registry {self.where} does not answer; check REDIS_URL"
        )
        return self._lost

    async def close(self) -> None:
        """Close the connections. Claims that are left expire by themselves."""
        if self._renewing:
            self._renewing.cancel()
        if self._heartbeat and not self._lost:
            with contextlib.suppress(RedisError, OSError):  # it expires by itself
                await self._end_run()
        await self._redis.aclose()

    async def begin_run(self, spider: str) -> None:
        """Tell that a run of *spider* is alive, from now until :meth:`close`.

        The heartbeat is renewed with the claims. That of a killed run expires as its claims do.
        """
        about = {
            "spider": spider,
            "host": platform.node(),
            "process": os.getpid(),
            "since": iso_utc(datetime.now(UTC)),
        }
        self._heartbeat = json.dumps(about)
        async with self._explained():
            workers = await self._beat()
            if dead := [
                name for name in workers if not await self._redis.exists(self._run_key(name))
            ]:
                await self._redis.srem(self._runs, *dead)

    async def look(self) -> Contents:
        """Return what the registry holds. This needs only permissions to read."""
        async with self._explained():
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.get(self._archive)
                pipeline.hlen(self._outbox)
                pipeline.hvals(self._claims)
                pipeline.smembers(self._runs)
                archive, messages, claims, workers = await pipeline.execute()
            heartbeats = (
                await self._redis.mget([self._run_key(name) for name in workers]) if workers else []
            )
            return Contents(
                archive,
                messages,
                sum(bool(json.loads(claim).get("fingerprint")) for claim in claims),
                sorted((_living(text) for text in heartbeats if text), key=lambda run: run.since),
            )

    async def claim(
        self, identifier: str, *, force: bool = False, insist: bool = False
    ) -> tuple[Step, str]:
        """Claim a candidate: return CLAIMED, or its state: REGISTERED, HELD or ABANDONED.

        The second value is the token of the claim with CLAIMED, and "" otherwise. *insist* claims
        an abandoned candidate that could not be settled. FOREIGN is returned if the registry belongs
        to an archive to which this worker has not bound it.
        """
        claim = Claim(identifier, f"{self._worker}:{next(self._serial)}")
        self._held.add(claim)  # already here: a stop may come before the answer
        try:
            (step, *_) = await self._run(
                self._claim,
                [self._key(identifier), self._claims],
                [*claim, self._lease, int(force), int(insist), self._prefix, self._bound_to],
            )
        except RegistryUnavailable:
            self._held.discard(claim)  # not renewed: a later claim waits until this one expires
            raise
        if step != Step.CLAIMED:
            self._held.discard(claim)
            return Step(step), ""
        self._held.add(claim)  # again: an earlier claim's commit may have removed it
        return Step.CLAIMED, claim.token

    async def hold(
        self, identifier: str, token: str, fingerprint: str, *, force: bool = False
    ) -> tuple[Step, str]:
        """Add the content to the claim that has *token*: return STORE, DUPLICATE, HELD or LOST.

        The second value is an identifier: with STORE, the one to store the content under; with
        DUPLICATE, the one it is stored under; with HELD, the one that another worker is storing it
        under. It is "" with LOST.
        """
        (step, *about) = await self._run(
            self._hold,
            [
                self._key(identifier),
                self._key(f"md5:{fingerprint}"),
                self._key(f"home:{fingerprint}"),
                self._claims,
            ],
            [identifier, token, self._lease, fingerprint, self._ttl, int(force), self._prefix],
        )
        if step == Step.STORE:
            self._held.add(Claim(about[0], token))
        elif step in (Step.LOST, Step.DUPLICATE):
            self._held.discard(Claim(identifier, token))
        return Step(step), about[0] if about else ""

    async def commit(
        self, home: str, fingerprint: str, message: str = "", *, candidate: str | None = None
    ) -> None:
        """Register the file under *home*, and add *message* to the outbox, in one atomic step.

        *candidate* is registered too, if its content was stored under the name of another one.
        """
        candidate = candidate or home
        await self._run(
            self._commit,
            [
                self._key(home),
                self._key(candidate),
                self._key(f"md5:{fingerprint}"),
                self._key(f"home:{fingerprint}"),
                self._claims,
                self._outbox,
            ],
            [home, candidate, fingerprint, self._ttl, message, self._prefix],
        )
        # The step has ended all claims on both, also those of other workers.
        self._held = {claim for claim in self._held if claim.identifier not in (home, candidate)}

    async def release(self, claim: Claim) -> None:
        """Free a candidate that this worker has settled and for which there is no file."""
        self._held.discard(claim)
        await self._run(self._release, [self._claims], claim)

    async def leave(self, *claims: Claim) -> None:
        """Give up *claims*, or all that are left.

        A claim is freed if nothing can have been stored for it. Otherwise its lease ends now, and the
        next run settles it.
        """
        left = self._held.intersection(claims) if claims else self._held.copy()
        self._held -= left
        if left:
            await self._run(self._leave, [self._claims], _flat(left))

    async def take_expired(self) -> AsyncIterator[Claim]:
        """Take over the claims with content of dead workers, and yield them to be settled."""
        token = f"{self._worker}:{next(self._serial)}"
        scope = "all" if self._alone and not self._held else "expired"
        while True:
            found = await self._run(
                self._expire, [self._claims], [token, self._lease, scope, _SETTLE_AT_ONCE]
            )
            for identifier in found:
                claim = Claim(identifier, token)
                self._held.add(claim)
                yield claim
            if len(found) < _SETTLE_AT_ONCE:
                return

    async def stored_as(self, fingerprint: str) -> str | None:
        """Return the identifier under which a content is stored, or None."""
        async with self._explained():
            identifier = await self._redis.get(self._key(f"md5:{fingerprint}"))
        return None if identifier is None else str(identifier)

    async def restore(self, files: Iterable[tuple[str, str, str]]) -> None:
        """Register files of the archive: (identifier, fingerprint, message or "") of each.

        Existing registrations are kept: those of a run at work are newer.
        """
        async with self._explained(), self._redis.pipeline(transaction=True) as pipeline:
            for identifier, fingerprint, message in files:
                pipeline.set(self._key(identifier), fingerprint, px=self._ttl, nx=True)
                pipeline.set(self._key(f"md5:{fingerprint}"), identifier, px=self._ttl, nx=True)
                if message:
                    pipeline.hset(self._outbox, identifier, message)
            await pipeline.execute()

    async def unregistered(self, identifiers: Sequence[str]) -> set[str]:
        """Return those of *identifiers* that are not registered."""
        if not identifiers:
            return set()
        async with self._explained():
            found = await self._redis.mget([self._key(name) for name in identifiers])
        return {name for name, value in zip(identifiers, found, strict=True) if value is None}

    async def archive(self) -> str | None:
        """Return the id of the archive that the registry belongs to, or None if it has none yet."""
        async with self._explained():
            remembered = await self._redis.get(self._archive)
        return None if remembered is None else str(remembered)

    async def bind(self, archive: str) -> bool:
        """Store the id of the archive; return False if the registry belongs to another one."""
        async with self._explained():
            await self._redis.set(self._archive, archive, nx=True)
        if await self.archive() != archive:
            return False
        self._bound_to = archive
        return True

    async def registered(self, number: int) -> list[tuple[str, str]]:
        """Return (identifier, fingerprint) of at most *number* registered files."""
        found: list[tuple[str, str]] = []
        start = self._key("md5:")
        async with self._explained():
            async for name in self._redis.scan_iter(f"{start}*", count=1000):
                if identifier := await self._redis.get(name):
                    found.append((str(identifier), str(name).removeprefix(start)))
                if len(found) == number:
                    break
        return found

    async def forget(self) -> None:
        """Delete the archive's id and the registrations, so that another archive can be bound.

        The outbox is kept: its messages are about files that exist. Raises RegistryUnavailable if
        another worker has a claim.
        """
        (step, *_) = await self._run(
            self._forget, [self._claims, self._quarantine, self._archive], [int(self._alone)]
        )
        if step == Step.HELD:
            raise RegistryUnavailable(
                f"the registry {self.where} belongs to another archive, and a worker is at work on it; "
                "wait until it has ended, or set another ENVIRONMENT or REDIS_DB"
            )
        self._bound_to = ""
        async with self._explained():
            async for name in self._redis.scan_iter(f"{self._prefix}*", count=1000):
                if str(name).removeprefix(self._prefix).startswith(_REGISTRATIONS):
                    await self._redis.unlink(name)

    async def quarantine(self, name: str) -> None:
        """Record that the body *name* is in quarantine."""
        async with self._explained():
            await self._redis.sadd(self._quarantine, name)

    async def forget_quarantine(self) -> None:
        """Delete the record of all bodies, before it is read again from the store."""
        async with self._explained():
            await self._redis.delete(self._quarantine)

    async def unquarantine(self, name: str) -> None:
        """Delete the record of the body *name*, which is filed now."""
        async with self._explained():
            await self._redis.srem(self._quarantine, name)

    async def is_quarantined(self, name: str) -> bool:
        """Return whether the body *name* is in quarantine."""
        async with self._explained():
            return bool(await self._redis.sismember(self._quarantine, name))

    async def quarantined(self) -> int:
        """Return how many bodies are in quarantine."""
        async with self._explained():
            return int(await self._redis.scard(self._quarantine))

    async def owed(self) -> int:
        """Return how many messages are in the outbox."""
        async with self._explained():
            return int(await self._redis.hlen(self._outbox))

    async def claims(self) -> int:
        """Return how many claims there are, living and expired."""
        async with self._explained():
            return int(await self._redis.hlen(self._claims))

    async def outbox(self) -> AsyncIterator[tuple[str, str]]:
        """Yield the identifier and text of each message, without loading all of them at once."""
        async with self._explained():
            async for identifier, message in self._redis.hscan_iter(self._outbox, count=100):
                yield identifier, message

    async def sent(self, identifier: str, message: str) -> None:
        """Remove from the outbox a message that the broker has acknowledged."""
        await self._run(self._sent, [self._outbox], [identifier, message])

    async def transact(self, step: Callable[..., Awaitable[T]], *names: str) -> T:
        """Await *step* in an optimistic transaction on the keys *names*, and return its result.

        *step* gets a pipeline that watches the keys, and the keys. It is called again if another
        client changes one of them before its writes take place.
        """
        keys = [self._key(name) for name in names]
        async with self._explained():
            result: T = await self._redis.transaction(
                lambda pipeline: step(pipeline, *keys), *keys, value_from_callable=True
            )
            return result

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"

    async def _run(self, script: Any, keys: Iterable[str], args: Iterable[Any]) -> list[str]:
        async with self._explained():
            answer: list[str] = await script(keys=list(keys), args=list(args))
            return answer

    async def _keep_renewing(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 3000)
            with contextlib.suppress(RedisError, OSError):  # the next step reports it
                if self._heartbeat:
                    await self._beat()
                if self._held:
                    await self._renew(keys=[self._claims], args=[self._lease, *_flat(self._held)])

    def _run_key(self, worker: str) -> str:
        return self._key(f"run:{worker}")

    async def _beat(self) -> set[str]:
        """Renew this run's heartbeat. Return the workers that have had one, also those that are dead."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.set(self._run_key(self._worker), self._heartbeat, px=self._lease)
            pipeline.sadd(self._runs, self._worker)
            pipeline.smembers(self._runs)
            workers: set[str] = (await pipeline.execute())[-1]
            return workers

    async def _end_run(self) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.delete(self._run_key(self._worker))
            pipeline.srem(self._runs, self._worker)
            await pipeline.execute()

    @asynccontextmanager
    async def _explained(self) -> AsyncIterator[None]:
        if self._lost:  # waiting once, with retries, is enough
            raise self._lost
        try:
            yield
        except AuthenticationError as error:
            raise RegistryUnavailable(
                f"the registry {self.where} refuses the login: {error}; check the password in REDIS_URL"
            ) from error
        except NoPermissionError as error:
            raise RegistryUnavailable(
                f"the registry {self.where} refuses a command: {error}; grant it to its user"
            ) from error
        except (RedisError, OSError, ValueError) as error:
            self._lost = RegistryUnavailable(
                f"the registry {self.where} does not answer: {_reason(error)}; check REDIS_URL"
            )
            raise self._lost from error


def _reason(error: Exception) -> str:
    """Return the reason of *error* in words that do not depend on the event loop."""
    if isinstance(error.__context__, ConnectionRefusedError):
        return "connection refused"
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _living(heartbeat: str | bytes) -> LivingRun:
    about = json.loads(heartbeat)
    return LivingRun(**{**about, "since": datetime.fromisoformat(about["since"])})


def _nothing() -> None:
    """Do nothing: the server is somebody else's."""


def _flat(claims: Iterable[Claim]) -> list[str]:
    return [part for claim in claims for part in claim]
