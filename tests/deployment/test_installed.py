"""The wheel and the sdist: a program `miso-scrapy` that runs anywhere, with all that it needs."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections import namedtuple

import pytest

from tests.support.clean_clone import clone_to
from tests.support.project import PROJECT

CLOCK = "2025-12-05T12:00:00+00:00"
DAY = ("--start", "2025-12-05", "--end", "2025-12-06")
COMMANDS = sorted(path.stem for path in PROJECT.glob("miso_scrapy/commands/[a-z]*.py"))
# Another project: its settings and its scrapy.cfg, which cannot even be read.
OTHERS = {
    "others.py": "BOT_NAME = 'others'\nCOMMANDS_MODULE = ''\n",
    "scrapy.cfg": "[settings]\ndefault = others\ndefault = others\n",
}


def _done(*args, **options):
    done = subprocess.run(
        [*map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        **options,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _built(kind, source, target):
    """Build a *kind*, sdist or wheel, of *source* as pip does, without the network."""
    program = f"import sys, setuptools.build_meta as b; b.build_{kind}(sys.argv[1])"
    _done(sys.executable, "-W", "ignore", "-c", program, target, cwd=source)
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist and the wheel of a clean clone, and the wheel that is built from the sdist."""
    directory = tmp_path_factory.mktemp("built")
    targets = [directory / name for name in ("sdist", "wheel", "unpacked", "again")]
    for target in targets:
        target.mkdir()
    clone = clone_to(directory / "clone")
    sdist = _built("sdist", clone, targets[0])
    wheel = _built("wheel", clone, targets[1])
    with tarfile.open(sdist) as file:
        file.extractall(targets[2], filter="data")
    (unpacked,) = targets[2].iterdir()
    again = _built("wheel", unpacked, targets[3])
    return namedtuple("Built", "sdist wheel again")(sdist, wheel, again)


@pytest.fixture(scope="module")
def bin_directory(built, tmp_path_factory):
    """The programs of a new virtual environment with the wheel. It sees the dependencies of this one."""
    venv = tmp_path_factory.mktemp("installed")
    _done(sys.executable, "-m", "venv", "--without-pip", venv)
    paths = sysconfig.get_paths("venv", vars={"base": str(venv), "platbase": str(venv)})
    # A line in a .pth file adds a directory, but not the editable projects that are installed there.
    with open(os.path.join(paths["purelib"], "dependencies.pth"), "w") as file:
        file.write(sysconfig.get_paths()["purelib"] + "\n")
    install = ["install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    _done(sys.executable, "-m", "pip", "--python", venv, *install, built.again)
    return venv / os.path.basename(paths["scripts"])


@pytest.fixture
def miso_scrapy(bin_directory, environment, tmp_path):
    """Run `miso-scrapy ARGS...` in an empty directory, without a setting that names the project."""
    del environment["SCRAPY_SETTINGS_MODULE"]
    empty = tmp_path / "empty"
    empty.mkdir()

    def run(*args, program=("miso-scrapy",), cwd=empty, **variables):
        return subprocess.run(
            [str(bin_directory / program[0]), *program[1:], *args],
            cwd=cwd,
            env={**environment, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def test_the_sdist_builds_a_wheel_that_holds_everything(built):
    package = PROJECT / "miso_scrapy"
    files = {
        str(path.relative_to(PROJECT))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files >= {f"miso_scrapy/{name}" for name in ("py.typed", "report/page.html")}
    for wheel in (built.wheel, built.again):
        names = set(zipfile.ZipFile(wheel).namelist())
        assert {name for name in names if ".dist-info/" not in name} == files
        assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert built.wheel.name == built.again.name
    assert built.wheel.name.endswith("-py3-none-any.whl")


def test_the_wheel_says_what_it_needs(built):
    with zipfile.ZipFile(built.again) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        told = wheel.read(name).decode()
    assert re.search(r"^Provides-Extra: dataset$", told, re.M)
    assert re.search(r'^Requires-Dist: pyarrow.*; extra == "dataset"$', told, re.M)
    assert re.search(r"^Requires-Dist: scrapy[<>=]", told, re.M)


def test_every_command_has_its_help_in_an_empty_directory(miso_scrapy):
    """In one process, as importing Scrapy takes most of the time."""
    program = (
        "import contextlib, sys\n"
        "from miso_scrapy.__main__ import main\n"
        "for command in sys.argv[1:]:\n"
        "    sys.argv[:] = ['miso-scrapy', command, '--help']\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        main()\n"
    )
    done = miso_scrapy(*COMMANDS, "shell", program=("python", "-P", "-c", program))
    assert (done.returncode, done.stderr) == (0, "")
    usages = re.findall(r"^Usage\n=====\n  (\S+ \S+)", done.stdout, re.M)
    assert usages == [f"miso-scrapy {command}" for command in [*COMMANDS, "shell"]]


def test_the_list_of_commands_names_the_program(miso_scrapy):
    listed = miso_scrapy()
    assert set(COMMANDS) <= set(re.findall(r"^  (\w+) ", listed.stdout, re.M))
    assert "  miso-scrapy <command> [options] [args]" in listed.stdout
    unknown = miso_scrapy("collect")
    assert unknown.returncode == 2
    assert 'Use "miso-scrapy" to see available commands' in unknown.stdout
    for output in (listed.stdout, unknown.stdout):
        assert not re.search(r"(?<!-)\bscrapy\b", output)


def test_errors_name_the_program(miso_scrapy):
    done = miso_scrapy("audit", "--nope", program=("python", "-m", "miso_scrapy"))
    line = "miso-scrapy audit: unknown argument --nope: see miso-scrapy audit --help\n"
    assert (done.returncode, done.stderr) == (2, line)
    # What the status tells a person to run is there, too.
    told = miso_scrapy("status").stdout
    assert "run miso-scrapy doctor, then miso-scrapy crawl miso_rtload" in told
    assert not re.search(r"(?<!-)\bscrapy (?=crawl|doctor)", told)


def test_it_collects_and_reads_the_archive_from_any_directory(miso_scrapy, feed, archive, tmp_path):
    feed.set(clock=CLOCK)
    noon = ("-a", "start=2025-12-05T12:00", "-a", "end=2025-12-05T12:00")
    done = miso_scrapy("crawl", "miso_rtload", *noon)
    assert done.returncode == 0, done.stderr
    assert "FiveMinTotalLoad" in archive.only()["data"]
    audited = miso_scrapy("audit", "--json", *DAY)
    assert json.loads(audited.stdout)["total"]["snapshots"] == 1
    # The page's template is in the wheel, too.
    reported = miso_scrapy("report", "-o", tmp_path / "report.html", *DAY)
    assert reported.returncode == 0, reported.stderr
    assert "5 Dec 2025" in (tmp_path / "report.html").read_text()


def test_another_project_has_no_influence(miso_scrapy, tmp_path):
    for name, text in OTHERS.items():
        (tmp_path / name).write_text(text)
    done = miso_scrapy(
        "settings", "--get", "BOT_NAME", cwd=tmp_path,
        SCRAPY_SETTINGS_MODULE="others", SCRAPY_PROJECT="others", PYTHONPATH=str(tmp_path),
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "miso_scrapy\n"), done.stderr
    assert "doctor" in miso_scrapy("--help", cwd=tmp_path).stdout
