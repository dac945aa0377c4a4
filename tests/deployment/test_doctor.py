"""`scrapy doctor`: all well, each thing broken in turn, nothing collected, nothing left behind."""

import json
import re
import socket
import time
from types import SimpleNamespace

import pytest
from scrapy.settings import Settings

from miso_scrapy.doctor.checks import Result, findings
from miso_scrapy.registry.embedded import EmbeddedValkey
from tests.support.scripted_server import Scripted
from tests.support.servers import free_port

CHECKS = [
    "settings", "feed", "feed's shape", "feed's age", "registry", "store", "store: put",
    "store: get", "store: list", "store: delete", "Kafka topic",
]  # fmt: skip
SECRET = "hunter2-0ff"
HIDDEN = "sourcing/miso_realtime_total_load/.doctor/"


@pytest.fixture
def doctor(scrapy):
    """Run `scrapy doctor ARGS...`: `.status`, `.settings` {name: (value, source)}, `.checks`
    {check: (result, what)}, `.fixes` {check: what to do}, `.text`.
    """

    def run(*args, env=None):
        done = scrapy("doctor", *args, env=env)
        assert done.stderr == ""
        settings, _, table = done.stdout.partition("\n\n")
        checks, fixes = {}, {}
        for line in table.splitlines()[1:]:
            name, result, what = line[:15].strip(), line[15:21].strip(), line[21:]
            if result == "fix:":
                fixes[list(checks)[-1]] = what
            else:
                checks[name] = (result, what)
        assert all(fixes.values())
        assert set(fixes) == {name for name, (result, _) in checks.items() if result == "FAIL"}
        assert done.returncode == (1 if fixes else 0)
        rows = [re.fullmatch(r"(\w+) +(.*?) +(default|environment|-s|settings module)", line)
                for line in settings.splitlines()[1:]]  # fmt: skip
        return SimpleNamespace(
            status=done.returncode,
            settings={row[1]: (row[2], row[3]) for row in rows},
            checks=checks,
            fixes=fixes,
            text=done.stdout,
        )

    return run


@pytest.fixture
def examine(feed, valkey, tmp_path):
    """What is found with SETTINGS beside good ones, in this process: {check: finding}."""

    def run(**given):
        settings = Settings()
        settings.setmodule("miso_scrapy.settings")
        good = {
            "MISO_API_URL": feed.url,
            "REDIS_URL": valkey.url,
            "MISO_DATA_DIR": tmp_path / "data",
        }
        settings.setdict({**good, **given}, priority="cmdline")
        return {finding.check: finding for finding in findings(settings)}

    return run


def failing(found):
    """The checks that fail; each says in one line what to do."""
    failed = {check: finding for check, finding in found.items() if finding.result == Result.FAIL}
    for finding in failed.values():
        assert finding.fix
        assert "\n" not in finding.what + finding.fix
        assert "Traceback" not in finding.what
    return failed


# --- All well ---------------------------------------------------------------------------------


def test_all_well_with_everything_set(doctor, feed, valkey, bucket, topic, archive):
    seen = doctor(env={**bucket.settings, **topic.settings, "REDIS_URL": valkey.url})
    assert [*seen.checks] == CHECKS
    assert {result for result, _ in seen.checks.values()} == {"ok"}
    assert seen.status == 0
    # It asked as a run asks, once.
    (headers,) = feed.requests
    assert headers["User-Agent"].startswith("miso_scrapy/")
    assert headers["Accept"] == "application/json"
    # Nothing is collected, nothing left behind.
    assert bucket.keys() == []
    assert valkey.client.keys() == []
    assert topic.messages() == []
    assert archive.files() == []


def test_all_well_with_nothing_set_and_then_a_run(doctor, crawl, archive):
    seen = doctor("-s", "RETRY_TIMES=7", env={"REGISTRY_CLAIM_TTL": "9"})
    assert [*seen.checks] == CHECKS
    assert {result for result, _ in seen.checks.values()} == {"ok"}
    assert seen.settings["RETRY_TIMES"] == ("7", "-s")
    assert seen.settings["REGISTRY_CLAIM_TTL"] == ("9", "environment")
    assert seen.settings["REGISTRY_TTL_DAYS"] == ("365", "default")
    assert seen.settings["S3_BUCKET"] == ("", "default")
    left = [path for path in archive.root.rglob("*") if path.is_file()]
    assert {path.relative_to(archive.root).parts[0] for path in left} == {".registry"}
    assert not list(archive.root.rglob(".doctor"))
    run = crawl()
    assert (run.status, run.outcomes) == (0, {"stored": 1})


# --- Each thing broken, all at once -------------------------------------------------------------


