"""What the README and the pages show is run, in the order of the page, and its output is compared."""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support import warm_start
from tests.support.documentation import DOCS, PROJECT, anchors, blocks, pages
from tests.support.servers import free_port

PAGES = pages()
# What another test runs: {how the command or the snippet begins: the test}.
ELSEWHERE = {
    "scrapyd-deploy": "test_a_deploy_leaves_the_clone_clean",
    "curl http://localhost:6800/schedule.json": "test_the_job_of_the_page_files_its_range",
    "shub deploy": "test_a_deploy_finds_the_spiders",
    "python3 -m venv /opt/miso-scrapy": "test_it_collects_and_reads_the_archive_from_any_directory",
    "/opt/miso-scrapy/bin/pip": "test_it_collects_and_reads_the_archive_from_any_directory",
    "docker build": "test_the_image_says_how_to_run_it",
    "docker run -d": "test_it_follows_is_healthy_and_stops_cleanly",
    "docker run --rm": "test_another_command_runs_and_stops_too",
    "docker exec": "test_it_follows_is_healthy_and_stops_cleanly",
    "securityContext:": "test_only_the_data_and_tmp_can_be_written",
    "import gzip, json, os, boto3": "test_a_document_from_s3",
    'import miso_scrapy\n\narchive = miso_scrapy.open_archive("s3': (
        "test_the_example_of_the_documentation_runs_on_a_bucket_with_and_without_tables"
    ),
    "scrapy crawl miso_rtload -a follow=1": (
        "test_without_an_end_a_run_follows_until_it_is_told_to_stop"
    ),
    "curl -s http://example.org/intermediate.crt": "test_a_certificate_in_der_becomes_pem",
    "1-59/5 * * * *": "test_two_runs_of_the_cron_line_share_a_redis",
    "install -m 644 deploy/systemd": "test_systemd_accepts_what_the_page_installs",
    "systemctl enable": "test_what_is_enabled_is_there_and_excludes_the_other",
    "systemd-run": "test_a_command_of_one_s_own_runs_as_the_services_do",
    "promtool test rules": "test_each_alert_fires_in_its_test_and_none_on_a_good_day",
    '{\n  "data"': "test_a_run_leaves_and_logs_the_fields_that_are_shown",
    '{"id"': "test_a_run_leaves_and_logs_the_fields_that_are_shown",
    '{"time"': "test_a_run_leaves_and_logs_the_fields_that_are_shown",
}
# Blocks that nobody types: output, drawings, and what Sphinx is told.
NOT_RUN = {"text", "{generated}", "{toctree}", "{figure}", "{important}", "{literalinclude}"}


def elsewhere(text):
    """Return the name of the test that runs *text*, if another one does."""
    return next((test for start, test in ELSEWHERE.items() if text.startswith(start)), None)


def commands(block):
    """Return (command, comment, output) for each line that a reader types in the *block*."""
    found = re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
    return [
        (*re.fullmatch(r"(.*?)(?: +# (.*))?", text, re.DOTALL).groups(), out) for text, out in found
    ]


def shows(expected, output, *, log=False):
    """Assert that the lines *expected* are in *output*, in order; dots stand for what varies.

    In a log, and in the age of something, numbers vary, too.
    """
    start = 0
    for line in expected.rstrip("\n").splitlines():
        pattern = re.escape(line).replace(re.escape("..."), ".*")
        pattern = re.sub(r"[\d,]+" if log else r"\d+(?=\\ days\\ (?:ago|old))", r"[\\d,]+", pattern)
        pattern = re.sub(r"(\\ )+", " +", pattern)  # a column is as wide as its widest cell
        found = re.compile(f"^{pattern}$", re.MULTILINE).search(output, start)
        assert found, f"{line}\n--- is not in\n{output}"
        start = found.end()


def is_installed(command):
    """Assert that all that a `pip install` command asks for is installed here, in that version."""
    words = shlex.split(command.partition("pip install ")[2])
    for word, before in zip(words, ["", *words], strict=False):
        if before == "-r":
            lines = [
                line.partition("#")[0].strip() for line in (PROJECT / word).read_text().splitlines()
            ]
        else:
            lines = [word] if word != "-r" else []
        for line in filter(None, lines):
            asked = Requirement(line)
            if not asked.marker or asked.marker.evaluate():
                assert asked.specifier.contains(version(asked.name)), line


