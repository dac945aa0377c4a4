"""cron and systemd: deploy/systemd and what the documentation says to write work, as they run it."""

import configparser
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.crawl import Run, read_until
from tests.support.documentation import fences, page
from tests.support.project import PROJECT

PAGE = page("collecting/cron-and-systemd")
INSTALLED = "/opt/miso-scrapy/bin/miso-scrapy"
STATE = "/var/lib/miso-scrapy"
PROGRAM = Path(sys.executable).with_name("miso-scrapy")
(CRON,) = (text.strip() for text in fences(PAGE, "crontab"))
INSTALL, ENABLE, COMMAND_OF_ONES_OWN = fences(PAGE, "sh")
SCHEDULE, COMMAND = re.fullmatch(r"((?:\S+ ){5})(.*)", CRON).groups()
UNITS = PROJECT / "deploy" / "systemd"
# The exposure of a service, from 0 (safe) to 100. systemd calls less than 40 "OK".
EXPOSURE = 15


@pytest.fixture
def state(tmp_path):
    """The state directory."""
    state = tmp_path / "state"
    state.mkdir()
    return state


@pytest.fixture
def started(state, feed):
    """Start a command of the page as cron does: a shell, and next to nothing in its environment."""

    def start(command, **settings):
        command = command.replace(INSTALLED, str(PROGRAM)).replace(STATE, str(state))
        return subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd="/",
            env={
                "HOME": str(state),
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


def test_the_cron_line_files_the_current_interval_and_mails_nothing(started, state):
    with started(COMMAND) as run:
        output, _ = run.communicate(timeout=60)
    log = (state / "miso.log").read_text()
    assert (run.returncode, output) == (0, ""), output + log
    assert Run(run.returncode, log).outcomes == {"stored": 1}
    assert len(list(state.glob("data/sourcing/**/*.json.gz"))) == 1


def test_two_runs_of_the_cron_line_share_a_redis(started, state, valkey):
    with (
        started(COMMAND, REDIS_URL=valkey.url) as one,
        started(COMMAND, REDIS_URL=valkey.url) as two,
    ):
        assert [one.wait(60), two.wait(60)] == [0, 0], (state / "miso.log").read_text()
    assert len(list(state.glob("data/sourcing/**/*.json.gz"))) == 1


def test_nothing_is_to_be_computed():
    """No dates, no substitutions, no `%`, which cron would turn into a line's end."""
    assert SCHEDULE.split() == ["1-59/5", "*", "*", "*", "*"]
    assert _unit("miso-scrapy.timer")["Timer"]["OnCalendar"] == "*:1/5"
    assert _unit("miso-scrapy.service")["Service"]["ExecStart"] == f"{INSTALLED} crawl miso_rtload"
    assert COMMAND.startswith(f"cd {STATE} && {INSTALLED} crawl miso_rtload ")
    assert not re.search(r"[$`%]|\bdate\b|-a ", COMMAND)


@pytest.mark.parametrize("name", ["miso-scrapy", "miso-scrapy-follow"])
def test_the_service_s_command_files_the_current_interval(started, state, name):
    """The one that follows does so until systemd stops it, with SIGTERM."""
    service = _unit(f"{name}.service")["Service"]
    variable, _, directory = service["Environment"].partition("=")
    command = f"cd {service['WorkingDirectory']} && exec {service['ExecStart']}"
    with started(command.replace("%S", "/var/lib"), **{variable: str(state)}) as run:
        log = read_until(run, "stored realtime_total_load")
        if "follow" in name:
            run.send_signal(signal.SIGTERM)
        output, _ = run.communicate(timeout=60)
    assert run.returncode == 0, "".join(log) + output
    assert directory == service["WorkingDirectory"]
    assert len(list(state.glob("sourcing/**/*.json.gz"))) == 1


def test_the_follow_service_is_started_again_but_not_after_a_wrong_setting(started):
    unit = _unit("miso-scrapy-follow.service")
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert unit["Service"]["Restart"] == "always"
    with started(unit["Service"]["ExecStart"], MISO_MIN_INTERVAL="soon") as run:
        run.communicate(timeout=60)
    assert unit["Service"]["RestartPreventExitStatus"] == str(run.returncode)


@pytest.fixture
def installed(tmp_path):
    """Install the units below the root *tmp_path*, by the commands of the page."""
    for directory in ("etc/sysusers.d", "etc/systemd/system", "opt/miso-scrapy/bin"):
        (tmp_path / directory).mkdir(parents=True)
    script = INSTALL.replace(" /etc/", f" {tmp_path}/etc/")
    script = script.replace("systemd-sysusers\n", f"systemd-sysusers --root={tmp_path} --dry-run\n")
    script = script.replace("systemctl daemon-reload", "")
    done = subprocess.run(
        ["sh", "-ec", script], cwd=PROJECT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    units = tmp_path / "etc" / "systemd" / "system"
    for service in units.glob("*.service"):  # systemd-analyze looks for the program
        service.write_text(service.read_text().replace(INSTALLED, str(PROGRAM)))
    return units, done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
def test_systemd_accepts_what_the_page_installs(installed, tmp_path):
    units, said = installed
    assert re.search("Creating (user|group) 'miso-scrapy'", said)
    assert (tmp_path / "etc" / "miso-scrapy.env").stat().st_mode & 0o777 == 0o600
    paths = sorted(units.iterdir())
    assert [path.name for path in paths] == [
        "miso-scrapy-follow.service", "miso-scrapy.service", "miso-scrapy.timer",
    ]  # fmt: skip
    assert _analyze("verify", *paths) == ""
    calendar = _analyze("calendar", _unit("miso-scrapy.timer")["Timer"]["OnCalendar"])
    assert "Normalized form: *-*-* *:01/5:00" in calendar
    _analyze("security", "--offline=yes", f"--threshold={EXPOSURE}", *paths[:2])


def test_what_is_enabled_is_there_and_excludes_the_other():
    enabled = re.findall(r"^systemctl enable --now (\S+)", ENABLE, re.M)
    assert sorted(enabled) == ["miso-scrapy-follow.service", "miso-scrapy.timer"]
    for one, other in (enabled, reversed(enabled)):
        assert "WantedBy" in _unit(one)["Install"]
        assert other in _unit(one)["Unit"]["Conflicts"].split()


def test_a_command_of_one_s_own_runs_as_the_services_do(started, state):
    for name in ("miso-scrapy.service", "miso-scrapy-follow.service"):
        service = _unit(name)["Service"]
        for setting in ("User", "EnvironmentFile"):
            assert f"-p {setting}={service[setting]} " in COMMAND_OF_ONES_OWN
        assert f"-E {service['Environment'].replace('%S', '/var/lib')} " in COMMAND_OF_ONES_OWN
    (command,) = re.findall(f"{INSTALLED} .*", COMMAND_OF_ONES_OWN)
    with started(command, MISO_DATA_DIR=str(state)) as run:
        assert "no snapshots" in run.communicate(timeout=60)[0]


def _analyze(*args):
    done = subprocess.run(["systemd-analyze", *args], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _unit(name):
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str
    unit.read_string((UNITS / name).read_text())
    return unit
