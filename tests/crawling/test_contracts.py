"""`scrapy check`: is the feed today what this project knows how to file?"""

import json
import socket
from datetime import UTC, datetime
from urllib.request import urlopen

import pytest

from tests.support.servers import free_port


@pytest.fixture(autouse=True)
def today(feed):
    """The feed's clock is the machine's: the contracts ask for the current interval."""
    feed.set(clock=datetime.now(UTC).isoformat())


@pytest.fixture
def check(scrapy):
    """Run `scrapy check`: check(*ARGS, env={...}) -> (exit status, all that it said)."""

    def run(*args, env=None):
        done = scrapy("check", *args, env=env)
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture
def answer(feed):
    """A live-shaped answer of the feed, to be broken."""
    with urlopen(feed.url, timeout=30) as response:
        answer = json.load(response)
    feed.requests.clear()
    return answer


@pytest.fixture
def trap():
    """A port that somebody listens on; `.touched()` tells whether anybody has connected."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)

        class Trap:
            address = f"127.0.0.1:{server.getsockname()[1]}"

            def touched(self):
                try:
                    server.accept()[0].close()
                except BlockingIOError:
                    return False
                return True

        yield Trap()


def test_a_live_shaped_feed_passes_and_is_fetched_once(check, feed):
    status, said = check()
    assert status == 0, said
    assert "OK" in said
    assert "Traceback" not in said
    assert len(feed.requests) == 1


def test_a_documented_shaped_feed_passes(check, feed):
    feed.set(faults=["documented"])
    status, said = check()
    assert status == 0, said
    assert len(feed.requests) == 1


def test_an_unknown_field_passes(check, feed, answer):
    answer["LoadInfo"]["Brand"] = {"new": ["field"]}
    feed.serve(json.dumps(answer))
    status, said = check()
    assert status == 0, said


def test_nothing_is_filed_and_no_registry_is_started(check, archive, tmp_path):
    status, said = check()
    assert status == 0, said
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_registry_that_does_not_answer_fails_and_the_feed_is_not_asked(check, feed):
    status, said = check(env={"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"})
    assert status != 0
    assert "does not answer" in said
    assert "check REDIS_URL" in said
    assert feed.requests == []


def test_no_store_or_broker_is_touched(check, trap):
    status, said = check(
        env={
            "S3_BUCKET": "miso",
            "AWS_ENDPOINT_URL": f"http://{trap.address}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "KAFKA_BROKERS": trap.address,
            "KAFKA_TOPIC": "miso",
        }
    )
    assert status == 0, said
    assert not trap.touched()


def test_the_url_can_be_given_as_a_setting(check, feed, trap):
    status, said = check("-s", f"MISO_API_URL={feed.url}", env={"MISO_API_URL": trap.address})
    assert status == 0, said
    assert len(feed.requests) == 1


def test_another_day_s_snapshot_fails(check, feed):
    feed.set(faults=["stale=2880"])
    status, said = check()
    assert status != 0, said
    assert "FAILED" in said
    assert "cover" in said


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("status=503", "non-200"),
        ("html", "HTML"),
        ("empty", "empty"),
        ("body=[]", "not an object"),
        ('body={"LoadInfo": {"RefId": "27-J', "JSON"),
    ],
)
def test_an_answer_that_is_no_snapshot_fails_and_is_named(check, feed, fault, named):
    feed.set(faults=[fault])
    status, said = check("-s", "RETRY_TIMES=1")
    assert status != 0, said
    assert "FAILED" in said
    assert named in said


def test_a_feed_that_cannot_be_reached_fails(check, feed):
    feed.set(faults=["reset"])
    status, said = check("-s", "RETRY_TIMES=1")
    assert status != 0, said
    assert "FAILED" in said


def _renamed(info):
    info["ClearedMW"] = [{"Cleared": row} for row in info["ClearedMW"]]


def _no_list(info):
    info["MediumTermLoadForecast"] = {"Forecast": info["MediumTermLoadForecast"]}


def _word(info):
    info["FiveMinTotalLoad"][0]["Load"]["Value"] = "abc"


def _nothing(info):
    info["ClearedMW"][2]["ClearedMWHourly"]["Value"] = ""


def _no_ref_id(info):
    del info["RefId"]


def _no_interval(info):
    info["RefId"] = "soon"


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda info: info.pop("FiveMinTotalLoad"), "FiveMinTotalLoad"),
        (_renamed, "ClearedMW[0]"),
        (_no_list, "MediumTermLoadForecast"),
        (_word, "FiveMinTotalLoad[0].Value: 'abc' is not a number"),
        (_nothing, "ClearedMW[2].Value: '' is not a number"),
        (_no_ref_id, "RefId"),
        (_no_interval, "soon"),
    ],
    ids=["missing array", "other wrapper", "no list", "word", "empty value",
         "no RefId", "RefId is no interval"],
)  # fmt: skip
def test_a_broken_snapshot_fails_and_says_where(check, feed, answer, damage, named):
    damage(answer["LoadInfo"])
    feed.serve(json.dumps(answer))
    status, said = check()
    assert status != 0, said
    assert "FAILED" in said
    assert named in said
