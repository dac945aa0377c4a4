"""Check settings, feed, registry, store and topic, without collecting.

The checks use the same components and the same time limits as a run. Findings are yielded one by one,
so that the user sees which check is running.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import re
import socket
import ssl
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urldefrag, urljoin

from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    ResponseDataLossError,
)
from scrapy.http import Response
from scrapy.settings import SETTINGS_PRIORITIES, BaseSettings
from scrapy.spidermiddlewares.httperror import HttpError

from miso_scrapy import settings as defaults
from miso_scrapy.archive.document import ROOT
from miso_scrapy.archive.identity import Kind, kind_of, read_identity, wrong_kind
from miso_scrapy.connections.binding import wrong_archive
from miso_scrapy.connections.open import connect_registry, feed_turns, open_registry, open_store
from miso_scrapy.exceptions import UntrustedServer
from miso_scrapy.extensions.mistyped_settings import warnings_about
from miso_scrapy.feed.ref_id import iso_utc, parse_ref_id
from miso_scrapy.feed.shape import ARRAYS, NotJSON, decode, error_in, normalise
from miso_scrapy.feed.turns import PATIENCE, REFUSED, Answer, Shared, Turn, Wait, retry_after
from miso_scrapy.feed.validation import problem
from miso_scrapy.network.tls import client_context, explain_no_tls, explain_refusal
from miso_scrapy.no_answer import why_no_answer
from miso_scrapy.notifications.kafka import security_options
from miso_scrapy.options import Options, variables
from miso_scrapy.registry.client import RegistryInUse, RegistryUnavailable
from miso_scrapy.store import AccessDenied, Store, StoreUnavailable
from miso_scrapy.text.masking import MASK, masked, masked_url, secrets_in
from miso_scrapy.text.wording import count, one_line

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from miso_scrapy.registry.feed_turns import Turns

_POLL = 0.2
# If the feed is ahead of this machine's clock by more than this, the clock is wrong.
_AHEAD = timedelta(minutes=15)
_AGAIN = "run this again later"
_HIDDEN = f"{ROOT}/.doctor"


class Result(StrEnum):
    """The result of a check."""

    OK = "ok"
    NOTE = "note"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Finding:
    """The finding of one check; *fix* says what to do about a failure."""

    check: str
    result: Result
    what: str
    fix: str = ""


def _failed(check: str, error: Exception) -> Finding:
    """Return *error*, with the text "what happened; what to do", as a failure."""
    what, _, fix = str(error).rpartition("; ")
    return Finding(check, Result.FAIL, what, fix)


# --- Settings ---------------------------------------------------------------------------------


def settings_in_use(settings: BaseSettings) -> list[tuple[str, str, str]]:
    """Return (name, value, source) of each setting that has an environment variable, secrets masked.

    ``settings.py`` defines them; boto3 reads those with ``AWS_`` itself.
    """
    ours = variables()
    given = {name for name in (*os.environ, *settings) if name.startswith("AWS_")}
    boto3s = sorted(name for name in given - {*ours} if _value(settings, name))
    return [
        (name, _shown(settings, name), _source(settings, name)) for name in sorted(ours) + boto3s
    ]


def _value(settings: BaseSettings, name: str) -> str:
    return str(settings.get(name) or os.environ.get(name, ""))


def _shown(settings: BaseSettings, name: str) -> str:
    value = _value(settings, name)
    if value and re.search("PASSWORD|SECRET|TOKEN", name):
        return MASK
    if name.endswith("_URL"):  # may hold a login or a key, even if it is not a valid URL
        value = masked_url(value)
        if "://" not in value:
            value = re.sub(".*@", f"{MASK}@", value)
    return masked(value, secrets_in(settings))


def _source(settings: BaseSettings, name: str) -> str:
    if (settings.getpriority(name) or 0) >= SETTINGS_PRIORITIES["cmdline"]:
        return "-s"
    if name in settings and settings[name] != getattr(defaults, name, settings[name]):
        return "settings module"
    return "environment" if name in os.environ else "default"


# --- The checks -------------------------------------------------------------------------------


def findings(settings: BaseSettings) -> Iterator[Finding]:
    """Run all checks, and yield their findings."""
    for warning in warnings_about(settings):
        yield Finding("settings", Result.NOTE, warning)
    try:
        options = Options.from_settings(settings)
        security_options(settings)
    except ValueError as error:
        yield Finding(
            "settings", Result.FAIL, str(error), "correct the value, or remove the setting"
        )
        return
    yield Finding("settings", Result.OK, "all values are valid")
    snapshot = yield from _feed(settings, options)
    registry, archive = asyncio.run(_registry(options))
    yield registry
    yield from _store(settings, options, archive, snapshot)
    yield _topic(settings, options)


def _feed(settings: BaseSettings, options: Options) -> Generator[Finding, None, Any]:
    """Check the feed; return the snapshot that it gave, or None."""
    importlib.import_module("aiohttp")  # before the turn: the import takes longer than a turn lasts
    with asyncio.Runner() as runner:
        try:
            registry = connect_registry(options, options.redis_url) if options.redis_url else None
            turns = feed_turns(options, registry)
            step = runner.run(turns.ask())
            if isinstance(step, Wait) and not _too_long(step):
                why = f"at most one request in {options.min_interval:g} s"
                if step.held_off_until:
                    why = "its Retry-After asks for that"
                what = f"waits up to {step.seconds:.0f} s for its turn: {why}"
                yield Finding("feed", Result.NOTE, what)
                step = runner.run(_wait(turns))
            answer = runner.run(_answer(settings, turns, step))
        except RegistryUnavailable as error:
            what = f"no request sent, as the time of the last one is not known: {error}"
            fix = "correct that and run this again: it then checks MISO_API_URL"
            yield Finding("feed", Result.FAIL, what, fix)
            return None
        except _NoAnswer as error:
            yield _failed("feed", error)
            return None
        finally:
            if registry:
                runner.run(registry.close())
    size = f"{len(answer.body):,} bytes"
    what = f"answers, with {size}"
    if isinstance(step, Shared):
        what = f"no request sent: the answer of {iso_utc(answer.fetched_at)} is shared, with {size}"
    yield Finding("feed", Result.OK, what)
    return (yield from _snapshot(answer.body, options))


def _snapshot(body: bytes, options: Options) -> Generator[Finding, None, Any]:
    """Check what the feed gave; return the snapshot, or None."""
    data: Any = None
    wrong = error_in(body)
    if wrong is None:
        try:
            data = normalise(decode(body))
            wrong = problem(data)
        except NotJSON as error:
            wrong = str(error)
    if wrong is None and not any(data[name] for name in ARRAYS):
        wrong = "every array is empty"
    if wrong is not None:
        fix = "check MISO_API_URL; if the feed has changed its shape, please report it"
        yield Finding("feed's shape", Result.FAIL, wrong, fix)
        return None
    rows = ", ".join(f"{len(data[name])} {name}" for name in ARRAYS)
    yield Finding("feed's shape", Result.OK, rows)
    interval = parse_ref_id(data["RefId"])
    behind = datetime.now(UTC) - interval
    minutes = int(abs(behind) / timedelta(minutes=1))
    age = f"its newest interval, {iso_utc(interval)}, is {minutes} min "
    age += "old" if behind > timedelta() else "ahead of the clock"
    if behind > timedelta(minutes=options.stale_after):
        fix = "wait: MISO is late; if a run elsewhere finds it fresh, check MISO_API_URL"
        yield Finding("feed's age", Result.FAIL, f"stale: {age}", fix)
    elif behind < -_AHEAD:
        fix = "set this machine's clock"
        yield Finding("feed's age", Result.FAIL, age, fix)
    else:
        yield Finding("feed's age", Result.OK, age)
    return data


class _NoAnswer(Exception):
    """There is no body to check; the message says why and what to do."""


async def _wait(turns: Turns) -> Turn | Shared | Wait:
    """Wait for a turn or a shared answer. Return a Wait if that takes longer than a run would wait."""
    while isinstance(step := await turns.ask(), Wait) and not _too_long(step):
        await asyncio.sleep(min(step.seconds, _POLL))
    return step


def _too_long(wait: Wait) -> bool:
    return wait.held_off_until is not None and wait.seconds > PATIENCE


async def _answer(settings: BaseSettings, turns: Turns, step: Turn | Shared | Wait) -> Answer:
    """Return the shared answer, or send a request like that of a run, but without Scrapy's engine.

    Raises _NoAnswer.
    """
    if isinstance(step, Shared):
        return step.answer
    if isinstance(step, Wait):
        assert step.held_off_until is not None
        until = iso_utc(step.held_off_until)
        raise _NoAnswer(f"it allows no request before {until}; run this again after that")
    import aiohttp

    seconds = settings.getfloat("DOWNLOAD_TIMEOUT")
    answer = None
    try:
        async with aiohttp.ClientSession(
            headers={**settings["DEFAULT_REQUEST_HEADERS"], "User-Agent": settings["USER_AGENT"]},
            timeout=aiohttp.ClientTimeout(total=seconds),
            trust_env=True,  # proxies
        ) as session:
            answer = await _fetch(settings, session, turns)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        what, fix, _ = why_no_answer(_as_scrapy(error), seconds, _AGAIN)
        raise _NoAnswer(f"{what}; {fix}") from error
    finally:
        good = answer if answer and error_in(answer.body) is None else None
        with contextlib.suppress(RegistryUnavailable):
            await turns.finish(step, good)
    return answer


def _as_scrapy(error: Exception) -> Exception:
    """Return what a run raises where aiohttp raises *error*, if it differs."""
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return UntrustedServer(*explain_refusal(error.certificate_error))
    if isinstance(error, TimeoutError):
        return DownloadTimeoutError()
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return CannotResolveHostError()
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        if isinstance(cause, ConnectionRefusedError):
            return DownloadConnectionRefusedError()
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
            return UntrustedServer(*explain_no_tls(cause.reason))
        return OSError(cause.strerror)  # such as "Network is unreachable"
    if isinstance(error, aiohttp.ClientPayloadError):
        return ResponseDataLossError()
    if isinstance(error, aiohttp.ClientConnectionError):
        return DownloadFailedError()
    return error


async def _fetch(settings: BaseSettings, session: ClientSession, turns: Turns) -> Answer:
    """Return the feed's answer. Follow redirections, but never to a link that was requested before."""
    most = settings.getint("DOWNLOAD_MAXSIZE")
    links = [turns.url]
    while True:
        async with session.get(
            links[-1],
            allow_redirects=False,
            ssl=settings.getbool("DOWNLOAD_VERIFY_CERTIFICATES")
            and client_context(settings["MISO_CA_FILE"]),
        ) as response:
            value, date = (response.headers.get(name, "") for name in ("Retry-After", "Date"))
            held_off = max(retry_after(value, date), REFUSED if response.status == 403 else 0)
            if held_off:
                await turns.hold_off(held_off)
            if not held_off and 300 < response.status < 400 and "Location" in response.headers:
                link = urldefrag(urljoin(links[-1], response.headers["Location"]))[0]
                if link in links or len(links) > settings.getint("REDIRECT_MAX_TIMES"):
                    raise _NoAnswer("redirections in a circle; check MISO_API_URL")
                links.append(link)
                continue
            if held_off and response.status != 200:
                until = iso_utc(datetime.now(UTC) + timedelta(seconds=held_off))
                raise _NoAnswer(
                    f"HTTP {response.status}: it allows no request before {until}; run this again "
                    "after that"
                )
            if response.status != 200:
                what, fix, _ = why_no_answer(
                    HttpError(Response(links[-1], response.status)), 0, _AGAIN
                )
                raise _NoAnswer(f"{what}; {fix}")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if 0 < most < len(body):  # 0 means no limit, as in Scrapy
                    raise _NoAnswer(f"an answer over {most:,} bytes; check MISO_API_URL")
            return Answer(bytes(body), masked_url(links[-1]), datetime.now(UTC))


