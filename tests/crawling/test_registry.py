"""What Redis is told, which Redis that is, and the embedded one."""

import hashlib
import json
import threading

import pytest

from tests.support.crawl import started, wait_for
from tests.support.scripted_server import Scripted
from tests.support.servers import Valkey, free_port, live_body

CLOCK = "2025-12-05T12:35:00+00:00"
NOON = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:00"}
PAIR = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:05"}
FIRST = "realtime_total_load_20251205_120000.json"
SECOND = "realtime_total_load_20251205_120500.json"
DAY = 24 * 60 * 60


@pytest.fixture
def locked(tmp_path):
    """A Valkey server with a password."""
    (tmp_path / "locked").mkdir()
    valkey = Valkey(tmp_path / "locked")
    valkey.client.config_set("requirepass", "open-sesame")
    yield valkey
    valkey.client.config_set("requirepass", "")  # which would also keep us from stopping it
    valkey.client.close()
    valkey.stop()


def told_at_the_start(run, feed, *words):
    """Whether the run ended in one line with *words*, before anything was fetched."""
    assert run.status == 1
    assert feed.requests == []
    assert "Traceback" not in run.log
    lines = [line for line in run.log.splitlines() if all(word in line for word in words)]
    assert len(lines) == 1, run.log
    assert len(run.lines("ERROR") + run.lines("CRITICAL")) <= 1, run.log


def test_a_registry_that_refuses_connections_is_told_in_the_same_words_everywhere(
    crawl, scrapy, feed, environment
):
    url = environment["REDIS_URL"] = f"redis://127.0.0.1:{free_port()}/0"
    words = f"the registry {url} does not answer: connection refused; check REDIS_URL"
    told_at_the_start(crawl(), feed, words)
    assert words in scrapy("status").stdout
    checks = json.loads(scrapy("doctor", "--json").stdout)["checks"]
    (check,) = [check for check in checks if check["name"] == "registry"]
    assert f"{check['message']}; {check['advice']}" == words


def test_the_registry_holds_the_documented_keys(crawl, feed, archive, valkey):
    feed.set(clock=CLOCK)
    run = crawl(**PAIR, env={"REDIS_URL": valkey.url})
    assert run.outcomes == {"stored": 1, "duplicate": 1}
    data = archive.only()["data"]
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"))
    fingerprint = hashlib.md5(canonical.encode()).hexdigest()
    stored = archive.files()[0].rpartition("/")[2].removesuffix(".gz")
    prefix = "dev:miso_realtime_total_load"
    expected = {
        f"{prefix}:{FIRST}": fingerprint,
        f"{prefix}:{SECOND}": fingerprint,
        f"{prefix}:md5:{fingerprint}": stored,
    }
    assert {key: valkey.client.get(key) for key in expected} == expected
    # Whatever else there is has the same first part, and nothing stays for ever.
    assert all(key.startswith("dev:") for key in valkey.client.scan_iter())
    for key in expected:
        assert 365 * DAY - 300 <= valkey.client.ttl(key) <= 365 * DAY


def test_registrations_expire_after_the_days_that_are_set(crawl, feed, valkey):
    feed.set(clock=CLOCK)
    crawl(**NOON, env={"REDIS_URL": valkey.url}, settings={"REGISTRY_TTL_DAYS": 2})
    ttl = valkey.client.ttl(f"dev:miso_realtime_total_load:{FIRST}")
    assert 2 * DAY - 300 <= ttl <= 2 * DAY


def test_each_environment_has_keys_of_its_own(crawl, feed, valkey):
    feed.set(clock=CLOCK)
    env = {"REDIS_URL": valkey.url, "ENVIRONMENT": "staging"}
    assert crawl(**NOON, env=env).outcomes == {"stored": 1}
    assert valkey.client.exists(f"staging:miso_realtime_total_load:{FIRST}")
    assert {key.partition(":")[0] for key in valkey.client.scan_iter()} == {"staging"}


def test_host_port_and_db_are_an_alternative_to_the_url(crawl, feed, valkey, tmp_path):
    feed.set(clock=CLOCK)
    env = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(valkey.port), "REDIS_DB": "3"}
    assert crawl(**NOON, env=env).outcomes == {"stored": 1}
    assert valkey.client.info("keyspace").keys() == {"db3"}
    # The same database in a URL, as a setting.
    url = f"redis://127.0.0.1:{valkey.port}/3"
    assert crawl(**NOON, settings={"REDIS_URL": url}).outcomes == {"skipped": 1}


