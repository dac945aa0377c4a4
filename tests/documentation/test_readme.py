"""What the README shows is run, and what it names is there."""

import ast
import contextlib
import gzip
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.project import PROJECT
from tests.support.servers import free_port

README = (PROJECT / "README.md").read_text()
NOON = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:10"}
DAY = "sourcing/miso_realtime_total_load/2025/12/05/"


def fences(language):
    """The fenced blocks of *language*, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def section(title):
    """The text below the heading *title*."""
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)[1]


# --- Reading the archive --------------------------------------------------------------------------


@pytest.fixture
def read(tmp_path, environment):
    """Run the snippet that imports *library*, where the archive is; return what it prints."""

    def run(library, env=None):
        (snippet,) = [code for code in fences("python") if re.search(rf"import .*{library}", code)]
        done = subprocess.run(
            [sys.executable, "-c", snippet],
            cwd=tmp_path,
            env={**environment, **(env or {})},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_every_snippet_is_run():
    imported = [re.search(r"import .*\b(\w+)$", code, re.MULTILINE)[1] for code in fences("python")]
    assert imported == ["boto3", "duckdb", "pandas", "polars"]


def test_a_document_from_s3(read, crawl, feed, bucket):
    feed.set(clock="2025-12-05T12:35:00+00:00")
    assert crawl(**{**NOON, "end": NOON["start"]}, env=bucket.settings).status == 0
    (key,) = bucket.keys()
    data = bucket.document(key)["data"]
    assert read("boto3", bucket.settings).split(maxsplit=1) == [
        data["RefId"], f"{data['FiveMinTotalLoad'][-1]}\n",
    ]  # fmt: skip


def test_the_load_of_a_day(read, crawl, feed, archive):
    # Three snapshots, over the end of a market day; the last of them corrects the load of 00:00.
    feed.set(clock="2025-12-05T04:55:00+00:00", advance=5)
    assert crawl(start="2025-12-05T04:55", end="2025-12-05T05:05").outcomes == {"stored": 3}
    *_, newest = archive.files()
    document = archive.document(newest)
    document["data"]["FiveMinTotalLoad"][0]["Value"] = 12345
    (archive.root / newest).write_bytes(gzip.compress(json.dumps(document).encode()))

    rows = read("duckdb").splitlines()
    before = archive.document(archive.files()[0])["data"]["FiveMinTotalLoad"]
    after = document["data"]["FiveMinTotalLoad"]
    expected = [(4, row) for row in before] + [(5, row) for row in after]
    assert rows == [
        f"(datetime.date(2025, 12, {day}), '{row['Time']}', {float(row['Value'])})"
        for day, row in expected
    ]
    assert all(first < second for first, second in pairwise(rows[: len(before)]))

    described = dict(line.split() for line in read("pandas").splitlines()[:-1])
    assert float(described["count"]) == len(after)
    assert float(described["max"]) == max(row["Value"] for row in after)


def test_the_tables_of_an_export(read, scrapy, tmp_path):
    assert (
        scrapy(
            "simulate", "--write", "data", "--start", "2025-12-05", "--end", "2025-12-07"
        ).returncode
        == 0
    )
    assert scrapy("export", "-o", "tables").returncode == 0
    rows = re.findall(r"│ (2025-12-\d\d) ┆ (\d+\.\d)", read("polars"))
    assert [day for day, _ in rows] == ["2025-12-05", "2025-12-06"]
    assert all(60_000 <= float(mw) <= 125_000 for _, mw in rows)


# --- Retention ------------------------------------------------------------------------------------


def test_the_lifecycle_rule_is_taken_by_s3_and_lets_the_archive_be(bucket, crawl, feed):
    (rule,) = [text for text in fences("json") if "Rules" in text]
    rule = json.loads(rule)
    bucket.client.put_bucket_lifecycle_configuration(
        Bucket=bucket.name, LifecycleConfiguration=rule
    )
    kept = bucket.client.get_bucket_lifecycle_configuration(Bucket=bucket.name)["Rules"]
    assert kept == rule["Rules"]
    # What expires is what the run leaves there and nothing else.
    feed.set(clock="2025-12-05T12:35:00+00:00", advance=5, faults=["body=[]*1"])
    assert crawl(**NOON, env=bucket.settings).outcomes == {"stored": 2, "invalid": 1}
    expiring = {
        entry["Filter"]["Prefix"]: entry["Expiration"]["Days"]
        for entry in kept
        if "Expiration" in entry
    }
    keys = bucket.keys()
    assert len(keys) == 3
    (expires,) = [key for key in keys if key.startswith(tuple(expiring))]
    assert "/quarantine/" in expires
    # The table says the same.
    for prefix, days in expiring.items():
        name = prefix.removeprefix("sourcing/miso_realtime_total_load/")
        assert re.search(rf"^\| `{re.escape(name)}` \| {days} days? \|", section("Retention"), re.M)


# --- Commands -------------------------------------------------------------------------------------

CONSOLE = fences("console")


@pytest.fixture
def terminal(tmp_path, environment):
    """Where a reader is who did what the quick start says: the project's commands, a clean place."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {"cwd": tmp_path, "env": {**environment, "PATH": path}, "stdin": subprocess.DEVNULL}