async def _registry(options: Options) -> tuple[Finding, str | None]:
    """Check the registry. Return the finding, and the id of the archive it belongs to, if any."""
    try:
        async with open_registry(options) as registry:
            owed, where, archive = await registry.owed(), registry.where, await registry.archive()
    except RegistryInUse as error:
        busy = str(error).partition(";")[0]
        return Finding("registry", Result.NOTE, f"{busy}: not an error, while that lasts"), None
    except RegistryUnavailable as error:
        return _failed("registry", error), None
    found = f"{where} answers" if options.redis_url else "the embedded registry starts and answers"
    if owed:
        owing = f"{found}; {count(owed, 'message')} owed: the next run sends what is owed first"
        return Finding("registry", Result.NOTE, owing), archive
    return Finding("registry", Result.OK, found), archive


def _store(
    settings: BaseSettings, options: Options, archive: str | None, snapshot: Any
) -> Iterator[Finding]:
    """Put, get, list and delete a small file.

    *archive* is the id that the registry remembers, *snapshot* what the feed gave, or None.

    The file has one name per machine, so that they do not pile up in a store that forbids deletion.
    """
    try:
        store = open_store(settings, options)
        identity = read_identity(store)
        if archive not in (None, identity and identity.id):
            raise wrong_archive("of this ENVIRONMENT", store)
        if snapshot and identity and identity.kind != kind_of(snapshot):
            raise wrong_kind(store, kind_of(snapshot))
    except StoreUnavailable as error:
        yield _failed("store", error)
        return
    key = f"{_HIDDEN}/{socket.gethostname()}.gz"
    body = os.urandom(16)
    where = f"files go to {store.locate(ROOT)}"
    if identity and identity.kind == Kind.SIMULATED:
        where += ", which is a simulated archive"
    yield Finding("store", Result.OK, where)
    try:
        store.put(key, body, {}, overwrite=True)
        overwritten = store.put(key, body[::-1], {}).created
    except StoreUnavailable as error:
        yield _failed("store: put", error)
        return
    if overwritten:
        what = "an existing file is overwritten: the store ignores If-None-Match"
        fix = "use a store that supports If-None-Match, as this one can overwrite filed snapshots"
        yield Finding("store: put", Result.FAIL, what, fix)
    else:
        yield Finding("store: put", Result.OK, "takes a file, and does not overwrite it")
    yield _get(store, key, body[::-1] if overwritten else body)
    yield _list(store, key)
    yield _delete(store, key)


