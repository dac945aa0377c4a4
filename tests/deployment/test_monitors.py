"""The monitors: one line for what is not well, and whom it is told to. test_how_it_went.py, too."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.scripted_server import Scripted
from tests.support.servers import free_port

NOON = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:05"}
SECRET = "hunter2-0ff"
FRESH = {"MISO_STALE_AFTER": "15"}
# The feed's clock may be on another day than the candidate of now.
ANY_DAY = {"MISO_REQUIRE_COVERAGE": "0"}


def hours_ago(hours):
    return (datetime.now(UTC) - timedelta(hours=hours)).isoformat()


def test_a_feed_three_hours_behind_is_stale_and_it_is_told(crawl, feed):
    feed.set(clock=hours_ago(3))
    slack = {
        "SPIDERMON_SLACK_SENDER_TOKEN": "xoxb-1",
        "SPIDERMON_SLACK_SENDER_NAME": "miso",
        "SPIDERMON_SLACK_RECIPIENTS": "#grid",
        "SPIDERMON_SLACK_FAKE": "1",
    }
    with Scripted(lambda request: (204, {}, b"")) as discord:
        url = {"SPIDERMON_DISCORD_WEBHOOK_URL": discord.endpoint}
        run = crawl(env={**FRESH, **ANY_DAY, **slack, **url})
    assert (run.status, run.outcomes) == (0, {"stored": 1})
    assert list(run.monitors) == ["stale feed"]
    assert "18" in run.monitors["stale feed"]  # minutes
    (request,) = discord.requests
    assert "stale feed" in json.loads(request.body)["content"]
    assert ":skull: `miso_rtload`" in run.log  # what Slack would be sent
    assert run.lines("ERROR") == []


def test_how_many_503s_are_a_burst_is_a_setting(crawl, feed):
    feed.set(faults=["status=503"])
    run = crawl(**NOON, env={"MISO_MAX_503": "8"})  # two candidates, four tries each
    assert (run.status, run.outcomes) == (1, {"failed": 2})
    assert set(run.monitors) == {"candidates", "errors in the log"}
    assert "Traceback" not in run.log


def test_an_action_that_cannot_tell_is_told_in_one_line_without_its_secret(crawl, feed):
    feed.set(faults=["body={}"])
    nobody = {
        "SPIDERMON_SLACK_SENDER_TOKEN": "xoxb-1",  # and no recipients
        "SPIDERMON_DISCORD_WEBHOOK_URL": f"http://127.0.0.1:{free_port()}/{SECRET}",
    }
    run = crawl(start="2025-12-05T12:00", end="2025-12-05T12:00", env=nobody)
    assert (run.status, run.outcomes) == (1, {"invalid": 1})
    assert set(run.monitors) == {"candidates", "errors in the log"}
    slack, _, discord = (line for line in run.log.splitlines() if "] ERROR: " in line)
    assert "SPIDERMON_SLACK_SENDER_NAME" in slack
    assert "Discord" in discord
    assert SECRET not in run.log
    assert "Traceback" not in run.log


def test_they_can_be_switched_off(crawl, feed):
    feed.set(clock=hours_ago(3))
    run = crawl(env={**FRESH, **ANY_DAY, "SPIDERMON_ENABLED": "0"})
    assert (run.status, run.monitors) == (0, {})


SUITE = """
from spidermon import Monitor, MonitorSuite

class Mine(Monitor):
    def test_it(self):
        self.fail(f"{self.data.stats['miso/stored']} stored, and one more is wanted")

class MySuite(MonitorSuite):
    monitors = [Mine]
"""


@pytest.mark.parametrize(
    "when", ["SPIDERMON_SPIDER_CLOSE_MONITORS", "SPIDERMON_ENGINE_STOP_MONITORS"]
)
def test_monitors_of_the_user_s_own_run_in_a_good_run_too(crawl, feed, tmp_path, when):
    (tmp_path / "mine.py").write_text(SUITE)
    run = crawl(env={when: "mine.MySuite", "PYTHONPATH": str(tmp_path)})
    assert (run.status, run.outcomes) == (0, {"stored": 1})
    assert run.monitors == {"test_it": "1 stored, and one more is wanted"}