def commands(block):
    """Return (command, comment) for each line that a reader types."""
    return re.findall(r"^\$ (.*?)(?: +# (.*))?$", block, re.MULTILINE)


def until_ctrl_c(command, terminal):
    """Run *command*, on a free port, up to its first line of output; press Ctrl-C; return its status."""
    command = re.sub(r"--port \d+", f"--port {free_port()}", command)
    # A shell's background job, such as the suite's own, ignores SIGINT, and so would its children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            shlex.split(command),
            **terminal,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        try:
            assert process.stdout.readline()
            os.killpg(process.pid, signal.SIGINT)
            return process.wait(30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    "block", CONSOLE, ids=lambda block: block.strip("$ \n").partition("\n")[0][:40]
)
def test_commands_work_as_they_are_shown(block, terminal):
    for command, comment in commands(block):
        program = command.split()[0]
        if program == "make":
            assert command in (PROJECT / ".ci" / "run").read_text().splitlines()
        elif program in ("scrapy", "."):
            expected = int((re.search(r"exit status (\d)", comment) or [0, 0])[1])
            if "until Ctrl-C" in comment:
                assert until_ctrl_c(command, terminal) == expected
                continue
            done = subprocess.run(
                ["bash", "-c", command], **terminal, capture_output=True, text=True, timeout=120
            )
            assert done.returncode == expected, done.stdout + done.stderr
            assert "Traceback" not in done.stderr
        else:  # another test runs it, and names it
            tests = [path for path in PROJECT.glob("tests/**/*.py") if path != Path(__file__)]
            assert any(program in path.read_text() for path in tests), command


# --- Names ----------------------------------------------------------------------------------------


def test_the_table_of_settings_has_each_that_has_an_environment_variable():
    table = section("Options").partition("| setting |")[2].partition("\n\n")[0]
    names = {
        name
        for row in table.splitlines()
        for name in re.findall(r"`([A-Z_0-9]+)`", row.partition(" | ")[0])
    }
    text = (PROJECT / "miso_scrapy" / "settings.py").read_text()
    read = set(re.findall(r"environ\.get\(\s*\"(\w+)\"", text))
    boto3s = {name for name in names - read if name.startswith("AWS_")}
    assert names - boto3s == read


