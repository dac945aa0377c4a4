"""The embedded registry: one server in a directory, never two, whatever became of the run before."""

import contextlib
import os
import shutil
import signal
import stat
import threading

import pytest
from redis import Redis

from miso_scrapy.registry import embedded
from miso_scrapy.registry.client import RegistryUnavailable
from miso_scrapy.registry.embedded import EmbeddedValkey
from tests.support.archive_reader import PREFIX
from tests.support.crawl import Run, started, wait_for
from tests.support.scripted_server import Scripted
from tests.support.servers import embedded_servers, live_body

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs Linux's /proc")
CLOCK = "2025-12-05T12:00:00+00:00"
PAIR = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:05"}


@pytest.fixture
def answering(feed):
    """A feed that holds back its second answer: `.asked` is set then, and waits for `.go_on`."""
    feed.set(clock=CLOCK)
    body = live_body(feed)

    def answer(request):
        if len(server.requests) == 2:
            server.asked.set()
            server.go_on.wait(60)
        return 200, {"Content-Type": "application/json"}, body

    with Scripted(answer) as server:
        server.asked, server.go_on = threading.Event(), threading.Event()
        yield server
        server.go_on.set()


@pytest.fixture
def running(answering, environment, tmp_path):
    """A run that waits for its second answer. Its temporary files go to `tmp`."""
    (tmp_path / "tmp").mkdir()
    env = {**environment, "MISO_API_URL": answering.url, "TMPDIR": str(tmp_path / "tmp")}
    args = [part for item in PAIR.items() for part in ("-a", "=".join(item))]
    with started(tmp_path, env, *args, "-s", "MISO_MIN_INTERVAL=0") as run:
        wait_for(answering.asked, run)
        yield run


@contextlib.contextmanager
def client_in(directory):
    """Yield a client of the server in *directory*, whose path may be too long for an address."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with Redis(unix_socket_path=f"/proc/self/fd/{descriptor}/valkey.sock") as redis:
            yield redis
    finally:
        os.close(descriptor)


def test_a_stalled_server_of_a_killed_run_is_never_joined_by_a_second_one(
    running, archive, monkeypatch
):
    directory = archive.root / ".registry"
    running.kill()
    running.wait()
    (left_behind,) = embedded_servers(directory)
    os.kill(left_behind, signal.SIGSTOP)
    try:
        monkeypatch.setattr(embedded, "_LEFT_BEHIND", 1)
        refused = EmbeddedValkey(directory)
        with pytest.raises(
            RegistryUnavailable, match=rf"process {left_behind}\b.*REDIS_URL"
        ) as told:
            refused.start()
        assert "\n" not in str(told.value)
        assert embedded_servers(directory) == [left_behind]
        monkeypatch.undo()
        # Once it can end, it is shut down, and what it knew is known.
        os.kill(left_behind, signal.SIGCONT)
        follower = EmbeddedValkey(directory)
        follower.start()
        with client_in(directory) as redis:
            assert redis.hexists(f"{PREFIX}claims", "realtime_total_load_20251205_120500.json")
        (server,) = embedded_servers(directory)
        assert server != left_behind
        follower.stop()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(left_behind, signal.SIGKILL)
    assert embedded_servers(directory) == []


def test_a_run_whose_temporary_files_are_cleaned_away_goes_on_and_stops(
    running, answering, crawl, feed, archive, tmp_path
):
    shutil.rmtree(tmp_path / "tmp")
    with client_in(archive.root / ".registry") as redis:
        redis.client_kill_filter(_type="normal")  # the run has to connect again
    answering.go_on.set()
    output, _ = running.communicate(timeout=30)
    assert "Traceback" not in output
    run = Run(running.returncode, output)
    assert (run.status, run.outcomes) == (0, {"stored": 1, "duplicate": 1}), output
    assert embedded_servers(archive.root / ".registry") == []
    assert crawl(**PAIR).outcomes == {"skipped": 2}


def test_only_its_user_can_open_the_socket(tmp_path):
    server = EmbeddedValkey(tmp_path / "registry")
    server.start()
    try:
        mode = (tmp_path / "registry" / "valkey.sock").stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o700
    finally:
        server.stop()


def test_where_open_files_have_no_names_a_short_link_is_made_again_when_it_is_gone(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(embedded, "_OPEN_FILES", tmp_path / "none")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    directory = tmp_path / ("a directory with a long name" * 6) / "registry"
    server = EmbeddedValkey(directory)
    server.start()
    (link,) = tmp_path.glob("miso-*")
    process = server._server
    shutil.rmtree(link)
    server.stop()
    assert process.returncode == 0  # not killed
    assert list(tmp_path.glob("miso-*")) == []