def _get(store: Store, key: str, body: bytes) -> Finding:
    check, grant = "store: get", "grant s3:GetObject on the archive's keys"
    try:
        found = store.get(key)
    except AccessDenied as error:
        return Finding(check, Result.FAIL, str(error).partition(":")[0], grant)
    except StoreUnavailable as error:
        return _failed(check, error)
    if found != body:
        what = f"{store.locate(key)} is {'not what was put there' if found else 'not there'}"
        return Finding(check, Result.FAIL, what, "check proxies between this machine and it")
    return Finding(check, Result.OK, "returns the file")


def _list(store: Store, key: str) -> Finding:
    check = "store: list"
    try:
        if key in (entry.key for entry in store.entries(_HIDDEN)):
            return Finding(check, Result.OK, "lists the file")
    except AccessDenied:
        needed = "may not list (s3:ListBucket): only scrapy reindex and scrapy requeue need to"
        return Finding(check, Result.NOTE, needed)
    except StoreUnavailable as error:
        return _failed(check, error)
    what = f"{store.locate(key)} is not listed"
    return Finding(check, Result.FAIL, what, "check proxies between this machine and it")


def _delete(store: Store, key: str) -> Finding:
    check = "store: delete"
    try:
        store.delete(key)
    except StoreUnavailable:
        left = f"may not delete: only scrapy requeue needs to; {store.locate(key)} stays"
        return Finding(check, Result.NOTE, left)
    return Finding(check, Result.OK, "deletes the file")


