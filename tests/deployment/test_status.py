"""`scrapy status`: today so far, what can be healed, what is owed, who is alive; and nothing changes."""

import asyncio
import json
import re
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from scrapy.settings import Settings

from miso_scrapy.options import Options
from miso_scrapy.status.report import status
from miso_scrapy.status.words import lines, to_json
from tests.support.crawl import read_until, started
from tests.support.documentation import anchors, page, section
from tests.support.servers import embedded_servers, free_port
from tests.support.tcp_proxy import Proxy

PREFIX = "dev:miso_realtime_total_load:"
NAMES = ["last snapshot", "today", "healing", "owed", "run"]
SECRET = "hunter2-0ff"


@pytest.fixture
def look(scrapy):
    """Run `scrapy status`: the exit status, the marks of the five lines, and the JSON object."""

    def run(env=None):
        env = {"MISO_STALE_AFTER": "15", **(env or {})}
        text = scrapy("status", env=env)
        told = scrapy("status", "--json", env=env)
        assert text.stderr == told.stderr == ""
        found = json.loads(told.stdout)
        marks = {line[:15].strip(): line[15:21].strip() for line in text.stdout.splitlines()}
        assert list(marks) == NAMES
        assert text.returncode == told.returncode == (1 if "ACT" in marks.values() else 0)
        assert found["ok"] == (told.returncode == 0)
        assert bool(found["problems"]) == (told.returncode == 1)
        return marks, found, text.stdout

    return run


def entries(found):
    """The entries of the runbook that the problems name; each is there."""
    named = []
    for problem in found["problems"]:
        path, _, anchor = problem["runbook"].partition("#")
        assert path == "docs/operating/runbook.md"
        assert anchor in anchors(page("operating/runbook"))
        assert "\n" not in problem["problem"]
        named.append(anchor)
    return named


def contents(directory):
    """Every file and directory below *directory*, with its size and its time."""
    return {path: (path.lstat().st_size, path.lstat().st_mtime_ns) for path in directory.rglob("*")}


# --- A market day, at times of its own ----------------------------------------------------------


@pytest.fixture
def at(scrapy, archive):
    """The JSON object and the lines at a time, of the archive that the test has made."""
    assert scrapy("simulate", "--write", str(archive.root), "--start", "2025-12-05",
                  "--end", "2025-12-06").returncode == 0  # fmt: skip

    def look_at(time, stale_after="15"):
        settings = Settings()
        settings.setmodule("miso_scrapy.settings")
        settings.setdict({"MISO_DATA_DIR": str(archive.root), "S3_BUCKET": "", "REDIS_URL": "",
                          "REDIS_HOST": "", "MISO_STALE_AFTER": stale_after}, "cmdline")  # fmt: skip
        now = datetime.fromisoformat(f"{time}+00:00")
        found = asyncio.run(status(settings, Options.from_settings(settings), now))
        return json.loads(to_json(found)), list(lines(found))

    return look_at


def test_today_so_far_what_heals_until_when_and_what_is_lost(at, archive):
    for path in archive.files():  # up to noon EST; three of the morning are missing
        clock = path[-23:-8]
        if clock > "20251205_170000" or clock in (
            "20251205_130000", "20251205_130500", "20251205_150000",
        ):  # fmt: skip
            (archive.root / path).unlink()

    told, said = at("2025-12-05T17:04")
    assert told["ok"], said
    assert told["simulated"] is True
    assert told["last_snapshot"]["interval"] == "2025-12-05T17:00:00Z"
    assert told["last_snapshot"]["interval_age_seconds"] == 240
    assert told["today"] == {"market_day": "2025-12-05", "due": 144, "filed": 142, "known": 145,
                             "missing": 0, "healed": 3}  # fmt: skip
    assert told["healing"] == {"values": 0, "gaps": [], "until": "2025-12-06T05:00:00Z",
                               "hours_left": 11.93, "snapshots_lost": 3}  # fmt: skip
    assert "lost already: 3 snapshots" in said[2]
    assert "in 11 h 56 min" in said[2]

    told, said = at("2025-12-05T20:30")  # nobody has collected since
    assert not told["ok"]
    assert entries(told) == [
        "nothing-has-been-collected-for-15-minutes",
        "values-of-today-will-be-lost-at-midnight-est",
    ]
    assert told["today"]["missing"] == told["healing"]["values"] == 186 - 145
    assert told["healing"]["gaps"] == [{"first": "2025-12-05T12:05:00-05:00",
                                        "last": "2025-12-05T15:25:00-05:00", "values": 41}]  # fmt: skip
    assert told["healing"]["hours_left"] == 8.5
    assert re.match("healing +ACT +41 values .* 2025-12-06T05:00:00Z, in 8 h 30 min", said[2])

    assert at("2025-12-05T17:15")[0]["ok"]  # the limit
    assert not at("2025-12-05T17:15:01")[0]["ok"]
    assert at("2025-12-05T20:30", stale_after="240")[0]["ok"]