def test_the_tables_of_monitoring_have_each_monitor_and_each_metric():
    rows = re.findall(r"^\| `([\w ]+)[`{]", section("Monitoring"), re.MULTILINE)
    monitors = (PROJECT / "miso_scrapy" / "monitors.py").read_text()
    metrics = (PROJECT / "miso_scrapy" / "extensions" / "metrics.py").read_text()
    named = re.findall(r"    @monitors\.name\(\"(.*)\"\)", monitors)
    assert sorted(rows) == sorted({*named, *re.findall(r"\"(miso_\w+)\"", metrics)})
    assert len(rows) == 5 + 8


@pytest.mark.parametrize(
    "name",
    sorted(
        set(re.findall(r"`((?:miso_scrapy|tests|\.ci)/[\w./*-]+)`", README))
        | set(re.findall(r"`([\w.-]+\.(?:toml|cfg|yml|txt|md))`", README))
    ),
)
def test_a_file_that_is_named_exists(name):
    assert (PROJECT / name).exists()


def test_the_versions_are_those_of_the_package():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    known = {project["requires-python"], *project["dependencies"]}
    named = set(re.findall(r"`([^`\s]*[<=>]=[^`\s]*)`", section("Versions")))
    assert project["requires-python"] in named
    assert named <= known


# --- Messages -------------------------------------------------------------------------------------

HOLE = "\0"


def text_of(node):
    """The text of a string in the source, with a hole for each value; None for anything else."""
    match node:
        case ast.Constant(value=str(text)):
            return re.sub(r"%(\(\w+\))?[sdr]", HOLE, text)
        case ast.JoinedStr(values=values):
            return "".join(text_of(value) or HOLE for value in values)
    return None


def told(tree):
    """Yield the text of each WARNING and ERROR that *tree* logs, or raises to be logged."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="warning" | "error" | "exception" | "write" | "_explained"),
                args=[text, *_],
            ):
                yield text_of(text)
            case ast.Call(func=ast.Name(id=name), args=[text, *_]) if re.search(
                "Unavail|InUse|Denied", name
            ):
                yield text_of(text)
            case ast.Call(func=ast.Name(id="Dropped"), args=[_, text], keywords=keywords):
                if not any(text_of(word.value) in ("DEBUG", "INFO") for word in keywords):
                    yield text_of(text)
            case ast.Tuple(elts=[text, _, ast.Constant(value="ERROR" | "WARNING")]):
                yield text_of(text)


def is_frame(text):
    """Whether *text* tells nothing by itself of what happened: it passes on another's message."""
    return not re.search(r"[a-zA-Z]{3}", re.sub(r"\bfrom\b", "", text.partition(";")[0]))


SOURCES = [ast.parse(path.read_text()) for path in sorted(PROJECT.glob("miso_scrapy/**/*.py"))]
TOLD = sorted({text for tree in SOURCES for text in told(tree) if text})
DOCSTRINGS = {
    id(node.value)
    for tree in SOURCES
    for node in ast.walk(tree)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
}
TEXTS = [
    text
    for tree in SOURCES
    for node in ast.walk(tree)
    if id(node) not in DOCSTRINGS and (text := text_of(node))
]
MESSAGES = [
    message
    for row in section("Troubleshooting").splitlines()
    for message in re.findall(r"`([^`]+)`", re.split(r"(?<=.) \| ", row)[0])
    if row.startswith("| `")
]


def parts(message):
    """The literal parts of a *message* of the README, in which dots stand for what varies."""
    return [part.strip() for part in message.split("...") if part.strip()]


@pytest.mark.parametrize("text", [text for text in TOLD if not is_frame(text)])
def test_what_the_program_tells_is_in_the_troubleshooting_table(text):
    shown = [".*".join(re.escape(part) for part in parts(message)) for message in MESSAGES]
    assert any(re.search(pattern, text, re.DOTALL) for pattern in shown)


@pytest.mark.parametrize("message", MESSAGES)
def test_what_the_troubleshooting_table_quotes_is_in_the_program(message):
    assert sum(map(len, parts(message))) >= 4
    for part in parts(message):
        assert any(part in text for text in TEXTS), part
