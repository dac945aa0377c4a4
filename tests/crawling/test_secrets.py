"""No secret ever reaches a log."""

import gzip
import io
import json
import logging
import re
from urllib.parse import quote, unquote

import pytest
from scrapy import Spider
from scrapy.crawler import Crawler
from scrapy.settings import Settings

from miso_scrapy.extensions.mask_secrets import MaskSecrets
from tests.support.scripted_server import Scripted
from tests.support.servers import Valkey, free_port, live_body
from tests.support.stores import Directory, quarantined

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


# --- A key in the feed's address ------------------------------------------------------------------

KEY = "s3cr3t/k%C3%A9y+1"  # as it is in the address; other programs may spell it otherwise
PARTS = ("s3cr3t", "k%C3%A9y", "kéy")


@pytest.mark.parametrize("log_format", ["lines", "json"])
def test_a_key_in_the_feeds_address_is_sent_and_shown_nowhere(
    crawl, scrapy, feed, archive, topic, tmp_path, log_format
):
    feed.set(clock=CLOCK)
    valid = live_body(feed)
    answers = iter(
        [
            (302, {"Location": f"/moved?token={KEY}&short=abc"}, b""),
            (503, {}, b""),
            (200, {}, valid),
            (200, {}, b"{"),
            (404, {}, b""),
        ]
    )
    with Scripted(lambda _: next(answers)) as server:
        env = {
            "MISO_API_URL": f"{server.url}?key={KEY}&short=abc",
            "LOG_LEVEL": "DEBUG",
            **({"LOG_FORMAT": "json"} if log_format == "json" else {}),
            **topic.settings,
        }
        run = crawl(
            start="2025-12-05T12:00", end="2025-12-05T12:10", env=env,
            settings={"FEEDS": json.dumps({str(tmp_path / "items.json"): {"format": "json"}})},
        )  # fmt: skip
        assert "3 candidates: 1 stored, 1 invalid, 1 failed" in run.log
        assert f"/api/RealTimeTotalLoad?key={KEY}&short=abc" in {r.path for r in server.requests}
        assert f"/moved?token={KEY}&short=abc" in {r.path for r in server.requests}
    said = run.log
    for line in (
        "Redirecting",
        "Retrying",
        "Crawled (200)",
        "404",
        "in a browser",
        "Candidates: 3",
    ):
        assert line in said
    assert "RealTimeTotalLoad?key=***&short=***" in said
    source_url = f"{server.url}?key=***&short=***"  # which is asked again after the failure
    assert archive.only()["collection_metadata"]["source_url"] == source_url
    ((_, message),) = topic.messages()
    assert message["source_url"] == source_url
    (item,) = json.loads((tmp_path / "items.json").read_text())
    assert item["source_url"] == source_url
    place = Directory(archive.root)
    ((kept, _),) = quarantined(place).items()
    note = place.note(kept)
    assert note["source-url"] == f"{server.url}?key=***&short=***"
    assert note["source-url"] in note["reason"]
    table = scrapy("doctor", env={**env, "DOWNLOAD_TIMEOUT": "1"}).stdout
    assert "RealTimeTotalLoad?key=***&short=***" in table
    for part in (*PARTS, "short=abc"):
        for text in (said, table, json.dumps(note), json.dumps(item), json.dumps(message)):
            assert part not in text


def test_a_key_in_the_feeds_address_is_not_sent_to_a_host_that_the_feed_redirects_to(crawl, feed):
    feed.set(clock=CLOCK)
    with Scripted(lambda _: (302, {"Location": feed.url}, b"")) as server:
        env = {"MISO_API_URL": f"{server.url}?key={SECRET}", "LOG_LEVEL": "DEBUG"}
        assert crawl(**NOON, env=env).outcomes == {"stored": 1}
    (headers,) = feed.requests
    assert "Referer" not in headers


def test_an_address_that_was_filed_with_its_key_is_announced_without(
    crawl, scrapy, feed, archive, topic
):
    feed.set(clock=CLOCK)
    assert crawl(**NOON).outcomes == {"stored": 1}
    (path,) = archive.files()
    document = archive.document(path)
    document["collection_metadata"]["source_url"] += f"?key={SECRET}"
    (archive.root / path).write_bytes(gzip.compress(json.dumps(document).encode()))
    assert scrapy("reindex", "--announce", env=topic.settings).returncode == 0
    assert crawl(**NOON, env=topic.settings).outcomes == {"skipped": 1}
    ((_, message),) = topic.messages()
    assert message["source_url"] == f"{feed.url}?key=***"


def test_a_short_password_does_not_mask_what_only_contains_it(crawl, feed):
    feed.set(clock=CLOCK)
    given = {"KAFKA_SASL_PASSWORD": "test", "USER_AGENT": "latest test", "LOG_LEVEL": "DEBUG"}
    run = crawl(**NOON, settings=given)
    assert run.outcomes == {"stored": 1}
    assert "'USER_AGENT': 'latest ***'" in run.log
    assert "la***" not in run.log


# --- Each secret ----------------------------------------------------------------------------------

PASSWORD = "p%40s/{}#'\"+%2f"
URLS = {
    "REDIS_URL": "redis://:{}@localhost:6379/0",
    "MISO_API_URL": "http://me:{}@localhost/api",
    "AWS_ENDPOINT_URL": "https://me:{}@localhost",
    "SPIDERMON_SENTRY_DSN": "https://{}@sentry.example/1",
    "SPIDERMON_DISCORD_WEBHOOK_URL": "https://discord.example/api/webhooks/1/{}",
    **{
        name: "http://me:{}@proxy.example:3128"
        for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        for name in (proxy, proxy.lower())
    },
}
NAMES = [
    *URLS,
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "KAFKA_SASL_PASSWORD",
    "KAFKA_SSL_PASSWORD",
    "SPIDERMON_SLACK_SENDER_TOKEN",
    "SPIDERMON_TELEGRAM_SENDER_TOKEN",
    "SPIDERMON_SMTP_PASSWORD",
    "SPIDERMON_AWS_SECRET_ACCESS_KEY",
    "SPIDERMON_AWS_SECRET_KEY",
]


@pytest.fixture
def logged(monkeypatch):
    """What the root logger's one handler writes: others may mask by what an earlier test gave them."""
    stream = io.StringIO()
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.StreamHandler(stream)])
    return stream


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("origin", ["setting", "environment"])
def test_a_secret_is_masked_however_it_is_logged(name, origin, logged, monkeypatch):
    for each in NAMES:
        monkeypatch.delenv(each, raising=False)
    secret = f"{NAMES.index(name):02d}-z{name[::-1].lower()}"
    spellings = {secret}
    value = secret
    if name in URLS:
        quoted = quote(PASSWORD.format(secret), safe="")
        value = URLS[name].format(quoted)
        spellings = {quoted, unquote(quoted)}
    if origin == "environment":
        monkeypatch.setenv(name, value)
    settings = Settings({name: value} if origin == "setting" else {})
    MaskSecrets(Crawler(Spider, settings))

    log = logging.getLogger("anything")
    for spelt in {*spellings, value}:
        log.error("said %s, %d%%", spelt, 1)
        log.error("said %(what)s", {"what": spelt})
        try:
            raise ValueError(spelt)
        except ValueError:
            log.exception("it broke")
    text = logged.getvalue()
    assert "***" in text
    assert "it broke" in text
    assert not [spelt for spelt in spellings if spelt in text], text
