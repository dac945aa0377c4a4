"""The reference is complete: what the code has is there, and what is there is in the code."""

import ast
import json
import re
import tomllib

import pytest

from tests.support.documentation import PROJECT, page, pages, section
from tests.support.servers import free_port

SOURCES = {
    path: ast.parse(path.read_text()) for path in sorted(PROJECT.glob("miso_scrapy/**/*.py"))
}


def first_cells(text):
    """Return the names that are in the first cells of the tables of *text*, between backticks."""
    rows = [re.split(r"(?<=.) \| ", row)[0] for row in text.splitlines() if row.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


# --- Settings, monitors, metrics, commands ------------------------------------------------------


def test_the_monitors_are_those_of_the_code():
    named = {
        found
        for path in SOURCES
        for found in re.findall(r"    @monitors\.name\(\"(.*)\"\)", path.read_text())
    }
    assert sorted(first_cells(section(page("operating/monitoring"), "Monitors"))[:5]) == sorted(
        named
    )
    assert len(named) == 5


def test_the_actions_are_those_of_the_code():
    named = {
        found
        for path in SOURCES
        for found in re.findall(r"^    \"(SPIDERMON_\w+)\": \"", path.read_text(), re.MULTILINE)
    }
    shown = set(re.findall(r"SPIDERMON_\w+", section(page("operating/monitoring"), "Monitors")))
    assert len(named) == 6
    assert named <= shown


def test_the_metrics_are_those_of_the_code():
    (names,) = [
        set(re.findall(r"\"(miso_\w+)\"", text))
        for text in (path.read_text() for path in SOURCES)
        if "miso_run_duration_seconds" in text
    ]
    rows = [
        re.match(r"\w+", name)[0]
        for name in first_cells(section(page("operating/monitoring"), "Metrics"))
    ]
    assert sorted(rows) == sorted(names)
    assert len(names) == 12


def test_every_command_has_a_section_with_its_help_and_its_exit_statuses():
    commands = {
        path.stem
        for path in SOURCES
        if path.parent.name == "commands" and "class Command(" in path.read_text()
    }
    text = page("reference/commands")
    assert set(re.findall(r"^## scrapy (\w+)$", text, re.MULTILINE)) == commands
    assert set(re.findall(r"^```\{generated\} help (\w+)$", text, re.MULTILINE)) == commands
    listed = [
        name for name in first_cells(page("reference/exit-statuses")) if name.startswith("scrapy ")
    ]
    assert {name.removeprefix("scrapy ") for name in listed} == commands


def test_the_statistics_are_those_of_the_code():
    named = {
        node.value
        for tree in SOURCES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and re.fullmatch(r"miso/\w+", str(node.value))
    }
    outcomes = {"stored", "duplicate", "skipped", "uncovered", "invalid", "failed"}
    listed = first_cells(page("reference/statistics"))
    assert sorted(listed) == sorted(named | {f"miso/{outcome}" for outcome in outcomes})


def test_the_statistics_that_decide_the_exit_status_are_named():
    ((tree, function),) = [
        (tree, node)
        for tree in SOURCES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "exit_status"
    ]
    constants = {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    }
    used = [node for node in ast.walk(function) if isinstance(node, ast.Name | ast.Constant)]
    values = {constants.get(node.id) if isinstance(node, ast.Name) else node.value for node in used}
    decide = {value for value in values if str(value).startswith("miso/")} - {"miso/candidates"}
    assert len(decide) == 4
    for name in ("reference/statistics", "reference/exit-statuses"):
        (text,) = [text for text in page(name).split("\n\n") if "`miso/owed`, " in text]
        assert set(re.findall(r"miso/\w+", text)) == decide


def test_the_arguments_of_the_spider_are_those_of_the_code():
    (path,) = [path for path in SOURCES if path.name == "miso_rtload.py"]
    (init,) = [
        node
        for node in ast.walk(SOURCES[path])
        if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    ]
    arguments = {argument.arg for argument in init.args.args} - {"self"}
    listed = first_cells(section(page("collecting/index"), "Ranges"))
    assert {name.partition("=")[0] for name in listed} == arguments


def test_the_columns_of_the_tables_are_those_of_the_code():
    pytest.importorskip("pyarrow")
    from miso_scrapy.dataset.tables import SCHEMAS

    shown, table = {}, ""
    for row in section(page("data/tables"), "Parquet").splitlines():
        if row.startswith(("| `", "| | `")):
            first, columns = (
                row.split(" | ")[:2] if row.startswith("| `") else ("", row[4:].split(" | ")[0])
            )
            table = first.strip("| `") or table
            shown.setdefault(table, []).extend(re.findall(r"`(\w+)`", columns))
    assert shown == {name: schema.names for name, schema in SCHEMAS.items()}


def test_the_fields_of_the_audit_are_those_of_its_json(scrapy):
    days = ("--start", "2025-12-05", "--end", "2025-12-06")
    assert scrapy("simulate", "--write", "data", *days).returncode == 0
    told = json.loads(scrapy("audit", "--json").stdout)
    rows = section(page("data/tables"), "Audit").splitlines()
    listed = {
        name
        for row in rows
        if row.startswith("| ")
        for name in re.findall(r"`(\w+)`", row.split(" | ")[1])
    }
    assert listed == set(told["days"][0]) - {"day"}
    assert {"simulated", "days", "total"} == set(told)


# --- Versions -----------------------------------------------------------------------------------


def test_a_version_that_is_named_is_that_of_the_package():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    known = {project["requires-python"], *project["dependencies"]}
    named = {
        spec for text in pages().values() for spec in re.findall(r"`([^`\s]*[<>]=[^`\s]*)`", text)
    }
    assert named <= known
    assert "{generated} versions" in page("reference/versions")


# --- Names in Redis -----------------------------------------------------------------------------


def test_the_names_in_redis_are_those_that_runs_leave(crawl, feed, valkey):
    rows = {}
    for row in page("reference/redis").splitlines():
        if row.startswith("| `"):
            name, kind, _, expires = (cell.strip("| ") for cell in row.split(" | "))
            rows[name.strip("`")] = (kind, expires)

    def row_of(name):
        name = re.sub(
            r"^realtime_total_load_\d{8}_\d{6}\.json$",
            "realtime_total_load_20251205_120000.json",
            name,
        )
        name = re.sub(r"^(md5|home):[0-9a-f]{32}$", r"\1:{fingerprint}", name)
        return re.sub(r"^(turn|answer|not-before):[0-9a-f]{32}$", r"\1:{link}", name)

    env = {
        "REDIS_URL": valkey.url,
        "KAFKA_BROKERS": f"127.0.0.1:{free_port()}",
        "KAFKA_TOPIC": "nowhere",
        "KAFKA_TIMEOUT": "1",
        "MISO_REQUIRE_COVERAGE": "1",
    }
    noon = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:00"}
    feed.set(clock="2025-12-05T12:00:00+00:00", faults=["body=[]*1"])
    crawl(**noon, env=env)
    feed.set(clock="2025-12-05T12:00:00+00:00")
    crawl(**noon, env=env, interval=30)  # long enough to be seen; nobody waits for it
    feed.set(clock="2025-12-05T12:00:00+00:00", faults=["status=403"])
    crawl(start="2025-12-05T12:05", end="2025-12-05T12:05", env={**env, "ENVIRONMENT": "prod"})
    found = {}
    for name in valkey.client.scan_iter():
        environment, dataset, rest = name.split(":", 2)
        assert environment in ("dev", "prod")
        assert dataset == "miso_realtime_total_load"
        found[row_of(rest)] = (valkey.client.type(name), valkey.client.pttl(name))
    assert set(found) <= set(rows)
    # While a candidate is open, and while a run is alive.
    assert set(rows) - set(found) == {"home:{fingerprint}", "claims", "runs", "run:{worker}"}
    for name, (kind, expires_in) in found.items():
        documented, expires = rows[name]
        assert kind == documented, name
        assert (expires_in > 0) == (kind == "string" and expires != "never"), name
    registry = "\n".join(path.read_text() for path in SOURCES if path.parent.name == "registry")
    assert all(
        re.search(rf"\b{name.partition(':')[0]}\b", registry) for name in rows if "2025" not in name
    )
