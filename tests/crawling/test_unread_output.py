"""Output that nobody reads any more, as in `scrapy audit | head -1`: no traceback."""

import os
import subprocess
import sys

import pytest

from tests.support.project import SCRAPY

DAYS = ["--start", "2025-12-05", "--end", "2025-12-06"]
# The text has more than the 8 KiB that Python writes at once.
YEARS = ["--start", "2023-01-01", "--end", "2025-12-06"]


@pytest.fixture
def unread(tmp_path, environment):
    """Run COMMAND, with nobody who reads its standard output: `.returncode`, `.stderr`."""

    def run(*command):
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "wb") as output:
            return subprocess.run(
                command,
                cwd=tmp_path,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
                timeout=120,
            )

    return run


@pytest.fixture
def collected(scrapy):
    """Let the archive have a day of simulated snapshots."""
    assert scrapy("simulate", "--write", "data", *DAYS).returncode == 0


COMMANDS = [
    ["status"],
    ["status", "--json"],
    ["doctor"],
    ["audit", "--json", *DAYS],
    ["audit", *YEARS],
    ["export", "-o", "tables", *DAYS],
    ["report", "-o", "report.html", *DAYS],
    ["reindex"],
    ["list"],
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_command_does_its_work_and_ends_with_its_own_status(unread, scrapy, collected, arguments):
    done = unread(SCRAPY, *arguments)
    assert done.stderr == ""
    assert done.returncode == scrapy(*arguments).returncode


# Unbuffered, the first line fails already, and not the last.
@pytest.mark.parametrize("arguments", [["status"], ["audit", *YEARS], ["list"]], ids=" ".join)
def test_so_it_does_without_a_buffer(unread, scrapy, environment, collected, arguments):
    environment["PYTHONUNBUFFERED"] = "1"
    done = unread(SCRAPY, *arguments)
    assert done.stderr == ""
    assert done.returncode == scrapy(*arguments).returncode


def test_the_command_miso_scrapy_does_the_same(unread):
    done = unread(sys.executable, "-m", "miso_scrapy", "status")
    assert (done.returncode, done.stderr) == (1, "")
