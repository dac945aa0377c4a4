"""The log at INFO: what happened, in UTC. What Scrapy tells of itself is there at DEBUG."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.crawl import read_until, started
from tests.support.faketime import Clock, faketime
from tests.support.tcp_proxy import Proxy

NOON = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:00"}
CLOCK = "2025-12-05T12:00:00+00:00"
# The machine is somewhere where UTC is hours away.
ELSEWHERE = {"TZ": "Asia/Kolkata"}
QUIET = {"STATS_DUMP": "0", **ELSEWHERE}
LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ) \[([\w.]+)\] (\w+): (.*)")
# What Scrapy tells of itself, and its statistics.
ITSELF = [
    "Scrapy 2.19", "Versions:", "Enabled addons:", "Enabled extensions:", "Overridden settings:",
    "Enabled downloader middlewares:", "Enabled spider middlewares:", "Enabled item pipelines:",
    "Spider opened", "Crawled 0 pages", "Closing spider (finished)",
]  # fmt: skip
STATISTICS = ["Dumping Scrapy stats:", "'miso/stored': 1"]


def said(log):
    """The messages of a log of text at INFO: each is one line with a time in UTC, which is now."""
    found = [LINE.fullmatch(line) for line in log.splitlines()]
    assert all(found), log
    for line in found:
        assert abs(datetime.now(UTC) - datetime.fromisoformat(line[1])) < timedelta(minutes=5)
        assert line[3] == "INFO"
    return [line[4] for line in found]


def test_a_run_of_one_snapshot_that_goes_well_is_a_few_lines(
    crawl, feed, valkey, bucket, topic, archive
):
    feed.set(clock=CLOCK)
    servers = {**bucket.settings, **topic.settings, "REDIS_URL": valkey.url}
    for env in (QUIET, {**QUIET, **servers}):
        run = crawl(**NOON, env=env)
        assert run.status == 0, run.log
        candidates, stored, closed, summary = said(run.log)
        assert candidates == f"Candidates: 1, 2025-12-05T12:00:00Z, from {feed.url}"
        assert stored.startswith("stored realtime_total_load_20251205_120000.json: ")
        assert closed == "Spider closed (finished)"
        assert summary.startswith("1 candidate: 1 stored; ")
    again = crawl(**NOON, env=QUIET)
    assert said(again.log)[-1] == "1 candidate: 1 skipped"
    assert len(said(again.log)) == 3


@faketime
def test_a_followed_hour_with_an_outage_is_a_line_for_each_snapshot_and_two_for_the_outage(
    feed, environment, valkey, archive, tmp_path
):
    feed.set(clock="2025-12-05T13:00:00+00:00", advance=5)
    clock = Clock(tmp_path, "12:59")
    redis = Proxy(valkey.port)
    env = {**environment, **QUIET, **clock.env, "REDIS_URL": f"redis://{redis.address}/0"}
    # Scrapy logs its progress each minute; here it has as many opportunities in a second or two.
    often = ("-s", "LOGSTATS_INTERVAL=0.02")
    try:
        with started(
            tmp_path, env, "-a", "follow=1", "-a", "start=2025-12-05T13:00", *often
        ) as process:
            log = read_until(process, "Following ")
            for minute in range(1, 60, 5):
                if minute == 31:
                    redis.turn("refuse")
                clock.set(f"13:{minute:02}")
                if minute == 31:
                    log += read_until(process, "Waiting for the registry: ")
                    redis.turn("pass")
                log += read_until(process, " stored ")
            process.terminate()
            log += process.stdout
            assert process.wait(20) == 0
    finally:
        redis.stop()
    assert len(archive.files()) == 12
    assert len(log) <= 20, "".join(log)
    assert [line[:11] for line in log] == [line[:11] for line in log if LINE.match(line)]
    assert log[0].startswith("2025-12-05 12:59:")
    assert sum("is due at" in line for line in log) == 1
    assert sum("] WARNING: " in line for line in log) == 1
    assert sum("The registry works again, after " in line for line in log) == 1


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_at_debug_scrapy_tells_of_itself_and_its_statistics(crawl, feed, log_format):
    feed.set(clock=CLOCK)
    env = {**QUIET, **({"LOG_FORMAT": "json"} if log_format == "json" else {})}
    run = crawl(**NOON, env=env, settings={"LOG_LEVEL": "DEBUG"})
    for text in ITSELF + STATISTICS:
        assert text in run.log, text
    times = re.findall(
        r'^\{"time": "([^"]*)"' if log_format == "json" else r"^(\S+ \S+) \[", run.log, re.M
    )
    assert len(times) > 20
    for time in times:
        assert re.search(r"(Z|\+00:00)$", time)
        assert abs(datetime.now(UTC) - datetime.fromisoformat(time)) < timedelta(minutes=5)


@pytest.mark.parametrize("given", ["env", "settings"])
def test_stats_dump_brings_the_statistics_back(crawl, feed, given):
    feed.set(clock=CLOCK)
    run = crawl(**NOON, **{"env": QUIET, given: {"STATS_DUMP": "1"}})
    assert run.outcomes == {"stored": 1}
    assert "[scrapy.statscollectors] INFO: Dumping Scrapy stats:" in run.log
    assert not [text for text in ITSELF if text in run.log]


NOISE = """
import logging, warnings
from scrapy.exceptions import NotConfigured

