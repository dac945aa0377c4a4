import functools
import os
import subprocess
import sys

import hypothesis
import pytest

from tests.support import warm_start
from tests.support.archive_reader import Archive
from tests.support.crawl import Run
from tests.support.project import FOREIGN, SCRAPY
from tests.support.servers import S3, EmptyBucket, EmptyTopic, Feed, Kafka, Valkey

# gridstatus cannot be had for this Python: there is nothing to skip.
collect_ignore = ["dataset/test_gridstatus.py"] if sys.version_info >= (3, 13) else []

# An example takes as long as a busy machine lets it take.
hypothesis.settings.register_profile("no deadline", hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def _feed():
    feed = Feed()
    yield feed
    feed.stop()


@pytest.fixture
def feed(_feed):
    """The simulator, fresh: the clock is the machine's, no faults, no requests yet."""
    _feed.set()
    _feed.requests.clear()
    return _feed


@pytest.fixture(scope="session")
def _valkey(tmp_path_factory):
    valkey = Valkey(tmp_path_factory.mktemp("valkey"))
    yield valkey
    valkey.stop()


@pytest.fixture
def valkey(_valkey):
    """A Valkey server, empty: `.url`, `.port`, `.client`."""
    _valkey.client.flushall()
    return _valkey


@pytest.fixture(scope="session")
def _s3():
    s3 = S3()
    yield s3
    s3.stop()


@pytest.fixture
def bucket(_s3):
    """An empty bucket: `.name`, `.client`, `.settings` for `crawl(env=...)`."""
    return EmptyBucket(_s3)


@pytest.fixture(scope="session")
def _kafka():
    kafka = Kafka()
    yield kafka
    kafka.stop()


@pytest.fixture
def topic(_kafka):
    """An empty Kafka topic: `.name`, `.brokers`, `.messages()`, `.settings` for `crawl(env=...)`."""
    return EmptyTopic(_kafka)


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path / "data")


@pytest.fixture
def environment(tmp_path, feed):
    """The environment that a test's runs have: nothing of the developer's own."""
    clean = {name: value for name, value in os.environ.items() if not FOREIGN.match(name)}
    clean.pop("PYTHONDONTWRITEBYTECODE", None)
    return {
        **clean,
        "SCRAPY_SETTINGS_MODULE": "miso_scrapy.settings",
        "MISO_API_URL": feed.url,
        "MISO_DATA_DIR": str(tmp_path / "data"),
        "MISO_STALE_AFTER": "1e8",  # the tests' clocks stand still, in 2025
        "MISO_MIN_INTERVAL": "0",
        "STATS_DUMP": "1",  # a Run reads them from the log
        "REGISTRY_CLAIM_TTL": "2",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no-aws-credentials"),
    }


@pytest.fixture
def scrapy(tmp_path, environment):
    """Run `scrapy ARGS...` as a user does; return the finished process, output as text.

    With `cold=True` in an interpreter of its own, as the shell does: see tests/support/warm_start.py.
    """

    def run(*args, env=None, timeout=120, cold=False, **kwargs):
        start = functools.partial(subprocess.run, text=True) if cold else warm_start.run
        return start(
            [SCRAPY, *args],
            cwd=tmp_path,
            env={**environment, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=timeout,
            **kwargs,
        )

    return run


@pytest.fixture
def crawl(scrapy):
    """Run `scrapy crawl miso_rtload`: crawl(start=..., end=..., settings={...}, env={...}) -> Run.

    Without an *interval*, in seconds, each candidate gets an answer of its own.
    """

    def run(*, settings=None, env=None, interval=0, timeout=120, cold=False, **arguments):
        args = [part for item in arguments.items() for part in ("-a", "{}={}".format(*item))]
        settings = {"MISO_MIN_INTERVAL": interval, **(settings or {})}
        args += [part for item in settings.items() for part in ("-s", "{}={}".format(*item))]
        done = scrapy("crawl", "miso_rtload", *args, env=env, timeout=timeout, cold=cold)
        return Run(done.returncode, done.stdout + done.stderr)

    return run


def pytest_xdist_auto_num_workers():
    """More workers than cores: while one's test waits for a lease or a time-out, another's runs."""
    return 2 + (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    )


# The files of the longest tests, and of those that wait the most.
FIRST = [
    "test_container.py",
    "test_followed_day.py",
    "test_follow.py",
    "test_outages.py",
    "test_tables_whole.py",
    "test_min_interval.py",
    "test_scrapyd.py",
    "test_alerts.py",
]


def pytest_collection_modifyitems(items):
    """The longest come first: at the end nobody should wait for them."""
    items.sort(
        key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST)
    )


def pytest_terminal_summary(terminalreporter):
    if os.environ.get("CI") and terminalreporter.stats.get("skipped"):
        terminalreporter.write_line("In CI nothing may skip.", red=True)


def pytest_sessionfinish(session):
    warm_start.stop()
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
