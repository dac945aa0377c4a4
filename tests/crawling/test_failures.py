"""Every kind of trouble: what is retried, and the one line that says what happened."""

import gzip

import pytest

from tests.support.scripted_server import Scripted
from tests.support.servers import free_port, live_body

CLOCK = "2025-12-05T12:35:00+00:00"
NOON = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:00"}

# What the feed answers; what its candidate becomes; what the line says; whether it is tried again.
TROUBLE = [
    ("status=500", "failed", "500", True),
    ("status=503", "failed", "503", True),
    ("status=408", "failed", "408", True),
    ("status=429", "failed", "429", True),
    ("cut", "failed", "cut", True),
    ("error", "failed", "no data", True),
    ("html", "failed", "HTML", True),
    ("empty", "failed", "empty", True),
    ("delay=5", "failed", "no answer within 2 s", True),
    ("status=404", "failed", "not be available", False),
    ("status=410", "failed", "410", False),
    ("body={", "invalid", "JSON", False),
    ("body=[]", "invalid", "list", False),
    ('body={"LoadInfo": {}}', "invalid", "RefId", False),
    ("body=" + "1" * 5_000_001, "failed", "MB", False),
]


def identifier(n):
    """The identifier of the nth candidate after noon."""
    return f"realtime_total_load_20251205_{12 + n // 12}{n % 12 * 5:02}00.json"


def told(run, n=0):
    """The lines of ERROR and WARNING that name the nth candidate."""
    return [line for line in run.lines("ERROR") + run.lines("WARNING") if identifier(n) in line]


def test_each_kind_of_trouble_ends_as_documented_and_is_told_in_one_line(crawl, feed):
    tries = [2 if again else 1 for *_, again in TROUBLE]
    faults = [f"{kind}*{n}" for (kind, *_), n in zip(TROUBLE, tries, strict=True)]
    feed.set(clock=CLOCK, faults=faults)
    run = crawl(
        start="2025-12-05T12:00",
        end=f"2025-12-05T{12 + len(TROUBLE[1:]) // 12}:{len(TROUBLE[1:]) % 12 * 5:02}",
        env={"RETRY_TIMES": "1", "DOWNLOAD_TIMEOUT": "2"},
    )
    assert run.status == 1
    assert len(feed.requests) == sum(tries), run.log
    ends = [outcome for _, outcome, *_ in TROUBLE]
    assert run.outcomes == {name: ends.count(name) for name in ("failed", "invalid")}
    for n, (kind, outcome, words, _) in enumerate(TROUBLE):
        lines = told(run, n)
        assert len(lines) == 1, (kind, lines)
        assert outcome in lines[0], kind
        assert words.lower() in lines[0].lower(), kind
        assert len(lines[0]) < 500, kind
    assert "Traceback" not in run.log
    (warning,) = [line for line in run.lines("WARNING") if "realtime_total_load_2" in line]
    assert "404" in warning


def test_trouble_that_passes_costs_nothing(crawl, feed, archive):
    kinds = [kind for kind, *_, again in TROUBLE if again]
    faults = [fault for kind in kinds for fault in (f"{kind}*1", "delay=0*1")]
    feed.set(clock=CLOCK, advance=5, faults=faults)
    run = crawl(
        start="2025-12-05T12:00",
        end=f"2025-12-05T12:{(len(kinds) - 1) * 5:02}",
        env={"DOWNLOAD_TIMEOUT": "2"},
    )
    assert (run.status, run.outcomes) == (0, {"stored": len(kinds)})
    assert len(feed.requests) == 2 * len(kinds)
    assert len(archive.files()) == len(kinds)
    assert [line for line in run.lines("ERROR") if "realtime_total_load_2" in line] == []


def test_a_candidate_is_retried_as_often_as_retry_times_says(crawl, feed):
    feed.set(clock=CLOCK, faults=["status=503"])
    run = crawl(**NOON, settings={"RETRY_TIMES": 2})
    assert (run.status, run.outcomes) == (1, {"failed": 1})
    assert len(feed.requests) == 3


def test_a_connection_that_is_reset_is_tried_again_three_times_by_default(crawl, feed):
    feed.set(clock=CLOCK, faults=["reset"])
    run = crawl(**NOON)
    assert (run.status, run.outcomes) == (1, {"failed": 1})
    assert len(feed.requests) == 4
    assert len(told(run)) == 1
    assert "connection" in told(run)[0]
    assert "Traceback" not in run.log


def test_a_retry_does_not_come_sooner_than_retry_after_asks(crawl, feed):
    feed.set(clock=CLOCK)
    body = live_body(feed)
    answers = [(429, {"Retry-After": "1"}, b""), (200, {"Content-Type": "application/json"}, body)]
    with Scripted(lambda _: answers.pop(0)) as server:
        run = crawl(**NOON, env={"MISO_API_URL": server.url})
    assert run.outcomes == {"stored": 1}
    first, second = server.requests
    assert second.at - first.at >= 1


def test_a_retry_after_that_is_nonsense_is_ignored(crawl, feed, archive):
    feed.set(clock=CLOCK, faults=["status=503,retry-after:soon*1", "status=503,retry-after:-5*1"])
    run = crawl(**NOON)
    assert (run.status, run.outcomes) == (0, {"stored": 1})
    assert len(feed.requests) == 3


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:{port}/api/RealTimeTotalLoad", "http://nosuchhost.invalid/"],
    ids=["connection refused", "host unknown"],
)
def test_a_feed_that_cannot_be_reached_is_told_in_one_line(crawl, url):
    url = url.format(port=free_port())
    run = crawl(**NOON, env={"MISO_API_URL": url})
    assert (run.status, run.outcomes) == (1, {"failed": 1})
    assert len(told(run)) == 1
    assert url.split("/")[2].split(":")[0] in told(run)[0]
    assert "Traceback" not in run.log


def test_a_small_body_that_unpacks_to_more_than_5_mb_is_refused(crawl):
    bomb = gzip.compress(b'{"a": "' + b"0" * 20_000_000 + b'"}')
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    with Scripted(lambda _: (200, headers, bomb)) as server:
        run = crawl(**NOON, env={"MISO_API_URL": server.url})
    assert (run.status, run.outcomes) == (1, {"failed": 1})
    assert len(told(run)) == 1
    assert "Traceback" not in run.log


def test_a_gzipped_answer_is_filed(crawl, feed, archive):
    feed.set(clock=CLOCK)
    body = gzip.compress(live_body(feed))
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    with Scripted(lambda _: (200, headers, body)) as server:
        run = crawl(
            start="2025-12-05T12:00",
            end="2025-12-05T12:05",
            env={"MISO_API_URL": server.url},
            interval=60,
        )
    assert run.outcomes == {"stored": 1, "duplicate": 1}
    assert len(server.requests) == 1


def test_a_redirect_is_followed(crawl, feed, archive):
    feed.set(clock=CLOCK)
    with Scripted(lambda _: (302, {"Location": feed.url}, b"")) as server:
        run = crawl(**NOON, env={"MISO_API_URL": server.url})
    assert (run.status, run.outcomes) == (0, {"stored": 1})


def test_redirects_that_never_end_are_told_in_one_line(crawl, feed):
    feed.set(clock=CLOCK, faults=["status=302,location:/api/RealTimeTotalLoad"])
    run = crawl(**NOON)
    assert (run.status, run.outcomes) == (1, {"failed": 1})
    assert len(told(run)) == 1
    assert "redirect" in told(run)[0]
    assert "Traceback" not in run.log
