"""deploy/prometheus: promtool accepts the rules, and their own tests say what fires when."""

import re
import shutil
import subprocess

import pytest
import yaml

from tests.support.documentation import PROJECT, anchors, page, section

DIRECTORY = PROJECT / "deploy" / "prometheus"
RULES = yaml.safe_load((DIRECTORY / "miso.rules.yml").read_text())["groups"][0]["rules"]
ALERTS = [rule for rule in RULES if "alert" in rule]
TESTS = yaml.safe_load((DIRECTORY / "miso.rules.test.yml").read_text())["tests"]

needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="needs Debian's package prometheus (as root)"
)


def promtool(*args, cwd=DIRECTORY):
    return subprocess.run(["promtool", *args], cwd=cwd, capture_output=True, text=True, timeout=60)


@needs_promtool
def test_prometheus_accepts_the_rules():
    done = promtool("check", "rules", "miso.rules.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(RULES)} rules found" in done.stdout


@needs_promtool
def test_each_alert_fires_in_its_test_and_none_on_a_good_day():
    done = promtool("test", "rules", "miso.rules.test.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    fired = {
        case["alertname"]
        for test in TESTS
        for case in test.get("alert_rule_test", ())
        if case["exp_alerts"]
    }
    assert fired == {rule["alert"] for rule in ALERTS}
    used = {name for rule in RULES for name in re.findall(r"\bmiso_\w+", rule["expr"])}
    for good in TESTS[:2]:
        assert good["name"].startswith("a good day")
        (firing,) = good["promql_expr_test"]
        assert firing["exp_samples"] == []
        names = {series["series"].partition("{")[0] for series in good["input_series"]}
        assert names == used - {"miso_rtload"}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_names_its_entry_in_the_runbook(rule):
    path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert path == "docs/operating/runbook.md"
    text = page("operating/runbook")
    assert anchor in anchors(text)
    heading = next(
        line[3:]
        for line in text.splitlines()
        if line.startswith("## ") and {anchor} == anchors(line)
    )
    assert f"`{rule['alert']}`" in section(text, heading)


def test_the_metrics_of_the_rules_are_written():
    written = set(
        re.findall(r"\"(miso_\w+)\"", (PROJECT / "miso_scrapy/extensions/metrics.py").read_text())
    )
    used = {name for rule in RULES for name in re.findall(r"\bmiso_\w+", rule["expr"])}
    assert used - {"miso_rtload"} <= written


def test_the_documentation_names_every_alert():
    rows = section(page("operating/monitoring"), "Alerts")
    assert set(re.findall(r"^\| `(\w+)`", rows, re.MULTILINE)) == {rule["alert"] for rule in ALERTS}
