"""Scrapy Cloud: jobs through the platform's own entry point, read as the platform reads them."""

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

from tests.support.documentation import page
from tests.support.project import FOREIGN, PROJECT
from tests.support.servers import free_port

BIN = Path(sys.executable).parent
CLOCK = "2025-12-05T12:00:00+00:00"
HALF = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:10"}
NOON = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:00"}
# The settings that the page tells to give a periodic job.
PAGE = page("collecting/scrapy-cloud")
NEEDED = set(re.findall(r"`([A-Z0-9_]+)`", "".join(re.findall(r"^\| `.*?\|", PAGE, re.M))))


class Job:
    """A finished job: what it wrote for the platform, by kind, and its exit status."""

    def __init__(self, status, lines):
        self.status = status
        told = [line.split(" ", 1) for line in lines]
        self.told = [(kind, json.loads(payload)) for kind, payload in told]
        self.items = self._all("ITM")
        self.requests = self._all("REQ")
        self.stats = self._all("STA")[-1]["stats"] if self._all("STA") else {}
        self.outcomes = [told["outcome"] for told in self._all("FIN")]
        self.log = "\n".join(told["message"] for told in self._all("LOG"))

    def _all(self, kind):
        return [payload for found, payload in self.told if found == kind]


@pytest.fixture
def job(tmp_path, environment, feed):
    """Run a job in a container's place: job(settings, **arguments) -> Job. Its disk is new."""

    def run(settings, **arguments):
        disk = tmp_path / f"disk-{len(os.listdir(tmp_path))}"
        disk.mkdir()
        fifo = disk / "fifo"
        os.mkfifo(fifo)
        lines = []
        keep = os.open(fifo, os.O_RDWR)  # until the job is over, whether it opens it or not
        reader = threading.Thread(target=lambda: lines.extend(fifo.open()))
        reader.start()
        clean = {name: value for name, value in environment.items() if not FOREIGN.match(name)}
        try:
            done = subprocess.run(
                [BIN / "start-crawl"],
                cwd=disk,
                env={**clean, **_platform(fifo, {"MISO_API_URL": feed.url, **settings}, arguments)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=100,
            )
        finally:
            os.close(keep)
            reader.join(20)
        assert (done.stdout, done.stderr) == ("", "")
        return Job(done.returncode, lines)

    return run


def _platform(fifo, settings, arguments):
    """Return the environment that the platform gives a job."""
    data = {
        "key": "12345/1/7",
        "project": 12345,
        "version": "1.0",
        "spider": "miso_rtload",
        "spider_type": "manual",
        "spider_args": arguments,
        "auth": "token",
        "tags": [],
        "priority": 2,
        "scheduled_by": "periodic jobs",
    }
    return {
        "HOME": str(fifo.parent),
        "SCRAPY_SETTINGS_MODULE": "miso_scrapy.settings",
        "AWS_EC2_METADATA_DISABLED": "true",
        "SHUB_FIFO_PATH": str(fifo),
        "SHUB_JOBKEY": data["key"],
        "SHUB_SPIDER": data["spider"],
        "SHUB_JOB_DATA": json.dumps(data),
        "SHUB_SETTINGS": json.dumps({"project_settings": settings, "job_settings": {}}),
    }


@pytest.fixture
def periodic(bucket, valkey):
    """The settings of a periodic job, as they are entered on the platform."""
    return {
        "S3_BUCKET": bucket.name,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing-secret",
        "AWS_REGION_NAME": "us-east-1",
        "AWS_ENDPOINT_URL": bucket.endpoint,
        "REDIS_URL": f"redis://:hunter2-0ff@127.0.0.1:{valkey.port}/0",
        "ENVIRONMENT": "prod",
    }


def test_a_job_s_items_stats_and_outcome_are_what_the_platform_reads(job, feed, periodic, bucket):
    feed.set(clock=CLOCK, advance=5)
    done = job({**periodic, "MISO_MIN_INTERVAL": "0"}, **HALF)
    assert (done.status, done.outcomes) == (0, ["finished"]), done.log
    keys = bucket.keys()
    assert sorted(item["location"] for item in done.items) == [
        f"s3://{bucket.name}/{key}" for key in keys
    ]
    assert [item["_type"] for item in done.items] == ["Filed"] * 3
    assert [request["status"] for request in done.requests] == [200] * 3
    assert (done.stats["miso/candidates"], done.stats["miso/stored"]) == (3, 3)
    assert "3 candidates: 3 stored; " in done.log
    assert "hunter2-0ff" not in done.log
    assert "testing-secret" not in done.log


def test_the_next_job_knows_what_is_filed_though_its_disk_is_new(job, feed, periodic, valkey):
    feed.set(clock=CLOCK)
    assert job(periodic, **NOON).stats["miso/stored"] == 1
    again = job(periodic, **NOON)
    assert (again.status, again.outcomes, again.items) == (0, ["finished"], []), again.log
    assert (again.stats["miso/skipped"], again.requests) == (1, [])
    assert {key.partition(":")[0] for key in valkey.client.scan_iter()} == {"prod"}


def test_without_arguments_a_job_files_the_current_interval(job, feed, periodic):
    done = job(periodic)
    assert (done.status, done.outcomes) == (0, ["finished"]), done.log
    assert len(done.items) == 1


def test_a_job_that_does_not_file_everything_exits_with_1(job, feed):
    feed.set(clock=CLOCK).serve("[]")
    done = job({}, **NOON)
    assert (done.status, done.outcomes, done.items) == (1, ["finished"], []), done.log
    assert done.stats["miso/invalid"] == 1
    assert "invalid realtime_total_load_20251205_120000.json: " in done.log


def test_a_job_s_outcome_names_what_ended_it(job, feed):
    done = job({"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}, **NOON)
    assert (done.status, done.outcomes) == (1, ["registry_unavailable"]), done.log
    assert feed.requests == []


def test_wrong_usage_is_one_line_of_the_job_s_log(job, feed):
    done = job({}, start="yesterday")
    assert (done.status, done.items, feed.requests) == (2, [], [])
    (line,) = [line for line in done.log.splitlines() if "yesterday" in line]
    assert line.startswith("[stderr] scrapy crawl: "), line


def test_a_deploy_finds_the_spiders(environment, tmp_path):
    """What the platform asks of each image that is deployed."""
    done = subprocess.run(
        [BIN / "shub-image-info"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told == {"project_type": "scrapy", "spiders": ["miso_requeue", "miso_rtload"]}


def test_scrapinghub_yml_names_a_dated_stack():
    told = yaml.safe_load((PROJECT / "scrapinghub.yml").read_text())
    assert re.fullmatch(r"scrapy:2\.\d+-20\d{6}", told["stack"])


def test_the_page_lists_the_settings_of_a_periodic_job(periodic):
    assert set(periodic) - {"AWS_ENDPOINT_URL"} == NEEDED
