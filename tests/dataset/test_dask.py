"""`--dask` of `scrapy export`, `audit` and `report`, on real clusters."""

import contextlib
import json
import os
import pickle
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from distributed import Client

from miso_scrapy.dataset.tables import TABLES
from miso_scrapy.store.s3 import S3Store
from tests.support import certificates, samples
from tests.support.project import FOREIGN, SCRAPY
from tests.support.servers import free_port

DASK = str(Path(sys.executable).with_name("dask"))
AGE = re.compile(r'"newest_age_minutes": \d+')
ADAPTIVE = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=0, threads_per_worker=4, dashboard_address=":0") as cluster:
        cluster.adapt(minimum=0, maximum=1, interval="200ms")
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


def clean_environment():
    clean = {name: value for name, value in os.environ.items() if not FOREIGN.match(name)}
    return {**clean, "SCRAPY_SETTINGS_MODULE": "miso_scrapy.settings"}


@contextlib.contextmanager
def adaptive_cluster(directory, **environment):
    """Start a cluster that has no workers, and starts one of four threads when there is work."""
    script = directory / "adaptive.py"
    script.write_text(ADAPTIVE)
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, script],
            cwd=directory,
            env={**clean_environment(), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        yield process.stdout.readline().strip()
    finally:
        process.communicate(timeout=60)  # it ends with its input


class Cluster:
    """A Dask scheduler on a free port of localhost, and workers of one thread."""

    def __init__(self, directory, protocol="tcp", **environment):
        self.directory = directory
        self.environment = {**clean_environment(), **environment}
        self.processes = []
        found = directory / "scheduler.json"
        options = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show")
        options += ("--protocol", protocol)
        self._start("scheduler", *options, "--scheduler-file", str(found))
        self.address = json.loads(self._awaited(found))["address"]

    def add_worker(self):
        """Start a worker; the first task waits for it."""
        self._start(
            "worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard",
            "--local-directory", str(self.directory),
        )  # fmt: skip

    def wait_for_workers(self, count):
        """Return when *count* workers have registered with the scheduler."""
        with Client(self.address) as client:
            client.wait_for_workers(count, timeout=120)

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
    cluster.wait_for_workers(2)  # a command that has to wait for them says so
    done = scrapy("export", "-o", "dask", "--dask", cluster.address)
    alone = scrapy("export", "-o", "local")
    # A file that a worker cannot read is named here, as if it was read here.
    assert str(wrong) in done.stderr
    assert (done.returncode, done.stderr) == (alone.returncode, alone.stderr)
    assert done.stdout.replace("dask", "local") == alone.stdout
    assert len(files(tmp_path / "local")) == 7 * len(TABLES)
    assert files(tmp_path / "dask") == files(tmp_path / "local")


@pytest.mark.parametrize("command", ["audit --json", "report -o {}.html", "export -o {}"])
def test_a_cluster_that_scales_from_nothing_reads_a_bucket_in_several_threads(
    tmp_path, scrapy, bucket, command
):
    root = tmp_path / "local-copy"
    for number in range(1, 9):
        samples.file(root, f"2026-06-{number:02d}", "23:55", samples.until("23:55", number))
    for path in root.rglob("*.gz"):
        bucket.client.upload_file(str(path), bucket.name, str(path.relative_to(root)))
    alone = scrapy(*command.format("alone").split(), env=bucket.settings)
    with adaptive_cluster(tmp_path, **bucket.settings) as address:
        # What distributed.Client takes: the scheme can be left out.
        args = (*command.format("dask").split(), "--dask", address.removeprefix("tcp://"))
        done = scrapy(*args, env=bucket.settings)
    (line,) = done.stderr.splitlines()
    assert f"{address.removeprefix('tcp://')} has no workers: waiting for them" in line
    assert done.returncode == alone.returncode
    assert AGE.sub("", done.stdout).replace("dask", "alone") == AGE.sub("", alone.stdout)
    assert files(tmp_path / "dask") == files(tmp_path / "alone")


def test_a_store_has_a_client_for_each_thread_of_a_worker(bucket):
    settings = {"S3_BUCKET": bucket.name, "AWS_ENDPOINT_URL": bucket.endpoint}
    settings |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing-secret"}
    bucket.client.put_object(Bucket=bucket.name, Key="key", Body=b"body")
    opened = S3Store.from_settings(settings)
    sent = pickle.loads(pickle.dumps(opened))
    together = threading.Barrier(4)

    def client(store):
        together.wait(60)
        assert list(store.get_all(["key", "none"])) == [b"body", None]
        return store.client, store.client

    with ThreadPoolExecutor(4) as threads:
        theirs = list(threads.map(client, [sent] * 4))
        here = list(threads.map(client, [opened] * 4))
    assert all(one is again for one, again in theirs)
    assert len({id(one) for one, _ in theirs}) == 4
    assert len({id(one) for one, _ in here}) == 1


def test_a_scheduler_may_want_tls(tmp_path, scrapy):
    for number in range(1, 3):
        samples.file(tmp_path / "data", f"2026-06-{number:02d}", "12:00", {"12:00": 1})
    ca = certificates.authority("an authority")
    certificates.server_side(tmp_path, ca.issue("dask", certificates.LOCALHOST))
    (tmp_path / "ca.pem").write_bytes(ca.pem)
    tls = {"CA_FILE": tmp_path / "ca.pem"}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        tls |= {f"{role}__CERT": tmp_path / "server.pem", f"{role}__KEY": tmp_path / "server.pem"}
    environment = {f"DASK_DISTRIBUTED__COMM__TLS__{name}": str(path) for name, path in tls.items()}
    cluster = Cluster(tmp_path, "tls", **environment)
    try:
        cluster.add_worker()
        args = ("export", "-o", "tables", "--dask", cluster.address)
        assert cluster.address.startswith("tls://")
        done = scrapy(*args, env=environment)
        assert done.stdout.startswith("2 days exported"), done.stderr
        done = scrapy(*args)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert "DASK_DISTRIBUTED__COMM__TLS__CA_FILE" in line
    finally:
        cluster.stop()


def test_a_cluster_that_is_not_there_or_goes_away_is_told_of_in_one_line(
    tmp_path, environment, scrapy, cluster
):
    for number in range(1, 4):
        path = samples.file(tmp_path / "data", f"2026-06-{number:02d}", "12:00", {"12:00": 1})
    for address, said in [
        (f"tcp://127.0.0.1:{free_port()}", "cannot be reached"),
        ("nonsense://localhost", "cannot be reached"),
        ("tcp://127.0.0.1", "cannot be reached"),  # without a port
    ]:
        done = scrapy("export", "-o", "tables", "--dask", address, timeout=60)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert address in line
        assert said in line
        assert files(tmp_path / "tables") == {}

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
    assert "has no workers: waiting for them" in process.stderr.readline()
    cluster.add_worker()
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
