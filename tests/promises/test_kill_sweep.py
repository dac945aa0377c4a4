"""Killed at any instruction, a run loses nothing: the next run, of any range, makes it good."""

import json
import os
import random
import signal
import subprocess
import time

import pytest

from tests.support import warm_start
from tests.support.archive_reader import PREFIX, Witness, files_below, files_in
from tests.support.project import PROJECT, SCRAPY
from tests.support.servers import embedded_servers

SEAMS = [
    "opened:1", "claimed:3", "requested:3", "fetched:3", "parsed:3", "validated:3", "covered:3",
    "held:3", "written:3", "linked:3", "stored:3", "registered:3", "announced:3", "closing:1",
    "closed:1",
]  # fmt: skip
RANGE = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:25"}
ANOTHER = {"start": "2025-12-05T14:00", "end": "2025-12-05T14:05"}


@pytest.fixture
def killed(tmp_path, environment):
    """Run a crawl that is killed: at the seam *at*, or after *seconds*."""

    def run(at="", seconds=None, env=None):
        settings = {
            **environment,
            **(env or {}),
            "SEAM": at,
            "SCRAPY_SETTINGS_MODULE": "tests.support.kill_points_settings",
            "PYTHONPATH": str(PROJECT),
        }
        arguments = [part for item in RANGE.items() for part in ("-a", "{}={}".format(*item))]
        process = warm_start.Process(
            [SCRAPY, "crawl", "miso_rtload", *arguments, "-s", "MISO_MIN_INTERVAL=0"],
            cwd=tmp_path,
            env=settings,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.wait(seconds or 60)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        return process.returncode

    return run


def lease_over(valkey):
    """Wait until the dead run's claim, if it left one, has run out, by the clock of Redis."""
    claims = valkey.client.hvals(f"{PREFIX}claims")
    for deadline in [json.loads(claim)["deadline"] / 1000 for claim in claims]:
        while (now := float("{}.{:06}".format(*valkey.client.time()))) < deadline:
            time.sleep(deadline - now)


@pytest.mark.parametrize("seam", SEAMS)
def test_a_run_killed_at_a_seam_is_made_good_by_the_next(
    seam, killed, crawl, feed, valkey, bucket, topic, archive
):
    # Files, by turns, in the directory (where the seams within a write are) and in S3.
    in_s3 = SEAMS.index(seam) % 2 == 1 and seam.partition(":")[0] not in ("written", "linked")
    env = {"REDIS_URL": valkey.url, "REGISTRY_CLAIM_TTL": "0.5", **topic.settings}
    env |= bucket.settings if in_s3 else {}

    def witness():
        files = files_in(bucket.client, bucket.name) if in_s3 else files_below(archive.root)
        return Witness(files, valkey.client, topic.messages())

    feed.set(clock="2025-12-05T12:00:00+00:00", advance=5)
    assert killed(at=seam, env=env) == -signal.SIGKILL
    witness().stored_means_safe()

    lease_over(valkey)
    feed.set(clock="2025-12-05T14:00:00+00:00", advance=5)
    assert crawl(env=env, **ANOTHER).outcomes == {"stored": 2}
    recovered = witness()
    recovered.all_promises()
    recovered.nothing_left_open()

    feed.set(clock="2025-12-05T12:00:00+00:00", advance=5, seed=1)
    run = crawl(env=env, **RANGE)
    assert run.status == 0, run.log
    after = witness()
    after.all_promises()
    after.nothing_left_open()
    assert len(after.registered) == 8
    assert not after.partial


@pytest.mark.parametrize("seam", ["claimed:2", "linked:2", "registered:2"])
def test_the_embedded_registry_survives_its_run_and_is_not_in_the_way(
    seam, killed, crawl, scrapy, feed, archive
):
    feed.set(clock="2025-12-05T12:00:00+00:00", advance=5)
    assert killed(at=seam) == -signal.SIGKILL
    feed.set(clock="2025-12-05T14:00:00+00:00", advance=5)
    run = crawl(**ANOTHER)
    assert run.outcomes == {"stored": 2}
    # Nobody else can have been using it: what was left open is settled at once, without a wait.
    assert run.stats["miso/claims"] == 0
    feed.set(clock="2025-12-05T12:00:00+00:00", advance=5, seed=1)
    run = crawl(**RANGE)
    assert run.status == 0, run.log
    assert len(archive.files()) == 8
    assert not run.lines("ERROR")


@pytest.mark.parametrize("seed", range(4))
def test_a_run_killed_at_a_random_time_is_made_good(
    seed, killed, crawl, feed, valkey, topic, archive
):
    env = {"REDIS_URL": valkey.url, "REGISTRY_CLAIM_TTL": "0.5", **topic.settings}
    feed.set(clock="2025-12-05T12:00:00+00:00", advance=5)
    # A run takes about so long, from a warm start; the kill falls anywhere into its working part.
    seconds = random.Random(seed).uniform(0.1, 0.9)
    assert killed(seconds=seconds, env=env) in (0, -signal.SIGKILL)
    Witness(files_below(archive.root), valkey.client).stored_means_safe()
    feed.set(clock="2025-12-05T12:00:00+00:00", advance=5, seed=1)
    run = crawl(env=env, **RANGE)
    assert run.status == 0, run.log
    after = Witness(files_below(archive.root), valkey.client, topic.messages())
    after.all_promises()
    after.nothing_left_open()
    assert len(after.contents) == len(after.registered) == 6


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs Linux's /proc")
def test_no_server_of_a_killed_run_is_left_once_the_next_has_run(killed, crawl, feed, archive):
    feed.set(clock="2025-12-05T12:00:00+00:00", advance=5)
    directory = archive.root / ".registry"
    assert killed(at="stored:1") == -signal.SIGKILL
    assert len(embedded_servers(directory)) == 1
    assert crawl(**ANOTHER).outcomes == {"stored": 2}
    assert embedded_servers(directory) == []
