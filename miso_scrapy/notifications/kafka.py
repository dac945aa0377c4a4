"""Notifications: one Kafka message per stored file, each acknowledged, every wait bounded."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scrapy.settings import BaseSettings

from miso_scrapy.archive.document import DATASET
from miso_scrapy.archive.record import Filed
from miso_scrapy.options import Options
from miso_scrapy.registry.client import Registry

logger = logging.getLogger(__name__)

# Seconds without another attempt after a broker did not answer in time.
_LEAVE_ALONE = 60.0
_AT_ONCE = 500
_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_TLS_FILES = ("KAFKA_SSL_CAFILE", "KAFKA_SSL_CERTFILE", "KAFKA_SSL_KEYFILE")


def message_of(filed: Filed, environment: str) -> str:
    """Return the message about *filed*: a JSON object."""
    return json.dumps(
        {
            "dataset": DATASET,
            "environment": environment,
            "identifier": filed.identifier,
            "location": filed.location,
            "etag": filed.etag,
            "content_md5": filed.fingerprint,
            "size": filed.size,
            "ref_id": filed.ref_id,
            "candidate": filed.candidate,
            "collected_at": filed.collected_at,
            "source_url": filed.source_url,
        }
    )


class Notifier:
    """Send messages to the Kafka topic, in a thread. The key is the identifier."""

    def __init__(self, settings: BaseSettings, options: Options) -> None:
        self.brokers = options.kafka_brokers
        self.topic = options.kafka_topic
        self.timeout = options.kafka_timeout
        self.lost = 0
        """Messages that could not be sent, in runs without an outbox."""
        self._security = security_options(settings)
        self._writer: Any = None
        self.down = False
        """Whether the broker did not take the last messages."""
        self._closed_until = 0.0
        self._one_at_a_time = asyncio.Lock()
        self._owed_one_at_a_time = asyncio.Lock()

    async def send(self, messages: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Send (identifier, message) pairs and return those that the broker has acknowledged."""
        async with self._one_at_a_time:  # wait only once for a broker that is down
            if not messages or time.monotonic() < self._closed_until:
                return []
            try:
                acknowledged, error = await asyncio.to_thread(self._send, messages)
            except asyncio.CancelledError:  # the run is stopped, and does not wait for it
                self.down = True
                raise
            if error is None:
                if self.down:
                    logger.info("Kafka takes messages for %s again", self.topic)
                self.down = False
                return acknowledged
            self._closed_until = time.monotonic() + _LEAVE_ALONE
            if not self.down:
                logger.warning(
                    "Kafka does not take messages for %s at %s: %s; check KAFKA_BROKERS, "
                    "KAFKA_TOPIC, and the KAFKA_SSL_ and KAFKA_SASL_ settings",
                    self.topic,
                    ",".join(self.brokers),
                    " ".join(str(error).split()) or type(error).__name__,
                )
            self.down = True
        return acknowledged

    async def send_owed(self, registry: Registry) -> None:
        """Send the messages in the outbox. Raises RegistryUnavailable."""
        async with self._owed_one_at_a_time:  # the next one reads what is still owed
            owed = [entry async for entry in registry.outbox()]
            for start in range(0, len(owed), _AT_ONCE):
                acknowledged = await self.send(owed[start : start + _AT_ONCE])
                for identifier, message in acknowledged:
                    await registry.sent(identifier, message)
                if not acknowledged:
                    return
                sent = len(acknowledged)
                what = "message that was" if sent == 1 else "messages that were"
                logger.info("sent %d %s owed", sent, what)

    async def close(self, *, at_once: bool = False) -> None:
        """Close the connection. Messages that the broker has not acknowledged stay in the outbox.

        *at_once* does not wait for them.
        """
        if self._writer is not None:
            with contextlib.suppress(Exception):
                if at_once:  # if it was left open, the interpreter would wait for it at its end
                    self._writer.producer.close(timeout=0)
                else:
                    await asyncio.to_thread(self._writer.close)

    def _send(
        self, messages: Sequence[tuple[str, str]]
    ) -> tuple[list[tuple[str, str]], Exception | None]:
        acknowledged = []
        try:
            if self._writer is None:
                self._writer = _writer(self.brokers, self.topic, self.timeout, self._security)
            futures = [self._writer.write(key, text.encode()) for key, text in messages]
            for message, future in zip(messages, futures, strict=True):
                future.get(timeout=self.timeout)
                acknowledged.append(message)
        except Exception as error:  # noqa: BLE001  kafka-python raises OSError, ValueError and its own
            return acknowledged, error
        return acknowledged, None


