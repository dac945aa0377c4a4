"""The runbook's commands end what its entries describe: the symptom is made, the commands are run."""

import os
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support import warm_start
from tests.support.documentation import page, section
from tests.support.servers import free_port


@pytest.fixture
def follow(tmp_path, environment):
    """Run the commands of an entry, one at a time, as an operator does in a shell."""

    def commands(title, env):
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        for command in re.findall(
            r"^ +\$ (.*)$", section(page("operating/runbook"), title), re.MULTILINE
        ):
            done = warm_start.shell(
                command,
                cwd=tmp_path,
                env={**environment, "MISO_STALE_AFTER": "15", "PATH": path, **env},
                timeout=120,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
            yield command

    return commands


def problems(scrapy, env=None):
    """The lines of `scrapy status` that need a person."""
    done = scrapy("status", env={"MISO_STALE_AFTER": "15", **(env or {})})
    lines = [line for line in done.stdout.splitlines() if line[15:18] == "ACT"]
    assert done.returncode == bool(lines)
    return lines


def test_values_that_will_be_lost_are_healed_by_one_run(scrapy, crawl, feed, follow):
    feed.set(faults=["stale=40"])
    ago = (datetime.now(UTC) - timedelta(minutes=10)).isoformat()
    assert crawl(start=ago, end=ago, env={"MISO_REQUIRE_COVERAGE": "0"}).status == 0
    # Just after midnight EST nothing of today is missing yet.
    assert "#nothing-has-been-collected" in problems(scrapy)[0]
    feed.set()
    title = "Values of today will be lost at midnight EST"
    assert list(follow(title, {})) == ["scrapy crawl miso_rtload", "scrapy status"]
    assert problems(scrapy) == []


def test_a_registry_that_is_down_costs_no_data_and_is_made_good(
    scrapy, crawl, feed, valkey, archive, follow
):
    feed.set()
    down = {"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    assert crawl(env=down).status == 1
    assert "the-registry-does-not-answer" in problems(scrapy, down)[-1]
    commands = follow("The registry does not answer", down)
    assert next(commands) == "scrapy crawl miso_rtload -a skip_hash_check=1"
    (stored,) = archive.files()
    commands.close()
    back = {"REDIS_URL": valkey.url}
    *_, last = follow("The registry does not answer", back)
    assert last == "scrapy reindex"
    assert problems(scrapy, back) == []
    # The file is registered: a run of its candidate fetches nothing.
    date, time = re.search(r"(\d{8})_(\d{6})\.json", stored).groups()
    run = crawl(start=f"{date}T{time}Z", end=f"{date}T{time}Z", env=back)
    assert run.outcomes == {"skipped": 1}


def test_messages_that_are_owed_are_sent(scrapy, crawl, feed, topic, follow):
    feed.set()
    down = {"KAFKA_BROKERS": f"127.0.0.1:{free_port()}", "KAFKA_TOPIC": topic.name,
            "KAFKA_TIMEOUT": "1"}  # fmt: skip
    assert crawl(env=down).status == 1
    (line,) = problems(scrapy, down)
    assert "#messages-are-waiting-for-kafka" in line
    assert list(follow("Messages are waiting for Kafka", topic.settings))
    assert topic.messages()
    assert problems(scrapy, topic.settings) == []


def test_a_store_that_is_down_is_replaced_meanwhile(scrapy, crawl, feed, bucket, follow, tmp_path):
    feed.set()
    down = {**bucket.settings, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
            "AWS_MAX_ATTEMPTS": "1"}  # fmt: skip
    assert crawl(env=down).status == 1
    assert "#the-store-cannot-be-used" in problems(scrapy, down)[0]
    assert len(list(follow("The store cannot be used", down))) == 1
    assert list((tmp_path / "meanwhile").rglob("realtime_total_load_*.json.gz"))
    assert problems(scrapy, {"MISO_DATA_DIR": str(tmp_path / "meanwhile")}) == []


def test_a_damaged_embedded_registry_is_rebuilt(scrapy, crawl, feed, archive, follow):
    feed.set()
    assert crawl().status == 0
    registry = archive.root / ".registry"
    (registry / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense")
    assert crawl().status == 1
    assert "#the-registry-does-not-answer" in problems(scrapy)[0]
    registry.rename(archive.root / ".damaged")
    title = "The embedded registry cannot be read or started"
    assert list(follow(title, {})) == ["scrapy reindex"]
    assert problems(scrapy) == []