def _topic(settings: BaseSettings, options: Options) -> Finding:
    check, topic = "Kafka topic", options.kafka_topic
    if not topic:
        return Finding(check, Result.OK, "none is set: no messages are sent")
    from kafka import KafkaAdminClient
    from kafka.errors import NoError, for_code

    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # it logs many lines; the finding has one
    milliseconds = int(options.kafka_timeout * 1000)
    fix = "check KAFKA_BROKERS, and the KAFKA_SSL_ and KAFKA_SASL_ settings"
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=options.kafka_brokers,
            bootstrap_timeout_ms=milliseconds,
            request_timeout_ms=milliseconds,
            **security_options(settings),
        )
        try:
            (found,) = admin.describe_topics([topic])  # does not create it
        finally:
            admin.close()
    except Exception as error:  # noqa: BLE001  kafka-python raises OSError, ValueError and its own
        return Finding(check, Result.FAIL, one_line(error), fix)
    answer = for_code(found["error_code"])
    if answer is not NoError:
        what = f"{topic}: {answer.description or answer.__name__}"
        fix = "create the topic, or check KAFKA_TOPIC and the right to describe it"
        return Finding(check, Result.FAIL, what, fix)
    return Finding(
        check, Result.OK, f"{topic} exists, {count(len(found['partitions']), 'partition')}"
    )
