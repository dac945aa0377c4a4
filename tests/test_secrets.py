"""No secret ever reaches a log."""

import json
import re

import pytest

from tests.servers import Valkey, free_port

CLOCK = "2025-12-05T12:35:00+00:00"
NOON = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:00"}
SECRET = "hunter2-0ff"


@pytest.fixture
def locked(tmp_path):
    """A Valkey server with a password."""
    (tmp_path / "locked").mkdir()
    valkey = Valkey(tmp_path / "locked")
    valkey.client.config_set("requirepass", SECRET)
    yield valkey
    valkey.client.config_set("requirepass", "")  # which would also keep us from stopping it
    valkey.client.close()
    valkey.stop()


def test_the_registrys_password_is_not_logged(crawl, feed, locked):
    feed.set(clock=CLOCK)
    given = {"REDIS_URL": f"redis://:{SECRET}@127.0.0.1:{locked.port}/0"}
    run = crawl(**NOON, settings={**given, "LOG_LEVEL": "DEBUG"})
    assert run.outcomes == {"stored": 1}
    assert " DEBUG: " in run.log
    assert SECRET not in run.log


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:p%40ss%2F{secret}@127.0.0.1:{port}/0",
        "redis://:{secret}@127.0.0.1:port/0",
        "http://:{secret}@127.0.0.1:{port}/0",
    ],
    ids=["refused", "port that is none", "scheme that is none"],
)
def test_the_registrys_password_is_not_logged_when_it_cannot_be_reached(crawl, feed, url):
    env = {"REDIS_URL": url.format(secret=SECRET, port=free_port()), "LOG_LEVEL": "DEBUG"}
    run = crawl(**NOON, settings=env)
    assert run.status in (1, 2)
    assert feed.requests == []
    assert SECRET not in run.log
    assert "Traceback" not in run.log


def test_the_key_of_the_bucket_is_not_logged(crawl, feed, bucket):
    feed.set(clock=CLOCK)
    given = {"AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": f"token-{SECRET}"}
    run = crawl(**NOON, env={**bucket.settings, "LOG_LEVEL": "DEBUG"}, settings=given)
    assert SECRET not in run.log
    assert bucket.settings["AWS_SECRET_ACCESS_KEY"] not in run.log
    # Half of the credentials as a setting, half from the environment: it works or is told.
    assert "Traceback" not in run.log


def test_the_brokers_password_is_not_logged(crawl, feed):
    feed.set(clock=CLOCK)
    given = {
        "KAFKA_BROKERS": f"127.0.0.1:{free_port()}",
        "KAFKA_TOPIC": "snapshots",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": "collector",
        "KAFKA_SASL_PASSWORD": SECRET,
        "KAFKA_SSL_PASSWORD": f"key-{SECRET}",
        "KAFKA_TIMEOUT": "1",
        "LOG_LEVEL": "DEBUG",
    }
    run = crawl(**NOON, settings=given)
    assert "Spider closed" in run.log or run.status
    assert SECRET not in run.log
    assert "Traceback" not in run.log


def test_a_password_in_the_feeds_address_is_not_logged_nor_shown_by_a_traceback(
    crawl, feed, archive, tmp_path
):
    feed.set(clock=CLOCK)
    url = feed.url.replace("http://", f"http://collector:{SECRET}@")
    (tmp_path / "file").touch()  # which is no directory
    broken = json.dumps({str(tmp_path / "file" / f"{SECRET}.json"): {"format": "json"}})
    run = crawl(**NOON, settings={"MISO_API_URL": url, "FEEDS": broken, "LOG_LEVEL": "DEBUG"})
    assert SECRET not in run.log
    assert "Traceback" in run.log
    assert re.search(r"^NotADirectoryError: .*/\*\*\*\.json'$", run.log, re.MULTILINE)
    assert [path for path in archive.files() if SECRET in str(archive.document(path))] == []
