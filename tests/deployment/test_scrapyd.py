"""Scrapyd 1.6: a real server, a real deploy from a clean clone, jobs by schedule.json."""

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support.clean_clone import changed_in, clone_to
from tests.support.crawl import Run
from tests.support.documentation import page
from tests.support.project import FOREIGN
from tests.support.scripted_server import Scripted
from tests.support.servers import free_port

BIN = Path(sys.executable).parent
CLOCK = "2025-12-05T12:00:00+00:00"
NOON = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:00"}
HOUR = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:55"}
# The clone's version, which the installed project does not have: the User-Agent tells which one ran.
VERSION = "0.1.0+clone"
# The job that the page schedules.
(CURL,) = re.findall(r"^\$ (curl .*schedule\.json (?:.*\\\n)*.*)", page("collecting/scrapyd"), re.M)
CONFIG = """\
[scrapyd]
http_port = {port}
poll_interval = 0.1
"""
TARGET = """\
[deploy:node]
url = {url}
project = miso_scrapy
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    clone = clone_to(tmp_path_factory.mktemp("clone"))
    init = clone / "miso_scrapy" / "__init__.py"
    init.write_text(re.sub(r'(__version__ = )".*"', rf'\1"{VERSION}"', init.read_text()))
    subprocess.run(["git", "add", "--all"], cwd=clone, check=True)
    return clone


class Node:
    """A Scrapyd in *home*, on a port of its own."""

    def __init__(self, home):
        self.home = home
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/"
        (home / "scrapyd.conf").write_text(CONFIG.format(port=port))
        (home / "scrapy.cfg").write_text(TARGET.format(url=self.url))
        clean = {name: value for name, value in os.environ.items() if not FOREIGN.match(name)}
        clean.pop("PYTHONPATH", None)
        self.env = {
            **clean,
            "STATS_DUMP": "1",
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        with (home / "scrapyd.log").open("w") as log:
            self.process = subprocess.Popen(
                [BIN / "scrapyd"], cwd=home, env=self.env, stdout=log, stderr=subprocess.STDOUT
            )

    def deploy(self, clone):
        """Run scrapyd-deploy in *clone*."""
        self._until(lambda: self._ask("daemonstatus.json")["status"] == "ok")
        return subprocess.run(
            [BIN / "scrapyd-deploy", "node"],
            cwd=clone,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def schedule(self, settings, **arguments):
        """Schedule a job; return its id."""
        fields = [("project", "miso_scrapy"), ("spider", "miso_rtload"), *arguments.items()]
        return self.post(fields, settings)

    def post(self, fields, settings):
        """Schedule the job that *fields* say, with *settings* besides; return its id."""
        fields += [("setting", f"{name}={value}") for name, value in settings.items()]
        return self._ask("schedule.json", urlencode(fields).encode())["jobid"]

    def finished(self, job):
        """Wait until *job* is finished; return its Run: the status that Scrapyd saw, the job's log."""

        def ended():
            finished = self._ask("listjobs.json?project=miso_scrapy")["finished"]
            return next((ended for ended in finished if ended["id"] == job), None)

        with self._open(self._until(ended)["log_url"].lstrip("/")) as answer:
            log = answer.read().decode()
        died = re.search(rf"Process died: exitstatus=(\d+) .*{job}", self.log)
        return Run(int(died[1]) if died else 0, log)

    @property
    def log(self):
        return (self.home / "scrapyd.log").read_text()

    def stop(self):
        self.process.terminate()
        self.process.wait(30)

    def _open(self, path, data=None):
        return urllib.request.urlopen(self.url + path, data, timeout=30)

    def _ask(self, path, data=None):
        with contextlib.suppress(ConnectionError), self._open(path, data) as answer:
            return json.load(answer)
        return {"status": "not there yet"}

    def _until(self, condition):
        for _ in range(900):
            with contextlib.suppress(urllib.error.URLError):
                if found := condition():
                    return found
            assert self.process.poll() is None, self.log
            time.sleep(0.1)
        raise AssertionError(self.log)