def test_the_lines_and_the_fields_of_the_page_are_those_that_are_printed(at):
    text = section(page("operating/monitoring"), "Status")
    listed = set(re.findall(r"^\| `([\w ]+)` \|", text, re.MULTILINE))
    told, said = at("2025-12-05T17:04")
    assert listed == {*told, *NAMES}
    assert [line[:15].strip() for line in said] == NAMES
    for name in ("last_snapshot", "today", "healing", "owed"):
        if told[name]:
            row = re.findall(rf"^\| `{name}` \| (.*)$", text, re.MULTILINE)[-1]
            assert set(told[name]) <= set(re.findall(r"`(\w+)`", row))


def test_after_midnight_est_the_day_is_another(at):
    told, _ = at("2025-12-06T05:03")  # the last snapshot is yesterday's, and eight minutes old
    assert told["ok"]
    assert told["last_snapshot"]["interval"] == "2025-12-06T04:55:00Z"
    assert told["today"] == {"market_day": "2025-12-06", "due": 0, "filed": 0, "known": 0,
                             "missing": 0, "healed": 0}  # fmt: skip
    assert told["healing"]["hours_left"] == 23.95
    told, _ = at("2025-12-16T05:30")  # ten days later
    assert told["last_snapshot"]["interval"] == "2025-12-06T04:55:00Z"
    assert told["today"]["missing"] == 6
    told, said = at("2026-02-01T12:00")
    assert told["last_snapshot"] is None
    assert "31 days" in said[0]


def test_a_clock_that_is_behind_the_archive_is_told(at):
    told, said = at("2025-12-06T04:00")
    assert entries(told) == ["the-clock-of-the-machine-is-wrong"]
    assert "is 55 min ahead of this machine's clock" in said[0]
    told, said = at("2025-12-06T04:50")
    assert told["ok"]
    assert "0 min ago" in said[0]
    assert "is 0 min old" in said[0]


def test_a_damaged_file_and_a_file_without_rows_are_no_end(at, archive):
    first, *_, path = archive.files()
    (archive.root / path).write_bytes(b"not gzip")
    (archive.root / first).unlink()
    told, _ = at("2025-12-06T04:56")
    assert told["last_snapshot"]["interval"] == "2025-12-06T04:50:00Z"
    assert told["today"]["known"] == 287
    assert told["healing"]["snapshots_lost"] == 1


# --- Runs, alive and dead -----------------------------------------------------------------------


def iso(instant):
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def later():
    """The arguments of a run that follows a range which begins in an hour."""
    start = datetime.now(UTC) + timedelta(hours=1)
    return ("-a", f"start={iso(start)}", "-a", f"end={iso(start + timedelta(hours=1))}")


def test_an_empty_archive_is_unhealthy_unless_a_run_has_just_begun(
    look, environment, archive, tmp_path
):
    marks, found, _ = look()
    assert found["last_snapshot"] is None
    assert found["runs"] is None
    assert entries(found)[0] == "nothing-has-been-collected-for-15-minutes"
    # A wrong MISO_DATA_DIR is seen.
    assert f"no snapshot was filed in {archive.root}/" in found["problems"][0]["problem"]
    assert not archive.root.exists()  # nothing is made

    with started(tmp_path, environment, *later()) as process:
        read_until(process, "Candidates: ")
        marks, found, _ = look()
        assert set(marks.values()) == {"ok"}
        (run,) = found["runs"]
        assert (run["spider"], run["process"]) == ("miso_rtload", process.pid)
        # It has been alive for too long without a snapshot.
        _, found, _ = look({"MISO_STALE_AFTER": "0.0001"})
        assert entries(found)[0] == "nothing-has-been-collected-for-15-minutes"
        process.terminate()
        process.communicate(timeout=20)
    before = contents(archive.root)
    marks, found, _ = look()
    assert found["runs"] == []
    assert marks["last snapshot"] == "ACT"
    assert contents(archive.root) == before
    assert embedded_servers(archive.root / ".registry") == []


