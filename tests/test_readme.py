"""What the README shows is run, and what it names is there."""

import gzip
import json
import re
import subprocess
import sys
from itertools import pairwise

import pytest

from tests.conftest import PROJECT

README = (PROJECT / "README.md").read_text()
NOON = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:10"}
DAY = "sourcing/miso_realtime_total_load/2025/12/05/"


def fences(language):
    """The fenced blocks of *language*, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def section(title):
    """The text below the heading *title*."""
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)[1]


# --- Reading the archive --------------------------------------------------------------------------


@pytest.fixture
def read(tmp_path, environment):
    """Run the snippet that imports *library*, where the archive is; return what it prints."""

    def run(library, env=None):
        (snippet,) = [code for code in fences("python") if re.search(rf"import .*{library}", code)]
        done = subprocess.run(
            [sys.executable, "-c", snippet],
            cwd=tmp_path,
            env={**environment, **(env or {})},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_every_snippet_is_run():
    imported = [re.search(r"import .*\b(\w+)$", code, re.MULTILINE)[1] for code in fences("python")]
    assert imported == ["boto3", "duckdb", "pandas"]


def test_a_document_from_s3(read, crawl, feed, bucket):
    feed.set(clock="2025-12-05T12:35:00+00:00")
    assert crawl(**{**NOON, "end": NOON["start"]}, env=bucket.settings).status == 0
    (key,) = bucket.keys()
    data = bucket.document(key)["data"]
    assert read("boto3", bucket.settings).split(maxsplit=1) == [
        data["RefId"], f"{data['FiveMinTotalLoad'][-1]}\n",
    ]  # fmt: skip


def test_the_load_of_a_day(read, crawl, feed, archive):
    # Three snapshots, over the end of a market day; the last of them corrects the load of 00:00.
    feed.set(clock="2025-12-05T04:55:00+00:00", advance=5)
    assert crawl(start="2025-12-05T04:55", end="2025-12-05T05:05").outcomes == {"stored": 3}
    *_, newest = archive.files()
    document = archive.document(newest)
    document["data"]["FiveMinTotalLoad"][0]["Value"] = 12345
    (archive.root / newest).write_bytes(gzip.compress(json.dumps(document).encode()))

    rows = read("duckdb").splitlines()
    before = archive.document(archive.files()[0])["data"]["FiveMinTotalLoad"]
    after = document["data"]["FiveMinTotalLoad"]
    expected = [(4, row) for row in before] + [(5, row) for row in after]
    assert rows == [
        f"(datetime.date(2025, 12, {day}), '{row['Time']}', {float(row['Value'])})"
        for day, row in expected
    ]
    assert all(first < second for first, second in pairwise(rows[: len(before)]))

    described = dict(line.split() for line in read("pandas").splitlines()[:-1])
    assert float(described["count"]) == len(after)
    assert float(described["max"]) == max(row["Value"] for row in after)


# --- Retention ------------------------------------------------------------------------------------


def test_the_lifecycle_rule_is_taken_by_s3_and_lets_the_archive_be(bucket, crawl, feed):
    (rule,) = [text for text in fences("json") if "Rules" in text]
    rule = json.loads(rule)
    bucket.client.put_bucket_lifecycle_configuration(
        Bucket=bucket.name, LifecycleConfiguration=rule
    )
    kept = bucket.client.get_bucket_lifecycle_configuration(Bucket=bucket.name)["Rules"]
    assert kept == rule["Rules"]
    # What expires is what the run leaves there and nothing else.
    feed.set(clock="2025-12-05T12:35:00+00:00", advance=5, faults=["body=[]*1"])
    assert crawl(**NOON, env=bucket.settings).outcomes == {"stored": 2, "invalid": 1}
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
        assert re.search(rf"^\| `{re.escape(name)}` \| {days} days? \|", section("Retention"), re.M)
