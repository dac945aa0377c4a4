"""How the feed is asked: one request at a time, by name, and nothing listens.

How often: tests/promises/test_min_interval.py. Over TLS: tests/crawling/test_tls.py.
"""

import threading
from pathlib import Path

import pytest

from tests.support.crawl import started, wait_for
from tests.support.scripted_server import Scripted
from tests.support.servers import live_body

CLOCK = "2025-12-05T12:35:00+00:00"
NOON = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:00"}
TRIO = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:10"}
JSON = {"Content-Type": "application/json"}
LISTENS = "0A"  # in /proc/net/tcp


def test_the_feed_is_asked_by_name_and_without_cookies(crawl, feed):
    feed.set(clock=CLOCK)
    assert crawl(**NOON).outcomes == {"stored": 1}
    (headers,) = feed.requests
    assert headers["User-Agent"].startswith("miso_scrapy/")
    assert "Mozilla" not in headers["User-Agent"]
    assert "Cookie" not in headers


def test_one_request_at_a_time(crawl, feed):
    feed.set(clock=CLOCK)
    body = live_body(feed)
    lock = threading.Lock()
    another = threading.Event()
    inside = []

    def answer(request):
        with lock:
            inside.append(request)
            if len(inside) > 1:
                another.set()
        another.wait(0.1)  # long enough for a second request, if there is to be one
        with lock:
            inside.remove(request)
        return 200, JSON, body

    with Scripted(answer) as server:
        run = crawl(**TRIO, env={"MISO_API_URL": server.url})
    assert run.outcomes == {"stored": 1, "duplicate": 2}
    assert len(server.requests) == 3
    assert not another.is_set()


def listening(pid):
    """The TCP ports that the process and its children listen on."""
    family = {pid}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            family.add(int(status.parent.name))
    sockets = {
        link.readlink().name.removeprefix("socket:[").removesuffix("]")
        for member in family
        for link in Path(f"/proc/{member}/fd").iterdir()
        if "socket" in link.readlink().name
    }
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    return [int(f[1].rpartition(":")[2], 16) for f in lines if f[3] == LISTENS and f[9] in sockets]


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="reads /proc")
def test_nothing_listens_while_a_run_is_under_way(feed, environment, tmp_path):
    feed.set(clock=CLOCK)
    body = live_body(feed)
    asked, go_on = threading.Event(), threading.Event()

    def answer(request):
        asked.set()
        go_on.wait(60)
        return 200, JSON, body

    args = [part for item in NOON.items() for part in ("-a", "=".join(item))]
    with Scripted(answer) as server:
        slow = {**environment, "MISO_API_URL": server.url}
        with started(tmp_path, slow, *args) as process:
            try:
                wait_for(asked, process)
                found = listening(process.pid)
            finally:
                go_on.set()
            process.communicate(timeout=60)
    assert found == []
    assert process.returncode == 0
