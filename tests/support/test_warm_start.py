"""The suite's warm start of `scrapy` hides nothing that the shell's would show."""

import re

NOON = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:10"}


def essence(run, data):
    """What a run did and said, without what no two runs have in common: times, ports, sizes."""
    lines = [line for line in run.log.replace(str(data), "").splitlines() if "] " in line]
    # Candidates overtake each other, so the order of their lines is not the same either.
    said = {re.sub(r"[0-9a-f]{8,}|\d[\d.]*", "0", line) for line in lines}
    return run.status, run.outcomes, sorted(run.stats), said


def test_a_warm_start_does_and_says_what_a_cold_one_does(crawl, feed, topic, valkey, tmp_path):
    runs = []
    for cold in (False, True):
        feed.set(clock="2025-12-05T12:00:00+00:00", advance=5, faults=["delay=0*1", "body=[]*1"])
        valkey.client.flushall()
        data = tmp_path / ("cold" if cold else "warm")
        env = {"MISO_DATA_DIR": str(data), "REDIS_URL": valkey.url, **topic.settings}
        runs.append(essence(crawl(**NOON, env=env, cold=cold), data))
    warm, cold = runs
    assert warm[:2] == (1, {"stored": 2, "invalid": 1})
    assert warm == cold
