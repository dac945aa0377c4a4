"""The alerts of the documentation, given to promtool with what METRICS_FILE holds over time."""

import re
import shutil
import subprocess

import pytest

from tests.support.documentation import fences, page

pytestmark = pytest.mark.skipif(
    not shutil.which("promtool"), reason="needs Debian's package prometheus (as root)"
)
SERIES = 'miso_last_success_timestamp_seconds{spider="miso_rtload",environment="prod",instance="a"}'
OWED = 'miso_outbox_messages{spider="miso_rtload",environment="prod",instance="a"}'

# What is the case: {series: its values, a minute apart}, and the alerts after an hour.
# The time starts at 0. `0+60x20` is 0, 60... 20 times; `1200+0x60` is 1200, 60 times.
CASES = {
    "a run every five minutes": ({SERIES: "60+0x4 360+0x4 660+0x4 960+0x4 " + " ".join(
        f"{60 + 300 * n}+0x4" for n in range(4, 13))}, []),
    "a followed range, told of each minute": ({SERIES: "0+60x60"}, []),
    "one run was missed": ({SERIES: "3000+0x60"}, []),
    "a stale feed, or nothing but failures": ({SERIES: "1200+0x60"}, ["MisoNotCollected"]),
    "a followed range that hangs": ({SERIES: "0+60x20 1200+0x40"}, ["MisoNotCollected"]),
    "no run has ever been a success": ({SERIES: "0+0x60"}, ["MisoNotCollected"]),
    "the same, beside a machine where all is well": (
        {SERIES: "0+0x60", SERIES.replace('"a"', '"b"'): "0+60x60"}, ["MisoNotCollected"]),
    "no run has ever told anything": ({}, ["MisoNoMetrics"]),
    "a requeue alone has told something": (
        {OWED.replace("miso_rtload", "miso_requeue"): "0+0x60"}, ["MisoNoMetrics"]),
    "messages are owed": ({SERIES: "0+60x60", OWED: "0+0x30 2+0x30"}, ["MisoMessagesOwed"]),
    "messages were owed": ({SERIES: "0+60x60", OWED: "2+0x30 0+0x30"}, []),
}  # fmt: skip


@pytest.fixture(scope="module")
def rules(tmp_path_factory):
    (text,) = [text for text in fences(page("operating/monitoring"), "yaml") if "alert:" in text]
    path = tmp_path_factory.mktemp("alerts") / "miso.rules.yml"
    path.write_text(text)
    return path


def _promtool(*args):
    done = subprocess.run(["promtool", *args], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_accepts_the_rules(rules):
    _promtool("check", "rules", rules)


def test_each_alert_fires_in_its_cases_and_in_no_other(rules):
    alerts = re.findall(r"alert: (\w+)", rules.read_text())
    assert set(alerts) == {alert for _, fired in CASES.values() for alert in fired}
    tests = []
    for case, (series, fired) in CASES.items():
        tests.append(f"  - name: {case}\n    interval: 1m\n    input_series:")
        tests += [f"      - series: '{name}'\n        values: '{v}'" for name, v in series.items()]
        if not series:
            tests[-1] += " []"
        tests.append("    promql_expr_test:")
        for alert in alerts:
            found = f"[{{labels: 'ALERTS{{alertname=\"{alert}\"}}', value: 1}}]"
            tests.append(
                f"      - expr: 'count by (alertname, __name__) "
                f'(ALERTS{{alertname="{alert}",alertstate="firing"}})\'\n'
                f"        eval_time: 60m\n"
                f"        exp_samples: {found if alert in fired else '[]'}"
            )
    path = rules.with_name("test.yml")
    path.write_text(f"rule_files: [{rules.name}]\ntests:\n" + "\n".join(tests) + "\n")
    _promtool("test", "rules", path)
