"""What becomes of a candidate's claim, and of the other candidates, when the candidate ends badly."""

import threading
import time

import pytest

from tests.support.archive_reader import PREFIX, Witness, files_below, fingerprint
from tests.support.crawl import started, wait_for
from tests.support.project import PROJECT
from tests.support.scripted_server import Scripted
from tests.support.servers import live_body
from tests.support.tcp_proxy import Proxy

CLOCK = "2025-12-05T12:00:00+00:00"
RANGE = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:15"}
PAIR = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:05"}
FIRST, SECOND, *_ = IDENTIFIERS = [
    f"realtime_total_load_20251205_12{minute:02}00.json" for minute in (0, 5, 10, 15)
]
SEAMS = {"SCRAPY_SETTINGS_MODULE": "tests.support.kill_points_settings", "PYTHONPATH": str(PROJECT)}


@pytest.mark.parametrize(
    ("seam", "stored", "duplicate"), [("held", 1, 2), ("stored", 0, 3), ("registered", 0, 3)]
)
def test_an_error_in_a_pipeline_costs_one_candidate_and_no_other_of_its_content(
    seam, stored, duplicate, crawl, feed, valkey, topic, archive
):
    env = {"REDIS_URL": valkey.url, **topic.settings}
    # The archive has its identity already: the candidates keep their order.
    feed.set(clock="2025-12-05T11:00:00+00:00")
    earlier = {"start": "2025-12-05T11:00", "end": "2025-12-05T11:00"}
    assert crawl(env=env, **earlier).outcomes == {"stored": 1}
    feed.set(clock=CLOCK)
    run = crawl(env={**env, **SEAMS, "BROKEN": f"{seam}:{FIRST}"}, **RANGE)
    expected = {"failed": 1, "stored": stored, "duplicate": duplicate}
    assert run.outcomes == {name: number for name, number in expected.items() if number}, run.log
    assert run.status == 1
    assert run.log.count("RuntimeError: broken on purpose") == 1
    witness = Witness(files_below(archive.root), valkey.client, topic.messages())
    witness.all_promises()
    # The first has a dead worker's due.
    assert set(witness.registered) == {"realtime_total_load_20251205_110000.json", *IDENTIFIERS}
    assert not witness.claims


@pytest.mark.parametrize("how", ["dropped", "broken"])
def test_a_candidate_that_ends_without_being_filed_is_free_while_its_run_goes_on(
    how, feed, valkey, environment, tmp_path
):
    feed.set(clock=CLOCK)
    body = b"[]" if how == "dropped" else live_body(feed)
    asked, go_on = threading.Event(), threading.Event()

    def answer(request):
        if len(server.requests) == 2:
            asked.set()
            go_on.wait(60)
        return 200, {"Content-Type": "application/json"}, body

    args = [part for item in PAIR.items() for part in ("-a", "=".join(item))]
    env = {**environment, "REDIS_URL": valkey.url, "REGISTRY_CLAIM_TTL": "600"}
    if how == "broken":
        env |= {**SEAMS, "BROKEN": f"called:{FIRST}"}
    with Scripted(answer) as server:
        env["MISO_API_URL"] = server.url
        with started(tmp_path, env, *args, "-s", "MISO_MIN_INTERVAL=0") as run:
            try:
                wait_for(asked, run)
                for _ in range(500):
                    if (left := set(valkey.client.hkeys(f"{PREFIX}claims"))) == {SECOND}:
                        break
                    time.sleep(0.02)
                assert left == {SECOND}
            finally:
                go_on.set()
            run.communicate(timeout=60)


def test_a_run_that_loses_its_registry_before_it_asks_for_anything_ends(crawl, feed, valkey):
    feed.set(clock=CLOCK)
    proxy = Proxy(valkey.port)
    try:
        # The first that is said of a candidate is its claim: nothing is in flight.
        proxy.when(FIRST.encode(), 1, lambda: proxy.turn("refuse"))
        run = crawl(
            env={"REDIS_URL": f"redis://{proxy.address}/0"},
            start=RANGE["start"],
            end="2025-12-06",
        )
    finally:
        proxy.stop()
    assert run.status == 1
    assert run.stats["finish_reason"] == "registry_unavailable"
    assert feed.requests == []


def test_content_whose_home_was_taken_by_other_content_is_told_and_filed_by_the_next_run(
    crawl, feed, valkey, archive
):
    env = {"REDIS_URL": valkey.url}
    noon = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:00"}
    later = {"start": "2025-12-05T12:05", "end": "2025-12-05T12:05"}
    feed.set(clock=CLOCK)
    content = content_of(crawl, archive, **noon)
    # A dead worker was to file this content as 12:00; one without a registry filed other content.
    feed.set(clock=CLOCK, seed=1)
    assert crawl(skip_hash_check=1, **noon).outcomes == {"stored": 1}
    valkey.client.set(f"{PREFIX}home:{content}", FIRST)
    feed.set(clock=CLOCK)
    run = crawl(env=env, **later)
    assert (run.status, run.outcomes) == (1, {"failed": 1}), run.log
    (line,) = run.lines("ERROR")
    assert SECOND in line
    assert "taken by other content" in line
    assert SECOND not in Witness(files_below(archive.root), valkey.client).registered

    assert crawl(env=env, **later).outcomes == {"stored": 1}
    witness = Witness(files_below(archive.root), valkey.client)
    witness.all_promises()
    witness.nothing_left_open()
    assert witness.contents[SECOND] == content


def test_content_that_is_filed_for_a_dead_worker_is_marked_by_the_candidate_it_is_filed_under(
    crawl, feed, valkey, archive
):
    noon = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:00"}
    feed.set(clock=CLOCK)
    content = content_of(crawl, archive, **noon)
    valkey.client.set(f"{PREFIX}home:{content}", "realtime_total_load_20251105_120000.json")
    env = {"REDIS_URL": valkey.url, "MISO_REQUIRE_COVERAGE": "0"}
    # The first that tries ends in an error, and holds up nobody.
    run = crawl(env={**env, **SEAMS, "BROKEN": f"held:{FIRST}"}, **RANGE)
    assert run.outcomes == {"failed": 1, "stored": 1, "duplicate": 2}, run.log
    (path,) = archive.files()
    assert "20251105_120000" in path
    assert archive.only()["collection_metadata"]["covered"] is False


def content_of(crawl, archive, **candidate):
    """Return the fingerprint of what the feed gives now; the archive is empty again."""
    assert crawl(skip_hash_check=1, **candidate).outcomes == {"stored": 1}
    ((path, body),) = files_below(archive.root).items()
    (archive.root / path).unlink()
    return fingerprint(body)
