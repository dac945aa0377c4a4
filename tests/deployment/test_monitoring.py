"""What a good run, a stale feed, an outage leave for a scheduler, a dashboard and a person."""

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.crawl import MONITORS
from tests.support.metrics_file import OUTCOMES, SUCCESS, Metrics
from tests.support.servers import free_port

HOUR = 3600
ALWAYS = {
    "candidates",
    SUCCESS,
    "miso_stored_bytes",
    "miso_requests",
    "miso_shared",
    "miso_run_duration_seconds",
    "miso_outbox_messages",
    "miso_quarantine_bodies",
    "miso_heartbeat_timestamp_seconds",
    "miso_last_failure_timestamp_seconds",
    "miso_newest_interval_timestamp_seconds",
}


@dataclass
class Scenario:
    """What the feed does, and how a run over the last two candidates is to tell of it."""

    status: int
    outcomes: dict
    age: tuple | None
    """The bounds of the newest snapshot's age, in seconds; None where nobody knows it."""
    summary: str
    success: bool = False
    """Whether the current interval was collected, of a feed that was not stale."""
    behind: timedelta = timedelta()
    faults: list = field(default_factory=list)
    broker: dict = field(default_factory=dict)
    owed: int = 0
    monitors: dict = field(default_factory=dict)


SCENARIOS = {
    "a good run": Scenario(
        success=True,
        status=0,
        outcomes={"stored": 1, "duplicate": 1},
        age=(0, HOUR / 4),
        summary=r"2 candidates: 1 stored, 1 duplicate; [\d,]+ bytes stored; "
        r"the newest snapshot, of \S+Z, is 1?\d min old",
    ),
    "a feed that is three hours stale": Scenario(
        behind=timedelta(hours=3),
        status=0,  # all that there is to have is filed; that it is old is the monitor's to say
        outcomes={"stored": 1, "duplicate": 1},
        age=(3 * HOUR, 3.25 * HOUR),
        summary=r"2 candidates: 1 stored, 1 duplicate; [\d,]+ bytes stored; "
        r"the newest snapshot, of \S+Z, is 3 h old",
        monitors={"stale feed": r"was 1[89]\d minutes behind the clock"},
    ),
    "an outage": Scenario(
        faults=["status=503"],
        status=1,
        outcomes={"failed": 2},
        age=None,
        summary="2 candidates: 2 failed",
        monitors={
            "candidates": "2 candidates failed, 0 invalid",
            "burst of 503s": " 8 times",
            "errors in the log": "2 errors",
        },
    ),
    "a broker that is down": Scenario(
        success=True,  # what is owed has a metric of its own
        broker={
            "KAFKA_BROKERS": f"127.0.0.1:{free_port()}",
            "KAFKA_TOPIC": "snapshots",
            "KAFKA_TIMEOUT": "1",
        },
        status=1,
        outcomes={"stored": 1, "duplicate": 1},
        age=(0, HOUR / 4),
        summary=r"2 candidates: 1 stored, 1 duplicate; [\d,]+ bytes stored; "
        r"the newest snapshot, of \S+Z, is 1?\d min old; 1 message owed",
        owed=1,
        monitors={"outbox": "1 message not sent to the Kafka topic"},
    ),
}


def as_text(log):
    """(logger, level, message) of each line."""
    return re.findall(r"^\S+ \S+ \[([\w.]+)\] (\w+): (.*)$", log, re.MULTILINE)


def as_json(log):
    """(logger, level, message) of each object."""
    lines = [json.loads(line) for line in log.splitlines()]
    return [(line["logger"], line["level"], line["message"]) for line in lines]


@pytest.mark.parametrize(
    ("read", "settings"),
    [(as_text, {}), (as_json, {"LOG_FORMAT": "json"})],
    ids=["for people", "for machines"],
)
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_status_metrics_monitors_and_the_summary_tell_how_it_went(
    scenario, read, settings, crawl, feed, tmp_path
):
    now = datetime.now(UTC)
    feed.set(clock=(now - scenario.behind).isoformat(), faults=scenario.faults)
    metrics = Metrics(tmp_path / "miso.prom")
    env = {
        **settings,
        **metrics.settings,
        **scenario.broker,
        "MISO_STALE_AFTER": "15",
        "MISO_REQUIRE_COVERAGE": "0",  # three hours ago may be on another market day
    }
    run = crawl(start=(now - timedelta(minutes=5)).isoformat(), end=now.isoformat(), env=env)

    assert run.status == scenario.status, run.log

    told = metrics.read()
    assert set(told["candidates"]) == OUTCOMES
    assert {name: n for name, n in told["candidates"].items() if n} == scenario.outcomes
    age = {"miso_snapshot_age_seconds"} if scenario.age else set()
    assert set(told) == ALWAYS | age
    assert bool(told[SUCCESS]) == scenario.success
    failed = scenario.outcomes.get("failed", 0)
    assert (told["miso_last_failure_timestamp_seconds"] >= now.timestamp()) == bool(failed)
    filed = told["miso_newest_interval_timestamp_seconds"]
    assert filed == 0 if failed else 0 <= (now - scenario.behind).timestamp() - filed < 600
    assert told["miso_heartbeat_timestamp_seconds"] >= now.timestamp()
    assert bool(told["miso_stored_bytes"]) == ("stored" in scenario.outcomes)
    assert told["miso_outbox_messages"] == scenario.owed
    if scenario.age:
        youngest, oldest = scenario.age
        assert youngest <= told["miso_snapshot_age_seconds"] < oldest

    lines = read(run.log)
    monitors = dict(
        re.fullmatch("monitor ([^:]+): (.*)", message).groups()
        for logger, level, message in lines
        if f"[{logger}]" == MONITORS and level == "WARNING"
    )
    assert set(monitors) == set(scenario.monitors)
    for name, expected in scenario.monitors.items():
        assert re.search(expected, monitors[name])
    if not monitors:  # quiet
        assert "pidermon" not in run.log
        assert "extensions.monitors" not in run.log

    summaries = [
        message
        for logger, level, message in lines
        if logger.endswith("summary") and level == "INFO"
    ]
    (summary,) = summaries
    assert re.fullmatch(scenario.summary, summary)
