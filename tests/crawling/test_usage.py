"""Words on the command line and in settings: what is wrong is told in one line, nothing is done."""

import json
import re

import pytest

from tests.support.stores import Directory

NOON = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:00"}
COMMANDS = {
    "crawl": ["miso_rtload"],
    "check": [],
    "requeue": [],
    "reindex": [],
    "doctor": [],
    "export": ["-o", "tables"],
    "audit": [],
    "report": ["-o", "report.html"],
    "simulate": [],
}


def refused(done, command):
    """The one line that a refusal is, which begins with the command's own name."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"scrapy {command}: ")
    return line


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("unknown", ["--dry-run", "--loglevl=DEBUG"])
def test_an_unknown_option_is_refused_and_nothing_is_done(scrapy, feed, tmp_path, command, unknown):
    done = scrapy(command, *COMMANDS[command], unknown)
    assert unknown.partition("=")[0] in refused(done, command)
    assert feed.requests == []
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "simulate"])
def test_an_unknown_word_is_refused_and_nothing_is_done(scrapy, feed, tmp_path, command):
    done = scrapy(command, *COMMANDS[command], "foo")
    assert "foo" in refused(done, command)
    assert feed.requests == []
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "arguments", "named"),
    [
        ("reindex", ["--ann"], "--ann"),  # not short for --announce: it might mean another
        ("export", ["--out", "tables"], "--out"),
        ("audit", ["--start"], "--start"),
        ("crawl", ["miso_rtload", "--logfile"], "--logfile"),
        ("simulate", ["--port", "many"], "--port"),
        ("export", ["-o", "tables", "--format", "xml"], "xml"),
        ("requeue", ["-s", "RETRY_TIMES"], "-s NAME=VALUE"),
        ("crawl", ["miso_rtload", "-a", "force"], "-a NAME=VALUE"),
        ("requeue", ["-a", "force=1"], "force"),
        ("crawl", [], "miso_rtload"),
        ("crawl", ["nope"], "nope"),
        ("check", ["nope"], "nope"),
        ("check", ["-a", "strat=now"], "strat"),
        ("check", ["-s", "MISO_API_URL=localhost"], "MISO_API_URL"),
        ("report", ["-o", "s3://miso/report.html"], "s3://miso/report.html"),
        ("simulate", ["--write", "s3://miso", "--start", "2025-12-05", "--end", "2025-12-06"],
         "s3://miso"),
    ],
)  # fmt: skip
def test_other_wrong_usage_is_told_in_the_same_way(
    scrapy, feed, tmp_path, command, arguments, named
):
    assert named in refused(scrapy(command, *arguments), command)
    assert feed.requests == []
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("--force", "use -a force=1"),
        ("--skip_hash_check", "use -a skip_hash_check=1"),
        ("--skip-hash-check", "use -a skip_hash_check=1"),
        ("--start=2025-12-05", "use -a start=2025-12-05"),
        ("--end", "use -a end=2025-12-06"),
        ("force=1", "use -a force=1"),
    ],
)
def test_an_argument_that_is_given_as_an_option_is_told_how(scrapy, feed, word, advice):
    for arguments in (["miso_rtload", word], [word, "miso_rtload"]):
        assert refused(scrapy("crawl", *arguments), "crawl").endswith(advice)
    assert feed.requests == []


def test_scrapy_s_own_options_go_on_working(scrapy, feed, archive, tmp_path):
    feed.set(clock="2025-12-05T12:00:00+00:00")
    given = [part for item in NOON.items() for part in ("-a", "=".join(item))]
    done = scrapy(
        "crawl", *given, "--logfile", "run.log", "--pidfile", "pid", "--profile", "profile", "--pdb",
        "-LDEBUG", "-s", "RETRY_TIMES=1", "--set", "RETRY_HTTP_CODES=429", "-O", "items.json",
        "miso_rtload",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert " DEBUG: " in (tmp_path / "run.log").read_text()
    assert (tmp_path / "pid").read_text().strip().isdecimal()
    assert (tmp_path / "profile").stat().st_size
    (item,) = json.loads((tmp_path / "items.json").read_text())
    assert item["identifier"] == "realtime_total_load_20251205_120000.json"
    done = scrapy("crawl", "miso_rtload", *given, "--nolog", "-o", "-:json")
    assert (done.returncode, done.stderr) == (0, "")
    assert scrapy("reindex", "--loglevel", "INFO", "--nolog").returncode == 0
    assert scrapy("check", "-l", "miso_rtload").returncode == 0


# --- A bucket is not an address --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("S3_BUCKET", "s3://miso", "S3_BUCKET must be a bucket's name, without s3://: use miso"),
        ("S3_BUCKET", "s3://miso/load/", "without s3://"),
        ("S3_BUCKET", "miso/load", "S3_BUCKET must be a bucket's name"),
        ("MISO_DATA_DIR", "s3://miso", "MISO_DATA_DIR must be a local path"),
    ],
)
def test_a_bucket_that_is_given_as_an_address_is_told_how(
    scrapy, feed, tmp_path, name, value, said
):
    for command in ("crawl", "reindex", "audit"):
        words = COMMANDS[command]
        assert said in refused(scrapy(command, *words, env={name: value}), command)
    assert feed.requests == []
    assert not any(tmp_path.iterdir())


# --- A mistyped setting ----------------------------------------------------------------------------


def warnings(text):
    """What *text* warns of: [(the name that is set, the one that was meant)]."""
    return re.findall(r"the setting (\w+) does not exist.*: use (\w+)", text)


def test_a_mistyped_setting_is_warned_of_once_from_environment_and_command_line(
    crawl, feed, valkey
):
    feed.set(clock="2025-12-05T12:00:00+00:00")
    secret = "hunter2"
    run = crawl(
        **NOON,
        settings={"MISO_STALE_AFTR": 3, "RETRY_TIMS": "1", "DOWNLOAD_DELAY": "0"},
        env={
            "KAFKA_TOPC": secret,
            "MISO_STALE_AFTR": "3",
            "REDIS_URL": valkey.url,
            # Those of other programs.
            "KAFKA_HEAP_OPTS": "-Xmx1G",
            "KAFKA_HOME": "/opt/kafka",
            "KAFKA_BROKER_ID": "1",
            "REDIS_PASSWORD_FILE": "/run/secrets/redis",
            "REDIS_TLS_URL": "rediss://localhost",
            "REDIS_PORT_6379_TCP_ADDR": "10.0.0.1",
            "S3_ENDPOINT": "http://localhost",
            "AWS_PROFIL": "x",
            "LOG_DIR": "/var/log",
            "MISO_HOME": "/opt/miso",
        },
    )
    assert run.status == 0, run.log
    lines = run.lines("WARNING")
    assert sorted(warnings("\n".join(lines))) == [
        ("KAFKA_TOPC", "KAFKA_TOPIC"),
        ("MISO_STALE_AFTR", "MISO_STALE_AFTER"),
        ("RETRY_TIMS", "RETRY_TIMES"),
    ]
    assert len(lines) == 3
    assert secret not in run.log


@pytest.mark.parametrize(
    "command", [name for name in COMMANDS if name not in ("crawl", "simulate")]
)
def test_every_command_warns_of_a_mistyped_setting_once(
    scrapy, crawl, feed, valkey, archive, command
):
    env = {"REDIS_URL": valkey.url}
    if command in ("audit", "export", "report"):
        feed.set(clock="2025-12-05T12:00:00+00:00")
        crawl(**NOON, env=env)
    done = scrapy(command, *COMMANDS[command], env={**env, "S3_BUCKT": "miso"})
    said = done.stdout + done.stderr
    assert warnings(said) == [("S3_BUCKT", "S3_BUCKET")], said
    assert "Traceback" not in said
    assert warnings(scrapy(command, *COMMANDS[command], env=env).stderr) == []


def test_an_empty_data_directory_is_the_default_for_files_cache_and_registry(crawl, feed, tmp_path):
    feed.set(clock="2025-12-05T12:00:00+00:00")
    run = crawl(**NOON, interval=60, env={"MISO_DATA_DIR": ""})
    assert run.outcomes == {"stored": 1}
    assert {path.name for path in tmp_path.iterdir()} == {"data"}
    assert len(Directory(tmp_path / "data").files()) > 0