@pytest.fixture
def terminal(tmp_path, environment):
    """Where a reader is who has installed the project: its commands, a clean place."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {"cwd": tmp_path, "env": {**environment, "PATH": path}}


def until_ctrl_c(command, terminal):
    """Run *command*, on a free port, up to its first line of output; press Ctrl-C; return its status."""
    command = re.sub(r"--port \d+", f"--port {free_port()}", command)
    # A shell's background job, such as the suite's own, ignores SIGINT, and so would its children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            shlex.split(command),
            **terminal,
            stdin=subprocess.DEVNULL,
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


def run(command, comment, shown, terminal):
    """Run a *command* of a page, and compare its exit status and its output with what is *shown*."""
    program = command.split()[0]
    if elsewhere(command) or command == "python3 -m venv .venv":  # which the terminal has
        return
    if program == "export":
        terminal["env"] |= dict(word.split("=", 1) for word in shlex.split(command)[1:])
    elif "pip install" in command:
        is_installed(command)
    elif program == "make":
        script = (PROJECT / ".ci" / "run").read_text()
        assert command in re.findall(r"^make \w+", script, re.MULTILINE)
    elif "until Ctrl-C" in (comment or ""):
        assert until_ctrl_c(command, terminal) == 0
    else:
        expected = int((re.search(r"exit status (\d)", comment or "") or [0, 0])[1])
        done = warm_start.shell(command, **terminal, timeout=120)
        assert done.returncode == expected, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        shows(shown, done.stdout + done.stderr, log="scrapy crawl" in command)


@pytest.mark.parametrize(
    "name",
    [name for name in PAGES if {"console", "python"} & {b.language for b in blocks(PAGES[name])}],
)
def test_a_page_works_as_it_is_shown(name, terminal):
    printed, ran = None, set()
    for block in blocks(PAGES[name]):
        if block.language == "console":
            for command, comment, shown in commands(block.text):
                # The runbook has some commands in many entries, without their output. Once is enough.
                asked = (command, frozenset(terminal["env"].items()))
                if comment or shown or asked not in ran:
                    run(command, comment, shown, terminal)
                    ran.add(asked)
        elif block.language == "python" and not elsewhere(block.text):
            done = subprocess.run(
                [sys.executable, "-c", block.text],
                **terminal,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert done.returncode == 0, done.stderr
            printed = done.stdout
            continue
        elif block.language == "text" and printed is not None and not block.after.strip():
            assert printed == block.text
        printed = None


@pytest.mark.parametrize("name", PAGES)
def test_every_command_and_snippet_of_a_page_is_run(name):
    tests = "\n".join(path.read_text() for path in PROJECT.glob("tests/**/test_*.py"))
    for block in blocks(PAGES[name]):
        if block.language == "console":
            assert commands(block.text)
            texts = [command for command, _, _ in commands(block.text)]
        elif block.language in NOT_RUN:
            continue
        else:
            texts = [block.text]
        for text in texts:
            if test := elsewhere(text):
                assert f"def {test}(" in tests, test
            else:
                assert block.language in ("console", "python"), text


def test_the_readme_fits_on_a_page_and_shows_first_what_one_gets():
    lines = PAGES["README"].splitlines()
    assert len(lines) <= 150
    languages = [block.language for block in blocks("\n".join(lines[:60]))]
    assert languages[:5] == ["console", "console", "console", "python", "text"]
    assert "(docs/report.png)" in PAGES["README"]
    assert "simulated" in "".join(lines[:10])


@pytest.mark.parametrize("name", ["README", "operating/runbook", "index"])
def test_the_one_fact_that_everybody_needs_is_said_first(name):
    text = " ".join(PAGES[name].split())
    assert re.search(
        r"\*\*One snapshot of a market day, taken before midnight EST.*is gone for good\.\*\*", text
    )
    if name == "operating/runbook":
        assert text.index("One snapshot") < 60


@pytest.mark.parametrize(
    "path", [str(path.relative_to(PROJECT)) for path in sorted(PROJECT.glob("deploy/*/*.*"))]
)
def test_a_page_shows_each_file_of_deploy(path):
    if not path.endswith(".test.yml"):
        assert any(f"{{literalinclude}} ../../{path}\n" in text for text in PAGES.values())


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_to_a_page_and_a_heading_that_are_there(name):
    here = PROJECT / f"{name}.md" if name in ("README", "CONTRIBUTING") else DOCS / f"{name}.md"
    for target in re.findall(r"\]\((?!https?://)([^)\s]+)\)", PAGES[name]):
        path, _, anchor = target.partition("#")
        file = here if not path else here.parent / path
        assert file.exists(), target
        if anchor and not anchor.startswith("setting-"):
            text = file.read_text()
            assert anchor in anchors(text) or f"## {anchor.replace('-', ' ')}" in text.lower(), (
                target
            )


@pytest.mark.parametrize(
    ("page", "name"),
    sorted(
        (page, name)
        for page, text in PAGES.items()
        for name in re.findall(
            r"`((?:miso_scrapy|tests|benchmarks|docs|\.ci)/[\w./-]+\.?\w*|[\w.-]+\.(?:toml|cfg|yml|txt|md))`",
            text,
        )
    ),
)
def test_a_file_that_is_named_exists(page, name):
    assert (PROJECT / name).exists()


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"`(test_\w+\.py)`", PAGES["explanation/guarantees"])))
)
def test_a_test_that_a_guarantee_names_exists(name):
    assert list(PROJECT.glob(f"tests/**/{name}"))


def test_the_readme_has_each_guarantee_in_one_line_with_a_link():
    headings = re.findall(r"^## (\d+)\. (.*)$", PAGES["explanation/guarantees"], re.MULTILINE)
    promised = re.findall(
        r"^(\d+)\. \[(.*?)\]\(docs/explanation/guarantees\.md#\1-", PAGES["README"], re.MULTILINE
    )
    assert promised == headings
    assert len(headings) == 12
