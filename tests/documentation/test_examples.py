"""Snippets and examples of the pages that need more than a terminal: a bucket, a certain archive."""

import gzip
import json
import re
import shutil
import subprocess
import sys
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives import hashes, serialization

from tests.support import certificates
from tests.support.documentation import fences, page

NOON = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:10"}
ONE = {"start": NOON["start"], "end": NOON["start"]}
CLOCK = "2025-12-05T12:35:00+00:00"


@pytest.fixture
def read(tmp_path, environment):
    """Run the recipe that contains *text*, where the archive is; return what it prints."""

    def run(text, env=None):
        (snippet,) = [code for code in fences(page("data/recipes"), "python") if text in code]
        done = subprocess.run(
            [sys.executable, "-c", snippet.replace("simulated/sourcing", "data/sourcing")],
            cwd=tmp_path,
            env={**environment, **(env or {})},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_document_from_s3(read, crawl, feed, bucket):
    feed.set(clock=CLOCK)
    assert crawl(**ONE, env=bucket.settings).status == 0
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

    rows = read("read_json").splitlines()
    before = archive.document(archive.files()[0])["data"]["FiveMinTotalLoad"]
    after = document["data"]["FiveMinTotalLoad"]
    expected = [(4, row) for row in before] + [(5, row) for row in after]
    assert rows == [
        f"(datetime.date(2025, 12, {day}), '{row['Time']}', {float(row['Value'])})"
        for day, row in expected
    ]
    assert all(first < second for first, second in pairwise(rows[: len(before)]))

    described = dict(line.split() for line in read("describe()").splitlines()[:-1])
    assert float(described["count"]) == len(after)
    assert float(described["max"]) == max(row["Value"] for row in after)


def test_a_run_leaves_and_logs_the_fields_that_are_shown(crawl, feed, archive):
    shown, identity, line = (
        json.loads(text)
        for name in ("data/archive", "operating/monitoring")
        for text in fences(page(name), "json")
    )
    feed.set(clock=CLOCK)
    run = crawl(**ONE, env={"LOG_FORMAT": "json"})

    document = archive.only()
    assert document["data"].pop("Simulated") is True
    assert {part: list(fields) for part, fields in document.items()} == {
        part: list(fields) for part, fields in shown.items()
    }
    for name, rows in document["data"].items():
        if name != "RefId":
            assert list(rows[0]) == list(shown["data"][name][0])
    described = set(re.findall(r"`(\w+)`", page("data/archive")))
    assert {*document["data"], *document["collection_metadata"]} <= described

    file = archive.root / "sourcing/miso_realtime_total_load/archive.json"
    left = json.loads(file.read_text())
    assert list(left) == list(identity)
    assert len(left["id"]) == len(identity["id"])

    lines = [json.loads(line) for line in run.log.splitlines()]
    (stored,) = [each for each in lines if each.get("outcome") == "stored"]
    assert list(stored) == list(line)
    assert stored["logger"] == line["logger"]
    told, example = (re.sub(r"\d+", "0", each["message"]) for each in (stored, line))
    assert told.partition(" at ")[0] == example.partition(" at ")[0]
    assert {"requests", "shared"} <= set(lines[-1])


@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl"
)
def test_a_certificate_in_der_becomes_pem(tmp_path):
    (script,) = fences(page("collecting/index"), "sh")
    root = certificates.authority("An intermediate")
    der = tmp_path / "intermediate.crt"
    der.write_bytes(root.certificate.public_bytes(serialization.Encoding.DER))
    script = script.replace("http://example.org/intermediate.crt", der.as_uri())
    done = subprocess.run(
        ["bash", "-ec", script], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "miso-ca.pem").read_bytes().strip() == root.pem.strip()
    fingerprint = done.stdout.strip().rpartition("=")[2].replace(":", "").lower()
    assert fingerprint == root.certificate.fingerprint(hashes.SHA256()).hex()
