"""cron and systemd: what the documentation says to write into them works, as they would run it."""

import configparser
import re
import shutil
import subprocess
import sys

import pytest

from tests.support.crawl import Run
from tests.support.documentation import fences, page
from tests.support.project import PROJECT

PAGE = page("collecting/cron-and-systemd")
CLONE = "/opt/miso_scrapy"
(CRON,) = (text.strip() for text in fences(PAGE, "crontab"))
UNITS = fences(PAGE, "ini")
SCHEDULE, COMMAND = re.fullmatch(r"((?:\S+ ){5})(.*)", CRON).groups()
CLOCK = "2025-12-05T12:00:00+00:00"


@pytest.fixture
def clone(tmp_path):
    """The project and its virtual environment, in the place of the clone of the page."""
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in ("scrapy.cfg", "miso_scrapy"):
        (clone / name).symlink_to(PROJECT / name)
    (clone / ".venv").symlink_to(sys.prefix)
    return clone


@pytest.fixture
def started(clone, feed):
    """Start a command of the page as cron does: a shell, and next to nothing in its environment."""

    def start(command, **settings):
        return subprocess.Popen(
            ["/bin/sh", "-c", command.replace(CLONE, str(clone))],
            cwd="/",
            env={
                "HOME": str(clone),
                "PATH": "/usr/bin:/bin",
                "MISO_API_URL": feed.url,
                "STATS_DUMP": "1",
                **settings,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


def test_the_cron_line_files_the_current_interval_and_mails_nothing(started, feed, clone):
    with started(COMMAND) as run:
        output, _ = run.communicate(timeout=60)
    log = (clone / "miso.log").read_text()
    assert (run.returncode, output) == (0, ""), output + log
    assert Run(run.returncode, log).outcomes == {"stored": 1}
    assert len(list(clone.glob("data/sourcing/**/*.json.gz"))) == 1


def test_two_runs_of_the_cron_line_share_a_redis(started, clone, valkey):
    with (
        started(COMMAND, REDIS_URL=valkey.url) as one,
        started(COMMAND, REDIS_URL=valkey.url) as two,
    ):
        assert [one.wait(60), two.wait(60)] == [0, 0], (clone / "miso.log").read_text()
    assert len(list(clone.glob("data/sourcing/**/*.json.gz"))) == 1


def test_nothing_is_to_be_computed():
    """No dates, no substitutions, no `%`, which cron would turn into a line's end."""
    assert SCHEDULE.split() == ["1-59/5", "*", "*", "*", "*"]
    service, timer = (_unit(text) for text in UNITS)
    assert timer["Timer"]["OnCalendar"] == "*:1/5"
    assert service["Service"]["ExecStart"] == f"{CLONE}/.venv/bin/scrapy crawl miso_rtload"
    assert COMMAND.startswith(f"cd {CLONE} && .venv/bin/scrapy crawl miso_rtload ")
    assert not re.search(r"[$`%]|\bdate\b|-a ", COMMAND)


def test_the_service_s_command_files_the_current_interval(started, clone):
    service = _unit(UNITS[0])["Service"]
    command = f"cd {service['WorkingDirectory']} && {service['ExecStart']}"
    with started(command) as run:
        output, _ = run.communicate(timeout=60)
    assert run.returncode == 0, output
    assert Run(run.returncode, output).outcomes == {"stored": 1}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
def test_systemd_accepts_the_units(clone, tmp_path):
    units = [tmp_path / "miso.service", tmp_path / "miso.timer"]
    for path, text in zip(units, UNITS, strict=True):
        path.write_text(text.replace(CLONE, str(clone)))
    done = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run(
        ["systemd-analyze", "calendar", _unit(UNITS[1])["Timer"]["OnCalendar"]],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Normalized form: *-*-* *:01/5:00" in done.stdout, done.stderr


def _unit(text):
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str
    unit.read_string(text)
    return unit