class Broken:
    @classmethod
    def from_crawler(cls, crawler):
        warnings.warn("a library's warning")
        logging.getLogger("scrapy.core.engine").error("an error of Scrapy's")
        logging.getLogger("somebody.package").warning("a library's own warning")
        logging.getLogger("somebody.package").info("a library's information")
        raise NotConfigured("an extension is missing something")
"""


def test_warnings_and_errors_of_scrapy_and_of_libraries_stay(crawl, feed, tmp_path):
    feed.set(clock=CLOCK)
    (tmp_path / "noise.py").write_text(NOISE)
    extensions = {"EXTENSIONS": json.dumps({"noise.Broken": 1})}
    run = crawl(**NOON, env={**QUIET, "PYTHONPATH": str(tmp_path)}, settings=extensions)
    assert "[scrapy.middleware] WARNING: Disabled noise.Broken: an extension is missing" in run.log
    assert "[scrapy.core.engine] ERROR: an error of Scrapy's" in run.log
    assert "[py.warnings] WARNING: " in run.log
    assert "a library's warning" in run.log
    assert "[somebody.package] WARNING: a library's own warning" in run.log


def test_the_figures_of_the_summary_are_fields_in_json(crawl, feed):
    feed.set(clock=CLOCK, advance=5, faults=["delay=0*1", "body=[]*1"])
    hour = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:10"}
    run = crawl(**hour, env={**QUIET, "LOG_FORMAT": "json"})
    *_, last = [json.loads(line) for line in run.log.splitlines()]
    summary = re.fullmatch(
        r"3 candidates: 2 stored, 1 invalid; ([\d,]+) bytes stored; the newest snapshot, of "
        r"2025-12-05T12:05:00Z, is \d+ days old",
        last["message"],
    )
    assert summary, last
    age = last.pop("newest_age_seconds")
    assert datetime.now(UTC) - timedelta(seconds=age) - datetime(
        2025, 12, 5, 12, 5, tzinfo=UTC
    ) < timedelta(minutes=1)
    figures = {name: last[name] for name in [*last][4:]}
    assert figures == {
        "candidates": 3, "stored": 2, "duplicate": 0, "skipped": 0, "uncovered": 0, "invalid": 1,
        "failed": 0, "stored_bytes": int(summary[1].replace(",", "")),
        "newest_interval": "2025-12-05T12:05:00Z", "requests": 3, "shared": 0, "owed": 0, "lost": 0,
        "left_in_quarantine": 0,
    }  # fmt: skip
