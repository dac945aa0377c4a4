"""Start the feed and the servers, each in its own process."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.servers import Kafka, Valkey, free_port

# Makes an empty bucket, database or topic, and returns the environment variables to use it.
Fresh = Callable[[], dict[str, str]]

_CLONE = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
# Leave out the developer's own settings. PYTHONPATH is for a clone that is not installed.
CLEAN = {
    name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ
}
PROJECT = {**CLEAN, "SCRAPY_SETTINGS_MODULE": "miso_scrapy.settings"}


class Feed:
    """The simulator. Its clock does not run, but moves one step after each snapshot served."""

    def __init__(self, port: int) -> None:
        self._control = f"http://127.0.0.1:{port}/simulator"
        self.url = f"http://127.0.0.1:{port}/api/RealTimeTotalLoad"

    def set(self, clock: str, advance: float = 5) -> None:
        """Set the clock, and its step in minutes."""
        body = json.dumps({"clock": clock, "advance": advance}).encode()
        request = urllib.request.Request(self._control, data=body, method="PUT")
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()


@contextlib.contextmanager
def feed(*faults: str) -> Iterator[Feed]:
    """Start a feed with *faults*, such as ``delay=0.06``; yield it."""
    port = free_port()
    command = [BIN / "scrapy", "simulate", "--port", str(port)]
    for fault in faults:
        command += ["--fault", fault]
    with _process(command, port, PROJECT):
        yield Feed(port)


@contextlib.contextmanager
def s3(*options: str | Path) -> Iterator[Fresh]:
    """Start an S3 server with *options*; yield a function that names a new bucket."""
    port = free_port()

    def fresh() -> dict[str, str]:
        return {
            "S3_BUCKET": f"benchmark-{secrets.token_hex(4)}",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    command = [sys.executable, "-m", "benchmarks.bucket", str(port), *options]
    with _process(command, port, CLEAN):
        yield fresh


@contextlib.contextmanager
def redis() -> Iterator[Fresh]:
    """Start a Valkey server; yield a function that empties it."""
    with tempfile.TemporaryDirectory() as directory:
        server = Valkey(Path(directory))

        def fresh() -> dict[str, str]:
            server.client.flushall()
            return {"REDIS_URL": server.url}

        try:
            yield fresh
        finally:
            server.stop()


@contextlib.contextmanager
def kafka() -> Iterator[Fresh]:
    """Start a Tansu broker; yield a function that creates an empty topic."""
    broker = Kafka()

    def fresh() -> dict[str, str]:
        name = f"benchmark-{secrets.token_hex(4)}"
        broker.create_topic(name)
        return {"KAFKA_BROKERS": broker.brokers, "KAFKA_TOPIC": name}

    try:
        yield fresh
    finally:
        broker.stop()


@contextlib.contextmanager
def _process(command: list[str | Path], port: int, env: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        command, env=env, cwd=_CLONE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()
