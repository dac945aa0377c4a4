"""The container image: small, not root, on a read-only root; it follows, runs commands, and stops."""

import contextlib
import json
import os
import shutil

import pytest

from tests.support.archive_reader import files_below
from tests.support.crawl import read_until
from tests.support.faketime import faketime, libfaketime
from tests.support.followed_day import FollowedDay, told_once
from tests.support.image import Container, built


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    # With xdist, the parent is the directory of all workers.
    return built(tmp_path_factory.getbasetemp().parent / "image.lock")


@pytest.fixture
def container(image, tmp_path):
    """A container of the image, with empty data."""
    return Container(image, tmp_path / "data")


def test_the_image_says_how_to_run_it(image):
    config = image.config
    assert config["Entrypoint"] == ["miso-scrapy"]
    assert config["Cmd"] == ["crawl", "miso_rtload", "-a", "follow=1"]
    assert config["Healthcheck"]["Test"] == ["CMD", "miso-scrapy", "status"]
    # A number: Kubernetes' runAsNonRoot cannot look a name up.
    assert all(int(number) > 0 for number in config["User"].split(":"))
    assert list(config["Volumes"]) == [config["WorkingDir"]] == ["/data"]


def test_the_image_is_small(image):
    assert image.megabytes_beyond_base() < 250


def test_only_the_data_and_tmp_can_be_written(container):
    places = ("/", "/data", "/tmp", "/opt/miso-scrapy", "/etc", "/var/tmp")
    script = (
        'id -u; for place in "$@"; do touch "$place/x" 2>/dev/null && echo "$place"; done; true'
    )
    status, output = container.run("-c", script, "sh", *places, entrypoint=["sh"])
    assert (status, output.split()) == (0, ["10001", "/data", "/tmp"])


def test_it_follows_is_healthy_and_stops_cleanly(container, feed):
    settings = {"MISO_API_URL": feed.url, "MISO_MIN_INTERVAL": "0"}
    process = container.start(env=settings)
    read_until(process, " stored ")
    status, output = container.run(
        *container.config["Healthcheck"]["Test"][1:], entrypoint=[], env=settings
    )
    assert status == 0, output
    status, rest = container.stop(process)
    assert status == 0, rest
    status, audited = container.run("audit", "--json")
    assert json.loads(audited)["total"]["snapshots"] == 1
    assert status == 0


def test_another_command_runs_and_stops_too(container):
    """It is the first process: the kernel does not end it by signals that it does not handle."""
    process = container.start("simulate")
    read_until(process, "Serving until Ctrl-C")
    assert container.stop(process) == (143, "")


class Disk:
    """A disk for the files of the archive in *data*, which may fail."""

    def __init__(self, data):
        self._data = data
        self._place = data / "sourcing"
        disk = data / "disk"
        disk.mkdir()
        os.chown(disk, data.stat().st_uid, data.stat().st_gid)
        self._lead_to("disk")

    def _lead_to(self, target):
        later = self._place.with_name("later")
        later.symlink_to(target)
        later.replace(self._place)

    @contextlib.contextmanager
    def down(self):
        self._lead_to("/dev/null")  # no directory
        yield
        self._lead_to("disk")

    def files(self):
        return files_below(self._data)


class FastContainer(Container):
    """A container whose programs have the clock that libfaketime gives them."""

    def __init__(self, image, data):
        super().__init__(image, data)
        shutil.copy(libfaketime(), data / "libfaketime.so.1")

    def start(self, *command, env=None, **options):
        env = {**(env or {}), "LD_PRELOAD": "/data/libfaketime.so.1"}
        return super().start(*command, env=env, **options)


@faketime
def test_it_lives_through_a_day_with_outages_a_kill_and_a_clock_that_jumps(image, tmp_path):
    """Its disk fails; in test_followed_day.py, S3 does."""
    container = FastContainer(image, tmp_path / "data")
    script = "import time; print(time.gmtime().tm_year)"
    _, year = container.run(
        "-c", script, entrypoint=["python"], env={"FAKETIME": "@2001-02-03 04:05:06"}
    )
    if year != "2001\n":
        pytest.skip(f"the image cannot load this machine's libfaketime: {year}")
    with FollowedDay(tmp_path, container, Disk(tmp_path / "data")) as day:
        log = day.live()
        day.lost_nothing()
    told_once(log)
