"""LOG_FORMAT=json: every line of the log is one JSON object."""

import json
import subprocess
import sys
from datetime import datetime

import pytest

NOON = "2025-12-05T12:00:00+00:00"
SECRET = "hunter2-0ff"


def records(text):
    """The objects of *text*, one a line, and nothing else."""
    found = [json.loads(line) for line in text.splitlines()]
    for record in found:
        assert {"time", "level", "logger", "message"} <= set(record)
        assert datetime.fromisoformat(record["time"]).tzinfo
    return found


def outcomes(found):
    return {
        record["candidate"][11:16]: record["outcome"] for record in found if "outcome" in record
    }


def test_every_line_is_an_object_that_names_candidate_and_outcome(crawl, feed):
    feed.set(clock=NOON, faults=["status=503*1", "delay=0*1", "body={}*1", "status=404*1"])
    run = crawl(
        start=NOON, end="2025-12-05T12:15", env={"LOG_FORMAT": "json", "LOG_LEVEL": "DEBUG"}
    )
    found = records(run.log)
    assert run.status == 1
    assert "started (bot: miso_scrapy)" in found[0]["message"]
    (dump,) = [line for line in found if "Dumping Scrapy stats" in line["message"]]
    assert "\n" in dump["message"]
    ended = outcomes(found)
    # The first and the last have the same content, and either may be the first to claim it.
    assert sorted([ended.pop("12:00"), ended.pop("12:15")]) == ["duplicate", "stored"]
    assert ended == {"12:05": "invalid", "12:10": "failed"}
    retries = [line for line in found if line["message"].startswith("Retrying ")]
    assert [line["candidate"] for line in retries] == ["2025-12-05T12:00:00Z"]


def test_a_log_file_is_json_and_a_traceback_and_a_masked_line_are_in_their_object(
    crawl, feed, tmp_path
):
    log = tmp_path / "run.log"
    feed.set(faults=["status=404"])
    url = feed.url.replace("http://", f"http://collector:{SECRET}@")
    # The log is no directory: a traceback, which names the file.
    broken = json.dumps({str(log / f"{SECRET}.json"): {"format": "json"}})
    given = {"FEEDS": broken, "MISO_API_URL": url, "LOG_FORMAT": "json", "LOG_FILE": log}
    run = crawl(start=NOON, end=NOON, settings=given)
    assert run.log == ""
    found = records(log.read_text())
    assert SECRET not in log.read_text()
    (failed,) = [line for line in found if "outcome" in line]
    assert "***" in failed["message"]
    assert failed["candidate"] == "2025-12-05T12:00:00Z"
    (traceback,) = {line["exc_info"] for line in found if "exc_info" in line}
    assert traceback.startswith("Traceback")
    assert "/***.json" in traceback


def test_other_commands_understand_it_and_a_format_that_is_none_is_refused(scrapy, feed):
    json_log = {"LOG_FORMAT": "json"}
    done = scrapy("check", env=json_log)
    assert done.returncode == 0, done.stderr
    done = scrapy("crawl", "miso_rtload", env={"LOG_FORMAT": "yaml"})
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "LOG_FORMAT" in done.stderr


SCRIPT = """
from scrapy.crawler import CrawlerProcess
from scrapy.utils.project import get_project_settings

settings = get_project_settings()
{given}
process = CrawlerProcess(settings)
process.crawl("miso_rtload", start="2025-12-05T12:00", end="2025-12-05T12:00")
process.start()
"""


@pytest.mark.parametrize("given", ["environment", "setting"])
def test_a_script_with_a_crawler_process_logs_json_from_the_first_line_on(
    given, environment, feed, tmp_path
):
    feed.set(clock=NOON)
    env = {**environment, "LOG_LEVEL": "DEBUG"}
    line = ""
    if given == "environment":
        env["LOG_FORMAT"] = "json"
    else:
        line = "settings.set('LOG_FORMAT', 'json')"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(given=line)],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = records(done.stderr)
    assert "started (bot: miso_scrapy)" in found[0]["message"]
    assert "Spider closed (finished)" in [line["message"] for line in found]
    assert outcomes(found) == {"12:00": "stored"}
    assert done.stdout == ""


def test_json_goes_where_scrapy_s_settings_of_the_log_say(crawl, feed, tmp_path):
    feed.set(clock=NOON)
    log = tmp_path / "run.log"
    log.write_text("before\n")
    given = {"LOG_FORMAT": "json", "LOG_FILE": log, "LOG_FILE_APPEND": "0", "LOG_LEVEL": "WARNING"}
    assert crawl(start=NOON, end=NOON, settings=given).status == 0
    assert records(log.read_text()) == []
    assert crawl(start=NOON, end=NOON, settings={"LOG_FORMAT": "json", "LOG_ENABLED": 0}).log == ""
    short = crawl(start=NOON, end=NOON, settings={"LOG_FORMAT": "json", "LOG_SHORT_NAMES": 1})
    assert "scrapy.core.engine" not in {line["logger"] for line in records(short.log)}