def security_options(settings: BaseSettings) -> dict[str, Any]:
    """Return kafka-python's security options from the ``KAFKA_`` settings.

    With TLS, certificates and host names are verified. Raises ValueError, with a message of one line
    that names the setting.
    """
    given = {
        "sasl_mechanism": settings.get("KAFKA_SASL_MECHANISM"),
        "sasl_plain_username": settings.get("KAFKA_SASL_USERNAME"),
        "sasl_plain_password": settings.get("KAFKA_SASL_PASSWORD"),
    }
    options = {name: value for name, value in given.items() if value}
    files = {name: settings.get(name) for name in _TLS_FILES if settings.get(name)}
    protocol = settings.get("KAFKA_SECURITY_PROTOCOL") or (
        ("SASL_" if "sasl_mechanism" in options else "") + ("SSL" if files else "PLAINTEXT")
    )
    if protocol not in _PROTOCOLS:
        raise ValueError(
            f"KAFKA_SECURITY_PROTOCOL={protocol!r} must be one of {', '.join(_PROTOCOLS)}"
        )
    options["security_protocol"] = protocol
    for name, path in files.items():
        if not Path(path).is_file():
            raise ValueError(f"{name}={path!r} must be an existing file")
    if protocol.endswith("SSL"):
        # Pass a context: the writer's own ssl_ arguments turn the check of the host name off.
        try:
            context = ssl.create_default_context(cafile=files.get("KAFKA_SSL_CAFILE"))
            if "KAFKA_SSL_KEYFILE" in files and "KAFKA_SSL_CERTFILE" not in files:
                raise ValueError("KAFKA_SSL_KEYFILE needs KAFKA_SSL_CERTFILE")
            if certificate := files.get("KAFKA_SSL_CERTFILE"):
                context.load_cert_chain(
                    certificate,
                    files.get("KAFKA_SSL_KEYFILE"),
                    settings.get("KAFKA_SSL_PASSWORD") or "",
                )
        except (ssl.SSLError, OSError) as error:
            names = ", ".join(files)
            raise ValueError(f"{names} cannot be used: {error}") from None
        options["ssl_context"] = context
    return options


def _writer(brokers: list[str], topic: str, timeout: float, security: dict[str, Any]) -> Any:
    """Return scrapy-kafka-export's topic writer, with limits on its endless waits.

    It is imported here so that only runs with Kafka load it. It is from 2018 and imports
    pkg_resources, which warns that it is deprecated.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        from scrapy_kafka_export.writer import KafkaTopicWriter

    milliseconds = int(timeout * 1000)

    class AcknowledgedTopicWriter(KafkaTopicWriter):  # type: ignore[misc]
        """A KafkaTopicWriter whose ``write`` returns a future instead of retrying for ever."""

        KAFKA_PRODUCER_CLOSE_TIMEOUT = timeout

        def write(self, key: str, msg: bytes) -> Any:
            return self.producer.send(topic=self.topic, value=msg, key=key.encode())

    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # we log one line instead
    return AcknowledgedTopicWriter(
        bootstrap_servers=brokers,
        topic=topic,
        batch_size=16384,
        validate_topic=False,
        retry_backoff_ms=100,
        bootstrap_timeout_ms=milliseconds,
        max_block_ms=milliseconds,
        request_timeout_ms=milliseconds,
        delivery_timeout_ms=milliseconds,
        # With idempotence, kafka-python 3.0 sends nothing any more after a connection broke off in the
        # middle of a request. Messages may be repeated anyway.
        enable_idempotence=False,
        allow_auto_create_topics=False,  # kafka-python 3.0 ignores it: see scrapy doctor
        metrics_enabled=False,
        **security,
    )
