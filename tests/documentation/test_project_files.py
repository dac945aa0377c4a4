"""The files that people who fork the project expect: each is valid, and refers to what is there."""

import re
import subprocess

import yaml

from tests.support.documentation import PROJECT, fences, page


def test_the_workflow_calls_what_ci_runs():
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "ci.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert ".ci/run" in [step.get("run") for step in steps]
    assert workflow["permissions"] == {"contents": "read"}


def test_read_the_docs_builds_as_make_docs_does():
    config = yaml.safe_load((PROJECT / ".readthedocs.yaml").read_text())
    assert config["version"] == 2
    assert (PROJECT / config["sphinx"]["configuration"]).exists()
    assert config["sphinx"]["fail_on_warning"] is True
    (command,) = config["build"]["jobs"]["install"]
    (constraints,) = re.findall(r"--constraint (\S+)", command)
    # pip takes no constraints with extras.
    assert "[" not in re.sub(r"#.*", "", (PROJECT / constraints).read_text())


def test_the_hooks_are_the_checks_of_make_lint():
    config = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())
    entries = [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]]
    checks = subprocess.run(
        ["make", "--dry-run", "lint"], cwd=PROJECT, capture_output=True, text=True, timeout=60
    )
    for entry in entries:
        words = [
            word for word in entry.removeprefix(".venv/bin/").split() if not word.startswith("-")
        ]
        assert " ".join(words) in checks.stdout, entry


def test_make_help_has_each_target():
    text = (PROJECT / "Makefile").read_text()
    (targets,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    done = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert set(re.findall(r"^make (\w+) ", done.stdout, re.MULTILINE)) == {*targets.split()} - {
        "help"
    }


def test_ci_builds_the_documentation():
    assert "make docs" in (PROJECT / ".ci" / "run").read_text().splitlines()


def test_contributing_at_the_root_leads_to_the_page():
    assert "(docs/contributing.md)" in page("CONTRIBUTING")
    assert fences(page("CONTRIBUTING"), "console")