def test_all_is_broken_and_no_secret_is_shown(doctor, bucket):
    seen = doctor(
        "-s", f"REDIS_URL=redis://me:{SECRET}@127.0.0.1:{free_port()}/0?password={SECRET}",
        "-s", f"AWS_SECRET_ACCESS_KEY={SECRET}",
        "-s", "AWS_ACCESS_KEY_ID=testing",
        env={
            **bucket.settings,
            "S3_BUCKET": "no-such-bucket",
            "MISO_API_URL": f"http://me:{SECRET}@127.0.0.1:{free_port()}/api?key={SECRET}",
            "AWS_SESSION_TOKEN": SECRET,
            "KAFKA_BROKERS": f"127.0.0.1:{free_port()}",
            "KAFKA_TOPIC": "snapshots",
            "KAFKA_TIMEOUT": "1",
            "KAFKA_SASL_MECHANISM": "PLAIN",
            "KAFKA_SASL_USERNAME": "me",
            "KAFKA_SASL_PASSWORD": SECRET,
            "KAFKA_SSL_PASSWORD": SECRET,
        },
    )  # fmt: skip
    assert SECRET not in seen.text
    assert "testing-secret" not in seen.text
    assert [*seen.fixes] == ["feed", "registry", "store", "Kafka topic"]
    assert "MISO_API_URL" in seen.fixes["feed"]
    assert "REDIS_URL" in seen.fixes["registry"]
    assert "S3_BUCKET" in seen.fixes["store"]
    assert "KAFKA_BROKERS" in seen.fixes["Kafka topic"]
    assert seen.settings["KAFKA_SASL_PASSWORD"] == ("***", "environment")
    assert seen.settings["AWS_SECRET_ACCESS_KEY"] == ("***", "-s")
    shown, _ = seen.settings["MISO_API_URL"]
    assert re.fullmatch(r"http://\*\*\*@127.0.0.1:\d+/api\?key=\*\*\*", shown)
    assert re.fullmatch(
        r"redis://\*\*\*@127.0.0.1:\d+/0\?password=\*\*\*", seen.settings["REDIS_URL"][0]
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENVIRONMENT", "live"),
        ("REDIS_URL", f"http://me:{SECRET}@host"),
        ("MISO_API_URL", f"http://me:{SECRET}@[host"),
        ("REDIS_URL", f"me:{SECRET}@host"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_and_nothing_is_asked(doctor, feed, name, value):
    seen = doctor(env={name: value})
    assert [*seen.fixes] == [*seen.checks] == ["settings"]
    assert name in seen.checks["settings"][1]
    assert seen.settings[name][1] == "environment"
    assert SECRET not in seen.text
    assert feed.requests == []


# --- For programs, and the failures alone -------------------------------------------------------


def test_as_json_it_is_one_object_with_all_that_the_text_says(scrapy, doctor, valkey):
    key = f"redis://:{SECRET}@127.0.0.1:{valkey.port}/0"
    done = scrapy("doctor", "--json", env={"REDIS_URL": key})
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert list(told) == ["ok", "checks", "settings"]
    assert told["ok"] is True
    assert [check["name"] for check in told["checks"]] == CHECKS
    for check in told["checks"]:
        assert list(check) == ["name", "status", "message", "advice"]
        assert (check["status"], check["advice"]) == ("ok", "")
    text = doctor(env={"REDIS_URL": key})
    for check in told["checks"]:
        if not check["name"].startswith("feed"):  # its age changes
            assert text.checks[check["name"]] == ("ok", check["message"])
    assert text.settings == {row["name"]: (row["value"], row["source"]) for row in told["settings"]}
    assert SECRET not in done.stdout


def test_the_failures_alone_as_text_and_as_json(scrapy, doctor, feed):
    broken = {
        "REDIS_URL": f"redis://:{SECRET}@127.0.0.1:{free_port()}/0",
        "MISO_API_URL": f"http://127.0.0.1:{free_port()}/api?key={SECRET}",
    }
    every = doctor(env=broken)
    assert [*every.fixes] == ["feed", "registry"]
    text = scrapy("doctor", "--failures", env=broken)
    assert (text.returncode, text.stderr) == (1, "")
    assert text.stdout.splitlines() == [
        line
        for name, fix in every.fixes.items()
        for line in (f"{name:15}FAIL  {every.checks[name][1]}", f"{'':15}fix:  {fix}")
    ]
    program = scrapy("doctor", "--json", "--failures", env=broken)
    assert (program.returncode, program.stderr) == (1, "")
    assert json.loads(program.stdout) == {
        "ok": False,
        "checks": [
            {"name": name, "status": "failed", "message": every.checks[name][1], "advice": fix}
            for name, fix in every.fixes.items()
        ],
    }
    assert SECRET not in text.stdout + program.stdout


def test_without_a_failure_there_is_nothing_to_print(scrapy, valkey):
    outbox = "dev:miso_realtime_total_load:outbox"
    valkey.client.hset(outbox, "realtime_total_load_20251205_120000.json", "{}")
    env = {"REDIS_URL": valkey.url}
    done = scrapy("doctor", "--failures", env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = scrapy("doctor", "--failures", "--json", env=env)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"ok": True, "checks": []})
    done = scrapy("doctor", "--json", env=env)  # what is owed is no failure
    told = json.loads(done.stdout)
    assert (done.returncode, told["ok"]) == (0, True)
    assert [check["name"] for check in told["checks"] if check["status"] == "note"] == ["registry"]


# --- Usage --------------------------------------------------------------------------------------


def test_wrong_usage(scrapy, feed):
    done = scrapy("doctor", "--everything")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "--everything" in line
    assert feed.requests == []


# --- The feed, broken ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "check", "said"),
    [
        ("status=503", "feed", "HTTP 503"),
        ("status=404", "feed", "HTTP 404"),
        ("delay=5", "feed", "no answer within 0.2 s"),
        ("reset", "feed", ""),
        ("cut", "feed", ""),
        (f"body={'x' * 5_000_001}", "feed", "over 5,000,000 bytes"),
        ("html", "feed's shape", "an HTML page"),
        ("empty", "feed's shape", "an empty body"),
        ("body={", "feed's shape", "not JSON"),
        ("body=[]", "feed's shape", "the snapshot"),
        (
            'body={"RefId": "2025-12-05T12:35:00Z", "ClearedMW": [], "MediumTermLoadForecast": [],'
            ' "FiveMinTotalLoad": []}',
            "feed's shape",
            "every array is empty",
        ),
        ("stale=180", "feed's age", "18"),
        ("stale=18", "feed's age", "stale"),
    ],
    ids=lambda value: value[:24],
)
def test_a_feed_that_is_broken(examine, feed, fault, check, said):
    feed.set(faults=[fault])
    limit = "0.2" if "delay" in fault else "30"
    found = examine(DOWNLOAD_TIMEOUT=limit, MISO_STALE_AFTER="15")
    assert [*failing(found)] == [check]
    assert said in found[check].what
    assert "Kafka topic" in found  # the rest is checked all the same