def test_a_follower_is_healthy_and_a_killed_one_is_not_alive_any_more(
    look, crawl, environment, feed, archive, tmp_path
):
    feed.set()
    now = datetime.now(UTC)
    hour = ("-a", f"start={iso(now)}", "-a", f"end={iso(now + timedelta(hours=1))}")
    with started(tmp_path, environment, *hour, "-s", "MISO_PUBLISH_DELAY=0") as process:
        read_until(process, " stored ")
        time.sleep(3)  # longer than the lease: the heartbeat is renewed
        before = len(archive.files())
        marks, found, text = look()
        assert set(marks.values()) == {"ok"}, text
        assert [run["process"] for run in found["runs"]] == [process.pid]
        assert f"process {process.pid} on " in text
        # The next candidate may come due meanwhile.
        assert 1 <= before <= found["today"]["filed"] <= len(archive.files())
        process.kill()
        process.wait()
    # Its server is left behind. The heartbeat ends with the lease.
    assert embedded_servers(archive.root / ".registry")
    until = time.monotonic() + 20
    while look()[1]["runs"]:
        assert time.monotonic() < until
    assert embedded_servers(archive.root / ".registry")  # it is not ours to end
    assert crawl().status == 0


def test_a_candidate_that_waits_for_a_new_snapshot_is_no_open_registration(
    look, environment, feed, tmp_path
):
    with started(tmp_path, environment, "-a", "follow=1", "-s", "MISO_PUBLISH_DELAY=0") as process:
        read_until(process, " stored ")
        while len(feed.requests) < 2:  # the second candidate was given the same snapshot
            assert process.poll() is None
            time.sleep(0.05)
        assert look()[1]["owed"] == {"messages": 0, "registrations": 0}


def test_an_embedded_registry_without_a_run_is_read_and_not_written(
    look, crawl, feed, archive, tmp_path
):
    feed.set()
    broker = {"KAFKA_BROKERS": f"127.0.0.1:{free_port()}", "KAFKA_TOPIC": "t", "KAFKA_TIMEOUT": "1"}
    assert crawl(env=broker).status == 1
    before = contents(archive.root)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    _, found, text = look({"TMPDIR": str(temporary)})
    assert found["owed"] == {"messages": 1, "registrations": 0}
    assert entries(found) == ["messages-are-waiting-for-kafka"]
    assert "1 message for Kafka" in text
    assert contents(archive.root) == before
    assert list(temporary.iterdir()) == []


@pytest.fixture
def reader(valkey):
    """The URL of a user of the registry who may only read."""
    valkey.client.acl_setuser(
        "reader", enabled=True, passwords=[f"+{SECRET}"], keys=["*"], categories=["+@read"]
    )
    yield f"redis://reader:{SECRET}@127.0.0.1:{valkey.port}/0"
    valkey.client.acl_deluser("reader")