@contextlib.contextmanager
def deployed(clone, home):
    """A Scrapyd in *home* that the *clone* is deployed to."""
    node = Node(home)
    try:
        done = node.deploy(clone)
        assert done.returncode == 0, done.stdout + done.stderr
        answer = json.loads(done.stdout)
        assert (answer["status"], answer["spiders"]) == ("ok", 2)
        yield node
    finally:
        node.stop()


@pytest.fixture(scope="module")
def node(tmp_path_factory, clone):
    with deployed(clone, tmp_path_factory.mktemp("scrapyd")) as node:
        yield node


def test_a_deploy_leaves_the_clone_clean(node, clone):
    assert (clone / "setup.py").exists()
    assert changed_in(clone) == []


def test_the_job_of_the_page_files_its_range(node, feed):
    feed.set(clock=CLOCK, advance=5)
    fields = [tuple(word.split("=", 1)) for word in shlex.split(CURL) if "=" in word]
    settings = {"MISO_API_URL": feed.url, "MISO_MIN_INTERVAL": 0, "LOG_LEVEL": "DEBUG"}
    run = node.finished(node.post(fields, settings))
    assert (run.status, run.outcomes) == (0, {"stored": 3}), run.log + node.log
    assert f"miso_scrapy/{VERSION} " in run.log
    assert " INFO: 3 candidates: 3 stored; " in run.log
    assert "'RETRY_TIMES': '5'" in run.log
    times = re.findall(r"^(\d{4}-\S+ \S+) \[", run.log, re.MULTILINE)
    assert "Scrapy 2." in run.log.splitlines()[0]
    assert all(time.endswith("Z") for time in times), times
    # The default MISO_DATA_DIR lies where Scrapyd was started.
    assert len(list(node.home.glob("data/sourcing/**/*.json.gz"))) == 3


def test_the_schema_is_in_the_egg(node, feed, tmp_path):
    row = {"Time": "12:00:00", "Value": "abc"}
    snapshot = {"RefId": CLOCK, "ClearedMW": [], "MediumTermLoadForecast": []}
    feed.serve(json.dumps({**snapshot, "FiveMinTotalLoad": [row]}))
    settings = {"MISO_API_URL": feed.url, "MISO_DATA_DIR": tmp_path / "data"}
    run = node.finished(node.schedule(settings, **NOON))
    assert (run.status, run.outcomes) == (1, {"invalid": 1}), run.log + node.log
    assert "FiveMinTotalLoad[0].Value: 'abc' is not a number" in run.log


def test_two_nodes_share_a_range(node, clone, feed, valkey, bucket, tmp_path):
    feed.set(clock=CLOCK, advance=5)
    both = threading.Barrier(2, timeout=90)

    def answer(request):
        if len(asked.requests) <= 2:
            both.wait()  # until the other node has asked, too
        with urllib.request.urlopen(feed.url) as answer:
            return 200, {"Content-Type": "application/json"}, answer.read()

    with Scripted(answer) as asked, deployed(clone, tmp_path) as other:
        nodes = [node, other]
        settings = {
            **bucket.settings,
            "AWS_REGION_NAME": bucket.settings["AWS_DEFAULT_REGION"],
            "REDIS_URL": valkey.url,
            "MISO_API_URL": asked.url,
            "MISO_MIN_INTERVAL": 0,
            "DOWNLOAD_TIMEOUT": 100,
        }
        jobs = [node.schedule(settings, **HOUR) for node in nodes]
        runs = [node.finished(job) for node, job in zip(nodes, jobs, strict=True)]
    assert [run.status for run in runs] == [0, 0], runs[0].log + runs[1].log
    stored = [run.outcomes["stored"] for run in runs]
    assert sum(stored) == 12
    assert [run.outcomes.get("skipped") for run in runs] == stored[::-1]
    # What another worker holds is not fetched as well.
    assert len(asked.requests) == 12
    minutes = [key.removesuffix("00.json.gz")[-2:] for key in sorted(bucket.keys())]
    assert minutes == [f"{minute:02}" for minute in range(0, 60, 5)]
