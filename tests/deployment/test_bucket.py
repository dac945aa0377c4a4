"""deploy/iam and deploy/s3, applied to an S3 server that enforces them."""

import json
import re
import subprocess
import sys
import urllib.request

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.support.documentation import page
from tests.support.project import PROJECT
from tests.support.servers import free_port

DEPLOY = PROJECT / "deploy"
ROOT = "sourcing/miso_realtime_total_load/"
CLOCK = "2025-12-05T12:00:00+00:00"
RANGE = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:10"}
ADMINISTRATOR = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
}


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """The endpoint of an S3 server of its own: that of the suite enforces no policies."""
    port = free_port()
    log = tmp_path_factory.mktemp("moto") / "log"
    with open(log, "w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        while "Running on" not in log.read_text():
            with pytest.raises(subprocess.TimeoutExpired):
                server.wait(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


class User:
    """A user with a policy: `.env` for a run, `.allows(...)` for a single request."""

    def __init__(self, endpoint, bucket, policy):
        iam = boto3.client(
            "iam", endpoint_url=endpoint, region_name="us-east-1",
            aws_access_key_id="root", aws_secret_access_key="root",
        )  # fmt: skip
        name = f"user-{len(iam.list_users()['Users'])}"
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="policy", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        self.bucket = bucket
        self.env = {
            "S3_BUCKET": bucket,
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self.client = boto3.client(
            "s3", endpoint_url=endpoint, region_name="us-east-1",
            aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"],
        )  # fmt: skip

    def allows(self, action, key="", **arguments):
        """Whether *action*, such as "put_object", is allowed on *key*."""
        try:
            getattr(self.client, action)(
                Bucket=self.bucket, **({"Key": key} if key else {}), **arguments
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in ("AccessDenied", "403"):
                return False
            raise
        return True


@pytest.fixture(scope="module")
def users(s3):
    """The users of the policies, and an administrator, of one bucket."""
    policies = {path.stem: path.read_text() for path in DEPLOY.glob("iam/*.json")}
    policies["administrator"] = json.dumps(ADMINISTRATOR)
    users = {
        name: User(s3, "archive", policy.replace("BUCKET", "archive").replace("PREFIX", "tables"))
        for name, policy in policies.items()
    }
    users["administrator"].client.create_bucket(Bucket="archive")
    # From now on, the server enforces the policies.
    enforce = urllib.request.Request(
        f"{s3}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"}
    )
    urllib.request.urlopen(enforce).close()
    return users


@pytest.fixture
def collected(users, crawl, feed):
    """An object of the archive and one of the tables."""
    administrator = users["administrator"]
    feed.set(clock=CLOCK)
    noon = {"start": RANGE["start"], "end": RANGE["start"]}
    assert crawl(**noon, env=administrator.env).status == 0
    found = administrator.client.list_objects_v2(Bucket="archive", Prefix=f"{ROOT}2025/")
    assert administrator.allows("put_object", "tables/a.parquet", Body=b"")
    return found["Contents"][0]["Key"], "tables/a.parquet"


def test_a_writer_collects_and_deletes_nothing(users, crawl, feed, valkey, collected):
    writer = users["writer"]
    feed.set(clock=CLOCK.replace("12:", "13:"), advance=5, faults=["body=[]*1"])
    later = {"start": "2025-12-05T13:00", "end": "2025-12-05T13:10"}
    run = crawl(**later, env={**writer.env, "REDIS_URL": valkey.url})
    assert run.outcomes == {"stored": 2, "invalid": 1}, run.log
    assert "AccessDenied" not in run.log
    for key in collected:
        assert not writer.allows("delete_object", key)
    assert not writer.allows("put_object", "tables/b.parquet", Body=b"")
    assert not writer.allows("get_object", "tables/a.parquet")


def test_a_reader_reads_and_writes_nothing(users, scrapy, collected):
    reader = users["reader"]
    archived, table = collected
    done = scrapy("audit", "--json", "--start", "2025-12-05", "--end", "2025-12-06", env=reader.env)
    total = json.loads(done.stdout)["total"]
    assert total["snapshots"] >= 1
    assert total["unreadable_files"] == 0
    for key in (archived, f"{ROOT}b"):
        assert not reader.allows("put_object", key, Body=b"")
        assert not reader.allows("delete_object", key)
    assert not reader.allows("get_object", table)


def test_an_exporter_writes_below_its_prefix_only(users, collected):
    exporter = users["exporter"]
    archived, _ = collected
    assert exporter.allows("list_objects_v2")
    assert exporter.allows("get_object", archived)
    assert not exporter.allows("put_object", f"{ROOT}b", Body=b"")
    assert not exporter.allows("delete_object", archived)
    for action, arguments in (
        ("put_object", {"Body": b""}),
        ("get_object", {}),
        ("delete_object", {}),
    ):
        assert exporter.allows(action, "tables/b.parquet", **arguments)
        assert not exporter.allows(action, "tables-of-others/b.parquet", **arguments)


def test_nobody_may_change_the_bucket(users):
    for name in ("writer", "reader", "exporter"):
        assert not users[name].allows("delete_bucket")
        assert not users[name].allows("delete_bucket_lifecycle")


def test_the_lifecycle_rule_is_taken_by_s3_and_leaves_the_archive_alone(bucket, crawl, feed):
    rule = json.loads((DEPLOY / "s3" / "lifecycle.json").read_text())
    bucket.client.put_bucket_lifecycle_configuration(
        Bucket=bucket.name, LifecycleConfiguration=rule
    )
    kept = bucket.client.get_bucket_lifecycle_configuration(Bucket=bucket.name)["Rules"]
    assert kept == rule["Rules"]
    # What expires is what the run leaves there and nothing else.
    feed.set(clock=CLOCK, advance=5, faults=["body=[]*1"])
    assert crawl(**RANGE, env=bucket.settings).outcomes == {"stored": 2, "invalid": 1}
    expiring = {
        entry["Filter"]["Prefix"]: entry["Expiration"]["Days"]
        for entry in kept
        if "Expiration" in entry
    }
    keys = bucket.keys()
    assert len(keys) == 3
    (expires,) = [key for key in keys if key.startswith(tuple(expiring))]
    assert "/quarantine/" in expires
    # The table says the same.
    for prefix, days in expiring.items():
        name = prefix.removeprefix("sourcing/miso_realtime_total_load/")
        assert re.search(
            rf"^\| `{re.escape(name)}` \| {days} days? \|", page("operating/retention"), re.M
        )