def test_one_who_may_only_read_gets_the_whole_status(
    look, crawl, feed, bucket, valkey, reader, environment, tmp_path
):
    feed.set()
    writer = {**bucket.settings, "REDIS_URL": valkey.url}
    assert crawl(env=writer).status == 0
    proxy = Proxy(urlsplit(bucket.endpoint).port)
    written = []
    proxy.when(rb"^(PUT|POST|DELETE|PATCH) ", 1, lambda: written.append(1))
    env = {**bucket.settings, "REDIS_URL": reader, "AWS_ENDPOINT_URL": f"http://{proxy.address}"}
    try:
        with started(tmp_path, {**environment, **writer}, *later()) as process:
            read_until(process, "Candidates: ")
            marks, found, text = look(env)
            assert set(marks.values()) == {"ok"}, text
            assert found["today"]["filed"] == 1
            assert found["owed"] == {"messages": 0, "registrations": 0}
            assert [run["process"] for run in found["runs"]] == [process.pid]
            process.terminate()
            process.communicate(timeout=20)
        before = {name: valkey.client.dump(name) for name in valkey.client.scan_iter()}
        assert look(env)[1]["runs"] == []
        assert {name: valkey.client.dump(name) for name in valkey.client.scan_iter()} == before
        # What a killed run has left open, and the registry of another archive.
        claims = {"a": {"token": "1"}, "b": {"token": "1", "fingerprint": "f"}}
        valkey.client.hset(
            f"{PREFIX}claims", mapping={name: json.dumps(claim) for name, claim in claims.items()}
        )
        valkey.client.set(f"{PREFIX}archive", "another")
        _, found, _ = look(env)
        assert found["owed"] == {"messages": 0, "registrations": 1}
        assert entries(found) == ["the-registry-belongs-to-another-archive"]
        # One who may not even read.
        valkey.client.acl_setuser("reader", enabled=True, categories=["-@all"])
        _, found, text = look(env)
        assert entries(found) == ["the-registry-does-not-answer"]
        assert "grant it to its user" in text
    finally:
        proxy.stop()
    assert written == []


def test_the_registry_of_another_archive_is_told_where_this_one_is_not_there_yet(
    look, archive, valkey
):
    valkey.client.set(f"{PREFIX}archive", "another")
    _, found, _ = look({"REDIS_URL": valkey.url})
    assert "the-registry-belongs-to-another-archive" in entries(found)
    assert not archive.root.exists()


# --- What needs a person ------------------------------------------------------------------------


def test_an_answer_that_was_not_filed_needs_a_person_until_the_next_one_is(look, crawl, feed):
    feed.set()
    now = datetime.now(UTC)
    assert (
        crawl(start=iso(now - timedelta(minutes=5)), end=iso(now - timedelta(minutes=5))).status
        == 0
    )
    feed.serve('{"RefId": 1}')
    assert crawl(force=1).status == 1
    marks, found, text = look()
    assert found["quarantined"] == 1
    assert entries(found) == ["candidates-are-invalid"]
    assert "in quarantine: 1" in text
    feed.set(seed=1)
    assert crawl(force=1).status == 0
    marks, found, _ = look()
    assert found["quarantined"] == 1
    assert set(marks.values()) == {"ok"}


def test_servers_that_are_down_are_told_in_a_line_each_and_no_secret_is_shown(look, bucket):
    env = {
        **bucket.settings,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "REDIS_URL": f"redis://me:{SECRET}@127.0.0.1:{free_port()}/0",
    }
    marks, found, text = look(env)
    assert entries(found) == ["the-store-cannot-be-used", "the-registry-does-not-answer"]
    assert [name for name in NAMES if marks[name] == "ACT"] == ["last snapshot", "owed"]
    assert SECRET not in text + json.dumps(found)
    assert "AWS_ENDPOINT_URL" in text
    assert "REDIS_URL" in text
    for name in ("last_snapshot", "today", "healing", "owed", "quarantined", "runs"):
        assert found[name] is None


def test_servers_that_hang_are_waited_for_no_longer_than_a_minute(scrapy, bucket, valkey):
    s3, redis = Proxy(urlsplit(bucket.endpoint).port), Proxy(valkey.port)
    try:
        s3.turn("hang")
        redis.turn("hang")
        env = {
            **bucket.settings,
            "AWS_ENDPOINT_URL": f"http://{s3.address}",
            "REDIS_URL": f"redis://{redis.address}/0",
        }
        done = scrapy("status", env=env, timeout=60)
    finally:
        s3.stop()
        redis.stop()
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 5
    assert done.stderr == ""


def test_an_embedded_registry_that_cannot_be_copied_is_told(look, crawl, feed, archive):
    feed.set()
    assert crawl().status == 0
    data = archive.root / ".registry" / "appendonlydir"
    (data / "appendonly.aof.manifest").write_text("nonsense")
    _, found, text = look()
    assert entries(found) == ["the-registry-does-not-answer"]
    assert "not known, as the registry cannot be read" in text


def test_wrong_usage_and_wrong_settings_exit_with_2(scrapy, archive):
    for args in (("--everything",), ("today",), ("-s", "ENVIRONMENT=live")):
        done = scrapy("status", *args)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith("scrapy status: ")
    assert not archive.root.exists()
