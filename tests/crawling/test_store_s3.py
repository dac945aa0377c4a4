"""What is filed in S3: where, with what, and what a bucket needs to allow."""

import hashlib
import json
import re

from tests.support.scripted_server import Scripted
from tests.support.servers import free_port

CLOCK = "2025-12-05T12:35:00+00:00"
NOON = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:00"}
KEY = "sourcing/miso_realtime_total_load/2025/12/05/realtime_total_load_20251205_120000.json.gz"
IDENTITY = "sourcing/miso_realtime_total_load/archive.json"
FORBIDDEN = (
    b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'
)


def told_at_the_start(run, feed, *words):
    """Whether the run ended in one line with *words*, before anything was fetched."""
    assert run.status == 1
    assert feed.requests == []
    assert "Traceback" not in run.log
    # A run that does not start dumps no settings and no stats.
    lines = [line for line in run.log.splitlines() if all(word in line for word in words)]
    assert len(lines) == 1, run.log
    assert len(run.lines("ERROR") + run.lines("CRITICAL")) <= 1, run.log


def test_a_snapshot_is_filed_in_the_bucket(crawl, feed, archive, bucket):
    feed.set(clock=CLOCK)
    run = crawl(**NOON, env=bucket.settings)
    assert (run.status, run.outcomes) == (0, {"stored": 1})
    assert bucket.keys() == [KEY]
    document = bucket.document(KEY)
    assert set(document) == {"data", "collection_metadata"}
    assert document["data"]["RefId"] == "2025-12-05T12:35:00Z"
    assert document["collection_metadata"]["timestamp"] == "20251205_120000"
    canonical = json.dumps(document["data"], sort_keys=True, separators=(",", ":"))
    head = bucket.client.head_object(Bucket=bucket.name, Key=KEY)
    assert head["ContentType"] == "application/gzip"
    beside = bucket.client.head_object(Bucket=bucket.name, Key=IDENTITY)
    assert beside["ContentType"] == "application/json"
    assert "ContentEncoding" not in head
    assert head["Metadata"]["fingerprint"] == hashlib.md5(canonical.encode()).hexdigest()
    assert head["Metadata"]["source-ref-id"] == "05-Dec-2025 - Interval 07:35 EST"
    assert archive.files() == []
    # The same range again files nothing, and force files it again.
    first = document["collection_metadata"]["collected_at"]
    assert crawl(**NOON, env=bucket.settings).outcomes == {"skipped": 1}
    assert bucket.document(KEY)["collection_metadata"]["collected_at"] == first
    assert crawl(**NOON, force=1, env=bucket.settings).outcomes == {"stored": 1}
    assert bucket.document(KEY)["collection_metadata"]["collected_at"] > first


def test_bucket_and_profile_can_be_settings(crawl, feed, bucket, tmp_path):
    feed.set(clock=CLOCK)
    config = tmp_path / "config"
    config.write_text(
        "[profile archive]\nregion = us-east-1\naws_access_key_id = testing\n"
        f"aws_secret_access_key = from-the-profile\nendpoint_url = {bucket.endpoint}\n"
    )
    settings = {"S3_BUCKET": bucket.name, "AWS_PROFILE": "archive"}
    run = crawl(**NOON, settings=settings, env={"AWS_CONFIG_FILE": str(config)})
    assert run.outcomes == {"stored": 1}
    assert bucket.keys() == [KEY]


def test_a_profile_that_does_not_exist_is_told_before_anything_is_fetched(crawl, feed, bucket):
    run = crawl(**NOON, env={**bucket.settings, "AWS_PROFILE": "nobody"})
    told_at_the_start(run, feed, "nobody")


def test_missing_credentials_are_told_before_anything_is_fetched(crawl, feed, bucket):
    env = {name: value for name, value in bucket.settings.items() if "KEY" not in name}
    run = crawl(**NOON, env=env)
    told_at_the_start(run, feed, "credentials")


def test_a_bucket_that_does_not_exist_is_told_before_anything_is_fetched(crawl, feed, bucket):
    run = crawl(**NOON, env={**bucket.settings, "S3_BUCKET": "no-such-bucket"})
    told_at_the_start(run, feed, "no-such-bucket")


def test_an_endpoint_that_refuses_is_told_before_anything_is_fetched(crawl, feed, bucket):
    endpoint = f"http://127.0.0.1:{free_port()}"
    run = crawl(**NOON, env={**bucket.settings, "AWS_ENDPOINT_URL": endpoint})
    told_at_the_start(run, feed, endpoint)


def test_a_writer_who_may_not_list_the_bucket_is_not_refused(crawl, feed, bucket):
    feed.set(clock=CLOCK)

    def answer(request):
        if request.method == "PUT":
            return 200, {"ETag": '"etag"'}, b""
        return 403, {"Content-Type": "application/xml"}, FORBIDDEN

    with Scripted(answer) as s3:
        run = crawl(**NOON, env={**bucket.settings, "AWS_ENDPOINT_URL": s3.endpoint})
    assert (run.status, run.outcomes) == (0, {"stored": 1})
    put = [r.path.partition("?")[0] for r in s3.requests if r.method == "PUT"]
    assert put == [f"/{bucket.name}/{key}" for key in (IDENTITY, KEY)]


def test_a_file_that_s3_refuses_is_failed_and_not_registered(crawl, feed, bucket, valkey):
    feed.set(clock=CLOCK)

    def answer(request):
        if request.method == "HEAD" and re.fullmatch(rf"/{bucket.name}/?", request.path):
            return 200, {}, b""
        return 403, {"Content-Type": "application/xml"}, FORBIDDEN

    env = {**bucket.settings, "REDIS_URL": valkey.url}
    with Scripted(answer) as s3:
        run = crawl(**NOON, env={**env, "AWS_ENDPOINT_URL": s3.endpoint})
    assert (run.status, run.outcomes) == (1, {"failed": 1})
    (line,) = run.lines("ERROR")
    assert "realtime_total_load_20251205_120000.json" in line
    assert "AccessDenied" in line or "Access Denied" in line or "PutObject" in line
    assert "Traceback" not in run.log
    name = "dev:miso_realtime_total_load:realtime_total_load_20251205_120000.json"
    assert not valkey.client.exists(name)


def test_a_write_that_meets_another_of_the_same_key_is_tried_again(crawl, feed, bucket):
    feed.set(clock=CLOCK)
    conflict = FORBIDDEN.replace(b"AccessDenied", b"ConditionalRequestConflict")

    def puts():
        """The writes of the snapshot, not of the archive's identity."""
        return [each for each in s3.requests if each.method == "PUT" and ".json.gz" in each.path]

    def answer(request):
        if request.method != "PUT":
            return 200, {}, b""
        if len(puts()) == 1:
            return 409, {"Content-Type": "application/xml"}, conflict
        return 200, {"ETag": '"etag"'}, b""

    with Scripted(answer) as s3:
        run = crawl(**NOON, env={**bucket.settings, "AWS_ENDPOINT_URL": s3.endpoint})
    assert (run.status, run.outcomes) == (0, {"stored": 1}), run.log
    assert len(puts()) == 2
    assert all(request.conditional for request in puts())