def test_a_password_opens_the_registry_and_a_wrong_one_is_told(crawl, feed, locked):
    feed.set(clock=CLOCK)
    run = crawl(**NOON, env={"REDIS_URL": f"redis://:open-sesame@127.0.0.1:{locked.port}/0"})
    assert run.outcomes == {"stored": 1}
    feed.requests.clear()
    url = f"redis://:wrong-word@127.0.0.1:{locked.port}/0"
    run = crawl(**NOON, env={"REDIS_URL": url})
    told_at_the_start(run, feed, str(locked.port))
    assert "password" in run.log.lower()
    assert "wrong-word" not in run.log


@pytest.mark.parametrize("how", ["host", "unknown host"])
def test_a_registry_that_cannot_be_reached_is_told_before_anything_is_fetched(crawl, feed, how):
    port = free_port()
    env = {
        "host": {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(port)},
        "unknown host": {"REDIS_URL": f"redis://nosuchhost.invalid:{port}/0"},
    }[how]
    run = crawl(**NOON, env=env)
    told_at_the_start(run, feed, str(port))


@pytest.mark.parametrize(
    "env",
    [
        {"REDIS_URL": "127.0.0.1:6379"},
        {"REDIS_URL": "redis://127.0.0.1:port/0"},
    ],
    ids=lambda env: ",".join(f"{name}={value}" for name, value in env.items()),
)
def test_a_registry_address_that_is_none_is_told_in_one_line(crawl, feed, env):
    run = crawl(**NOON, env=env)
    assert run.status in (1, 2)
    assert feed.requests == []
    assert "Traceback" not in run.log
    assert len([line for line in run.log.splitlines() if list(env)[-1] in line]) == 1


def test_a_registry_that_goes_away_is_told_without_a_traceback(crawl, feed, tmp_path, archive):
    feed.set(clock=CLOCK)
    body = live_body(feed)
    (tmp_path / "valkey").mkdir()
    valkey = Valkey(tmp_path / "valkey")

    def answer(request):
        valkey.stop()
        return 200, {"Content-Type": "application/json"}, body

    with Scripted(answer) as server:
        run = crawl(**PAIR, env={"REDIS_URL": valkey.url, "MISO_API_URL": server.url})
    valkey.client.close()
    assert (run.status, run.outcomes) == (1, {"failed": 2})
    assert "Traceback" not in run.log
    assert len([line for line in run.lines("ERROR") if FIRST in line]) == 1


def test_the_embedded_registry_persists_between_runs(crawl, feed, archive):
    feed.set(clock=CLOCK)
    assert crawl(**NOON).outcomes == {"stored": 1}
    assert [path for path in archive.root.iterdir() if path.name != "sourcing"]
    run = crawl(**PAIR)
    assert run.outcomes == {"skipped": 1, "duplicate": 1}
    assert len(archive.files()) == 1


def test_a_second_run_at_the_same_time_gets_one_line_that_names_redis_url(
    crawl, feed, environment, tmp_path
):
    feed.set(clock=CLOCK)
    body = live_body(feed)
    asked, go_on = threading.Event(), threading.Event()

    def answer(request):
        asked.set()
        go_on.wait(60)
        return 200, {"Content-Type": "application/json"}, body

    args = [part for item in NOON.items() for part in ("-a", "=".join(item))]
    with Scripted(answer) as server:
        slow = {**environment, "MISO_API_URL": server.url}
        with started(tmp_path, slow, *args) as first:
            try:
                wait_for(asked, first)
                second = crawl(**NOON)
            finally:
                go_on.set()
            output, _ = first.communicate(timeout=60)
    told_at_the_start(second, feed, "REDIS_URL")
    assert first.returncode == 0, output


def test_two_runs_at_the_same_time_can_share_a_registry(
    crawl, feed, environment, tmp_path, valkey, archive
):
    feed.set(clock=CLOCK)
    args = [part for item in PAIR.items() for part in ("-a", "=".join(item))]
    env = {"REDIS_URL": valkey.url}
    with started(tmp_path, {**environment, **env}, *args) as first:
        second = crawl(**PAIR, env=env)
        output, _ = first.communicate(timeout=60)
    assert (second.status, first.returncode) == (0, 0), output
    filed = output.count(" stored realtime_total_load") + second.outcomes.get("stored", 0)
    assert filed == len(archive.files()) == 1
