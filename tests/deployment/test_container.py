"""The container image: small, not root, on a read-only root; it follows, runs commands, and stops."""

import json

import pytest

from tests.support.crawl import read_until
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