@pytest.mark.parametrize(
    "fault",
    ["refused", "no TLS", "no host", "status=503", "status=404", "delay=5", "reset", "cut"],
)
def test_a_feed_that_gives_no_answer_is_told_in_the_words_of_a_run(
    doctor, crawl, feed, environment, fault
):
    urls = {
        "refused": f"http://localhost:{free_port()}/api",
        "no TLS": feed.url.replace("http:", "https:"),
        "no host": "http://feed.invalid/api",
    }
    url = environment["MISO_API_URL"] = urls.get(fault, feed.url)
    environment.update(RETRY_TIMES="0", DOWNLOAD_TIMEOUT="0.5", no_proxy="*")
    feed.set(faults=[] if fault in urls else [fault])
    seen = doctor()
    run = crawl()
    (line,) = [line for line in run.log.splitlines() if " failed realtime_total_load_" in line]
    told = line.partition(".json: ")[2].replace(f" from {url}", "")
    told = told.replace("run the same range again", "run this again later")
    assert f"{seen.checks['feed'][1]}; {seen.fixes['feed']}" == told


def test_a_feed_that_is_a_little_late_is_well(examine, feed):
    feed.set(faults=["stale=9"])
    assert failing(examine(MISO_STALE_AFTER="15")) == {}


def test_a_clock_that_is_behind_the_feed(examine, feed):
    feed.set(clock="2999-12-05T12:35:00+00:00")
    found = failing(examine())
    assert [*found] == ["feed's age"]
    assert "clock" in found["feed's age"].fix


def test_a_feed_that_redirects_for_ever(examine):
    with Scripted(lambda request: (302, {"Location": request.path}, b"")) as server:
        assert [*failing(examine(MISO_API_URL=server.url))] == ["feed"]
        assert len(server.requests) <= 6


# --- The registry -------------------------------------------------------------------------------


def test_an_embedded_registry_that_serves_a_living_run_is_no_fault(examine, tmp_path):
    living = EmbeddedValkey(tmp_path / "data" / ".registry")
    living.start()
    try:
        found = examine(REDIS_URL="")
    finally:
        living.stop()
    assert failing(found) == {}
    assert found["registry"].result == Result.NOTE
    assert "in use by another run" in found["registry"].what


def test_an_embedded_registry_that_cannot_start(examine, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / ".registry").write_text("a file is in the way")
    assert [*failing(examine(REDIS_URL=""))] == ["registry"]


def test_messages_that_are_owed_are_noted_and_stay(examine, valkey):
    outbox = "dev:miso_realtime_total_load:outbox"
    valkey.client.hset(outbox, "realtime_total_load_20251205_120000.json", "{}")
    found = examine()
    assert found["registry"].result == Result.NOTE
    assert "1 message owed" in found["registry"].what
    assert valkey.client.hlen(outbox) == 1


