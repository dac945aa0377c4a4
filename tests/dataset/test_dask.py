"""`scrapy export --dask`, on a real cluster: a scheduler and workers, each a process."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import samples
from tests.support.project import FOREIGN, SCRAPY
from tests.support.servers import free_port

DASK = str(Path(sys.executable).with_name("dask"))


class Cluster:
    """A Dask scheduler on a free port of localhost, and workers of one thread."""

    def __init__(self, directory):
        self.directory = directory
        clean = {name: value for name, value in os.environ.items() if not FOREIGN.match(name)}
        self.environment = {**clean, "SCRAPY_SETTINGS_MODULE": "miso_scrapy.settings"}
        self.processes = []
        found = directory / "scheduler.json"
        options = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show")
        self._start("scheduler", *options, "--scheduler-file", str(found))
        self.address = json.loads(self._awaited(found))["address"]

    def add_worker(self):
        """Start a worker; the first task waits for it."""
        self._start(
            "worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard",
            "--local-directory", str(self.directory),
        )  # fmt: skip

    def stop(self):
        for process in reversed(self.processes):  # the workers, while they have a scheduler
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()

    def _start(self, *args):
        with (self.directory / "log").open("a") as log:
            self.processes.append(
                subprocess.Popen(
                    [DASK, *args],
                    cwd=self.directory,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )

    def _awaited(self, path):
        for _ in range(600):
            if path.exists() and (text := path.read_text()).endswith("}"):
                return text
            assert self.processes[0].poll() is None, (self.directory / "log").read_text()
            time.sleep(0.1)
        raise AssertionError("the scheduler does not start")


@pytest.fixture
def cluster(tmp_path):
    """A scheduler that has no workers, until the test adds some."""
    directory = tmp_path / "cluster"
    directory.mkdir()
    cluster = Cluster(directory)
    yield cluster
    cluster.stop()


def files(target):
    return {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*.parquet")}


def opened(fifo):
    """The writing end of *fifo*, once somebody reads it."""
    with contextlib.suppress(OSError):
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)


def test_a_cluster_of_two_processes_gives_the_same_bytes(tmp_path, scrapy, cluster):
    root = tmp_path / "data"
    for number in range(1, 8):
        for clock in ("06:00", "23:55"):
            load, day = samples.until(clock, 1000 * number), f"2026-06-{number:02d}"
            samples.file(root, day, clock, load, {1: number, 2: len(load)}, {24: 2.5})
    wrong = samples.put(root, samples.est("2026-06-03", "12:00"), b"no gzip")
    cluster.add_worker()
    cluster.add_worker()
    done = scrapy("export", "-o", "dask", "--dask", cluster.address)
    alone = scrapy("export", "-o", "local")
    # A file that a worker cannot read is named here, as if it was read here.
    assert str(wrong) in done.stderr
    assert (done.returncode, done.stderr) == (alone.returncode, alone.stderr)
    assert done.stdout.replace("dask", "local") == alone.stdout
    assert len(files(tmp_path / "local")) == 7 * 3
    assert files(tmp_path / "dask") == files(tmp_path / "local")


def test_a_cluster_that_is_not_there_or_goes_away_is_told_of_in_one_line(
    tmp_path, environment, scrapy, cluster
):
    for number in range(1, 4):
        path = samples.file(tmp_path / "data", f"2026-06-{number:02d}", "12:00", {"12:00": 1})
    for address, said in [
        (f"tcp://127.0.0.1:{free_port()}", "cannot be reached"),
        ("nonsense://localhost", "cannot be reached"),
        (cluster.address, "no workers"),
    ]:
        done = scrapy("export", "-o", "tables", "--dask", address, timeout=60)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert address in line
        assert said in line
        assert files(tmp_path / "tables") == {}

    cluster.add_worker()
    path.unlink()
    os.mkfifo(path)  # holds who reads it, until it is written
    process = subprocess.Popen(
        [SCRAPY, "export", "-o", "load.csv", "--format", "csv", "--dask", cluster.address],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while (writer := opened(path)) is None:
        assert process.poll() is None
        time.sleep(0.05)
    cluster.processes[0].kill()
    _, told = process.communicate(timeout=60)
    os.close(writer)
    assert process.returncode == 1
    (line,) = told.splitlines()
    assert f"the Dask cluster at {cluster.address} failed" in line
    assert not (tmp_path / "load.csv").exists()