# --- The store, broken --------------------------------------------------------------------------


def test_a_directory_that_is_none(examine, tmp_path):
    (tmp_path / "data").write_text("a file is in the way")
    found = failing(examine())
    assert [*found] == ["store"]
    assert "MISO_DATA_DIR" in found["store"].fix


class Bucket:
    """As much of S3 as a store asks for, but for what it *refuses*: PUT, GET, LIST, DELETE."""

    def __init__(self, *refused, overwrites=False, alters=False):
        self.refused, self.overwrites, self.alters = refused, overwrites, alters
        self.objects = {}

    def __call__(self, request):
        method, (path, _, query) = request.method, request.path.partition("?")
        method = "LIST" if "list-type" in query else method
        _, bucket, *key = path.split("/", 2)
        key = "".join(key)
        assert bucket == "archive"
        assert not key or key.startswith("sourcing/miso_realtime_total_load/")
        if method in self.refused or (method == "HEAD" and "LIST" in self.refused):
            return 403, {}, b"<Error><Code>AccessDenied</Code><Message>No</Message></Error>"
        if method == "PUT" and key in self.objects and request.conditional and not self.overwrites:
            return 412, {}, b"<Error><Code>PreconditionFailed</Code></Error>"
        if method == "PUT":
            self.objects[key] = b"something else" if self.alters else request.body
            return 200, {"ETag": '"etag"'}, b""
        if method == "DELETE":
            del self.objects[key]
            return 204, {}, b""
        if method == "LIST":
            keys = "".join(
                f"<Contents><Key>{key}</Key><ETag>etag</ETag></Contents>" for key in self.objects
            )
            return 200, {}, f"<ListBucketResult>{keys}</ListBucketResult>".encode()
        return 200, {}, self.objects.get(key, b"")


@pytest.fixture
def examine_bucket(examine):
    def run(bucket):
        with Scripted(bucket) as s3:
            return examine(
                S3_BUCKET="archive",
                AWS_ENDPOINT_URL=s3.endpoint,
                AWS_REGION_NAME="us-east-1",
                AWS_ACCESS_KEY_ID="testing",
                AWS_SECRET_ACCESS_KEY="testing-secret",
            )

    return run


def test_a_writer_who_may_neither_list_nor_delete_is_well(examine_bucket):
    bucket = Bucket("LIST", "DELETE")
    for _ in range(2):  # again and again, only one object is left
        found = examine_bucket(bucket)
        assert failing(found) == {}
        assert found["store: put"].result == found["store: get"].result == Result.OK
        assert found["store: list"].result == found["store: delete"].result == Result.NOTE
        assert "s3:ListBucket" in found["store: list"].what
        (key,) = bucket.objects
        assert key.startswith(HIDDEN)
        assert key in found["store: delete"].what


@pytest.mark.parametrize(
    ("bucket", "check", "said"),
    [
        (Bucket("PUT"), "store: put", "permissions"),
        (Bucket("GET"), "store: get", "s3:GetObject"),
        (Bucket(overwrites=True), "store: put", "overwrite"),
        (Bucket(alters=True), "store: get", "between"),
    ],
    ids=["put is refused", "get is refused", "overwrites", "alters"],
)
def test_a_bucket_that_does_not_do_what_a_run_needs(examine_bucket, bucket, check, said):
    found = failing(examine_bucket(bucket))
    assert [*found] == [check]
    assert said in found[check].fix
    assert bucket.objects == {}


def test_a_bucket_that_lists_nothing(examine_bucket):
    class Blind(Bucket):
        def __call__(self, request):
            if "list-type" in request.path:
                return 200, {}, b"<ListBucketResult></ListBucketResult>"
            return super().__call__(request)

    assert [*failing(examine_bucket(Blind()))] == ["store: list"]


# --- The Kafka topic, broken ----------------------------------------------------------------------


def test_a_topic_that_does_not_exist_is_not_made(examine, topic):
    settings = {**topic.settings, "KAFKA_TOPIC": f"no-{topic.name}"}
    for _ in range(2):
        found = failing(examine(**settings))
        assert [*found] == ["Kafka topic"]
        assert f"no-{topic.name}" in found["Kafka topic"].what
        assert "create the topic" in found["Kafka topic"].fix


def test_a_broker_that_says_nothing_is_not_waited_for_long(examine):
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        brokers = f"127.0.0.1:{silent.getsockname()[1]}"
        found = examine(KAFKA_BROKERS=brokers, KAFKA_TOPIC="snapshots", KAFKA_TIMEOUT="0.5")
    assert [*failing(found)] == ["Kafka topic"]
    assert time.monotonic() - began < 10
