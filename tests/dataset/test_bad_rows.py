"""One bad row costs one row, one bad file one file; each fault is said once; an export never shrinks."""

import gzip
import json
import re
from datetime import date

import pytest

from miso_scrapy.dataset.days import DayRange, days
from miso_scrapy.dataset.read import read
from miso_scrapy.simulator.server import Fault
from miso_scrapy.store.directory import DirectoryStore
from tests.support import export_reader, samples
from tests.support.samples import est

DAY = "2026-05-01"
CLOCKS = [f"{number // 12:02d}:{number % 12 * 5:02d}" for number in range(288)]
EIGHT = CLOCKS.index("08:00")
# Rows that the schema accepts and that say nothing, by what is wrong with them.
BAD_ROWS = {
    "ClearedMW.Hour": ("ClearedMW", {"Hour": "0", "Value": 1}),
    "ClearedMW.Hour, documented": ("ClearedMW", {"Hour": "14:30", "Value": 1}),
    "ClearedMW.Value": ("ClearedMW", {"Hour": "1", "Value": -1e12}),
    "MediumTermLoadForecast.HourEnding": (
        "MediumTermLoadForecast", {"HourEnding": "14:30", "LoadForecast": 1},
    ),
    "MediumTermLoadForecast.LoadForecast": (
        "MediumTermLoadForecast", {"HourEnding": 3, "LoadForecast": 1e12},
    ),
    "FiveMinTotalLoad.Time": ("FiveMinTotalLoad", {"Time": "24:00", "Value": 1}),
    "FiveMinTotalLoad.Time, off the grid": ("FiveMinTotalLoad", {"Time": "00:03", "Value": 1}),
    "FiveMinTotalLoad.Time, documented": ("FiveMinTotalLoad", {"Time": "00:05:30", "Value": 1}),
    "FiveMinTotalLoad.Time, later": ("FiveMinTotalLoad", {"Time": "23:55", "Value": 1}),
    "FiveMinTotalLoad.Value": ("FiveMinTotalLoad", {"Time": "00:00", "Value": 1e12}),
}  # fmt: skip


def snapshot(clock, *, documented=False):
    """The snapshot of *clock*: all its load, two vintages of the forecast, and cleared."""
    late = CLOCKS.index(clock) >= CLOCKS.index("10:00")
    return samples.data(
        est(DAY, clock), samples.until(clock, 1000), {1: 10, 20: 20 + late}, {1: 5, 24: 6},
        documented=documented,
    )  # fmt: skip


def with_rows(data, rows, *, first):
    """*data*, and a row of each array that *rows* names, at its beginning or its end."""
    return data | {
        name: [row, *data[name]] if first else [*data[name], row] for name, row in rows.items()
    }


def file(root, clock, data):
    return samples.put(root, est(DAY, clock), samples.document(data, est(DAY, clock)))


def read_day(root):
    """What the dataset reads of DAY below *root*."""
    (files,) = days(
        DirectoryStore(root), DayRange(date.fromisoformat(DAY), date.fromisoformat("2026-05-02"))
    )
    return read(DirectoryStore(root), files)


def told(market_day):
    return [market_day.load, market_day.load_vintages, market_day.forecast, market_day.cleared]


@pytest.mark.parametrize("documented", [False, True], ids=["live", "documented"])
@pytest.mark.parametrize("first", [False, True], ids=["at its end", "at its beginning"])
@pytest.mark.parametrize("kind", BAD_ROWS)
def test_a_bad_row_that_stays_costs_that_row_alone(tmp_path, kind, first, documented):
    name, row = BAD_ROWS[kind]
    clocks = ["00:00", "00:05", "08:00", "08:05", "10:00", "10:05", "14:00", "23:50"]
    for clock in clocks:
        data = snapshot(clock, documented=documented)
        file(tmp_path / "good", clock, data)
        bad = with_rows(data, {name: row}, first=first) if clock >= "08:00" else data
        file(tmp_path / "bad", clock, bad)
    done = read_day(tmp_path / "bad")
    assert told(done.market_day) == told(read_day(tmp_path / "good").market_day)
    assert len(done.market_day.snapshots) == len(clocks)
    assert done.faults.unreadable == {}
    ((what, rows),) = done.faults.rows.items()
    assert (rows.rows, rows.files) == (6, 6)
    assert what.startswith(kind.partition(",")[0])
    assert rows.example.isprintable()
    assert [file.dropped_rows for file in done.market_day.snapshots] == [0, 0, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("last", ["12:35:30", "13:00:00", "12:35:00"])
def test_a_bad_last_row_does_not_move_the_others_by_five_hours(tmp_path, last):
    """The style of the labels, UTC or EST, must not hang on a row that says nothing."""
    at = est(DAY, "07:35")  # 12:35 in UTC
    good = samples.data(at)
    rows = [{"Time": f"{clock}:00", "Value": 1} for clock in CLOCKS[60:152]]  # 05:00 to 12:35
    utc = good | {"FiveMinTotalLoad": [*rows[:-1], {"Time": last, "Value": 1e12}]}
    file(tmp_path, "07:35", utc)
    load = read_day(tmp_path).market_day.load
    assert [value.interval_start for value in load] == samples.grid(DAY)[:91]
    # In EST, with a row that is five hours too late.
    rows = [{"Time": f"{clock}:00", "Value": 1} for clock in CLOCKS[:91]]
    file(tmp_path, "07:35", good | {"FiveMinTotalLoad": [*rows, {"Time": last, "Value": 1}]})
    load = read_day(tmp_path).market_day.load
    assert [value.interval_start for value in load] == samples.grid(DAY)[:91]


def test_a_row_that_is_later_does_not_move_a_snapshot_of_few_rows(tmp_path):
    data = samples.data(est(DAY, "07:35"), {"06:00": 1, "08:00": 2}, documented=True)
    file(tmp_path, "07:35", data)
    (value,) = read_day(tmp_path).market_day.load
    assert (value.interval_start, value.load_mw) == (est(DAY, "06:00"), 1)


def test_a_load_that_is_later_than_its_snapshot_is_left_out_beside_one_that_is_not(tmp_path):
    data = samples.data(est(DAY, "12:00"), {"11:55": 1, "12:00": 2, "12:05": 3, "23:55": 4})
    file(tmp_path, "12:00", data)
    done = read_day(tmp_path)
    assert [value.load_mw for value in done.market_day.load] == [1, 2]
    ((what, rows),) = done.faults.rows.items()
    assert what == "FiveMinTotalLoad.Time is later than the snapshot's own interval"
    assert rows.rows == 2


@pytest.fixture
def bad_from_eight(tmp_path):
    """A whole day below tmp_path/data with bad rows from 08:00 on; and the same without, in good."""
    rows = dict(BAD_ROWS[kind] for kind in ("ClearedMW.Hour", "FiveMinTotalLoad.Time"))
    paths = []
    for clock in CLOCKS:
        data = snapshot(clock)
        file(tmp_path / "good", clock, data)
        bad = with_rows(data, rows, first=False) if clock >= "08:00" else data
        paths.append(file(tmp_path / "data", clock, bad))
    return paths


def test_export_audit_and_report_use_all_else_and_say_each_fault_once(
    tmp_path, scrapy, bad_from_eight
):
    args = ("--start", DAY, "--end", "2026-05-02")
    exported = scrapy("export", "-o", "tables", *args)
    assert scrapy("export", "-o", "good", *args, env={"MISO_DATA_DIR": "good"}).returncode == 0
    assert exported.stdout.startswith("1 day exported from 288 snapshots")
    found, good = (export_reader.tables(tmp_path / name) for name in ("tables", "good"))
    (files,) = [found.pop(path) for path in list(found) if path.startswith("snapshots/")]
    assert all(table == good[path] for path, table in found.items())
    assert files["dropped_rows"].to_pylist() == [0] * 96 + [2] * 192
    assert files["dropped_why"][-1].as_py() == (
        "FiveMinTotalLoad.Time is not a 5-minute interval of the day, such as {'Time': '24:00', "
        "'Value': 1}; ClearedMW.Hour is not an hour of the day, such as {'Hour': '0', 'Value': 1}"
    )
    first, last = bad_from_eight[EIGHT], bad_from_eight[-1]
    lines = [
        f"left out: 192 rows in 192 files, from {first} to {last}: "
        "ClearedMW.Hour is not an hour of the day, such as {'Hour': '0', 'Value': 1}",
        f"left out: 192 rows in 192 files, from {first} to {last}: FiveMinTotalLoad.Time is not a "
        "5-minute interval of the day, such as {'Time': '24:00', 'Value': 1}",
    ]
    audited = scrapy("audit", "--json", *args)
    reported = scrapy("report", "-o", "report.html", *args)
    # Nothing is missing: these rows were never to be used, and every run would tell of them.
    for done in (exported, audited, reported):
        assert (done.returncode, sorted(done.stderr.splitlines())) == (0, lines)
    (day,) = json.loads(audited.stdout)["days"]
    assert (day["snapshots"], day["values"], day["healed"]) == (288, 288, 0)
    assert (day["dropped_rows"], day["unreadable_files"]) == (384, 0)
    assert day["longest_silence_minutes"] == 0


def test_audit_counts_files_and_says_what_is_wrong_with_them_once(tmp_path, scrapy, bad_from_eight):
    broken = bad_from_eight[100:300:2]
    for path in broken:
        path.write_bytes(path.read_bytes()[:-30])
    bad_from_eight[50].write_bytes(b"no gzip")
    # A snapshot of another day: it covers nothing that its name tells.
    other = samples.data(est("2026-04-28", "12:00"), {"12:00": 7})
    file(tmp_path / "data", "02:05", other)
    # What is near midnight may be of either day: it is told of once.
    bad_from_eight[0].write_bytes(b"no gzip")
    late = samples.put(tmp_path / "data", est("2026-04-30", "12:00"), samples.document(
        samples.data(est("2026-04-30", "12:00"), {"12:00": 1}), est("2026-04-30", "12:00")
    ))  # fmt: skip
    assert late.exists()
    done = scrapy("audit", "--json")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0].startswith(
        f"cannot be read: 2 files, from {bad_from_eight[0]} to {bad_from_eight[50]}: "
    )
    assert "gzip" in lines[0]
    assert lines[1].startswith(f"cannot be read: 94 files, from {broken[0]} to {broken[-1]}: ")
    assert "cut off" in lines[1]
    assert [line.partition(":")[0] for line in lines[2:]] == ["left out", "left out"]
    told = json.loads(done.stdout)
    before, day = told["days"]
    names = ("snapshots", "values", "unreadable_files", "dropped_rows", "filed_under_another_day")
    assert [before[name] for name in names] == [1, 1, 0, 0, 0]
    rows = 2 * (192 - sum(path in broken for path in bad_from_eight[EIGHT:]))
    # 02:05 is filed under another day; the others are filed, whether they can be read or not.
    assert [day[name] for name in names] == [287, 288, 96, rows, 1]
    assert day["longest_silence_minutes"] == 5
    assert day["healed"] == 97
    assert [told["total"][name] for name in names] == [288, 289, 96, rows, 1]
    table = scrapy("audit").stdout
    assert (
        f"96 files cannot be read, {rows} rows left out, 1 snapshot filed under another day"
        in table
    )


# --- The collector ----------------------------------------------------------------------------


def live(data):
    """The body of the live feed that says *data*."""
    inner = {
        name: [{wrapper: {key: str(value) for key, value in row.items()}} for row in data[name]]
        for name, wrapper in [
            ("ClearedMW", "ClearedMWHourly"),
            ("MediumTermLoadForecast", "Forecast"),
            ("FiveMinTotalLoad", "Load"),
        ]
    }
    return json.dumps({"LoadInfo": {"RefId": data["RefId"], **inner}})


def test_the_collector_files_them_counts_them_and_warns_of_each_problem_once(crawl, feed, archive):
    rows = dict(BAD_ROWS[kind] for kind in ("ClearedMW.Hour", "FiveMinTotalLoad.Time, later"))
    feed.set(clock=est(DAY, "08:10").isoformat())
    bodies = [live(with_rows(snapshot(c), rows, first=False)) for c in ("08:00", "08:05", "08:10")]
    feed.simulator.faults.extend(Fault("body", body, 1) for body in bodies)
    run = crawl(start=f"{DAY}T08:00-05:00", end=f"{DAY}T08:10-05:00")
    assert (run.status, run.outcomes) == (0, {"stored": 3})
    assert run.stats["miso/unused_rows"] == 6
    warnings = [line.partition("WARNING: ")[2] for line in run.lines("WARNING")]
    # Which candidate is the first: they overtake one another while the archive gets its identity.
    assert [re.sub(r"_13(00|05|10)00\.json$", "", line) for line in warnings] == [
        "Rows of the snapshot cannot be used: ClearedMW.Hour is not an hour of the day, such as "
        "{'Hour': '0', 'Value': 1}, first in realtime_total_load_20260501",
        "Rows of the snapshot cannot be used: FiveMinTotalLoad.Time is later than the snapshot's "
        "own interval, such as 23:55 EST, first in realtime_total_load_20260501",
    ]
    for path in archive.files():  # nothing is lost
        assert archive.document(path)["data"]["ClearedMW"][-1] == {"Hour": "0", "Value": 1}


def test_a_snapshot_without_rows_is_filed_and_said_once(crawl, feed, archive):
    feed.set(clock=est(DAY, "08:10").isoformat())
    bodies = [live(samples.data(est(DAY, clock))) for clock in ("08:00", "08:05")]
    feed.simulator.faults.extend(Fault("body", body, 1) for body in bodies)
    run = crawl(start=f"{DAY}T08:00-05:00", end=f"{DAY}T08:05-05:00")
    assert (run.status, run.outcomes) == (0, {"stored": 2})
    assert (run.stats["miso/empty_snapshots"], run.stats["miso/unused_rows"]) == (2, 0)
    (line,) = run.lines("WARNING")
    assert "No row of the snapshot can be used" in line
    assert len(archive.files()) == 2


# --- Snapshots whose arrays are all empty ---------------------------------------------------------


def test_a_snapshot_without_rows_is_not_its_intervals_own(tmp_path, scrapy):
    root = tmp_path / "data"
    for clock in CLOCKS:
        empty = "10:00" <= clock < "11:00"
        file(root, clock, samples.data(est(DAY, clock)) if empty else snapshot(clock))
    args = ("--start", DAY, "--end", "2026-05-02")
    done = scrapy("audit", "--json", *args)
    assert (done.returncode, done.stderr) == (0, "")
    (day,) = json.loads(done.stdout)["days"]
    # They are filed, so the collector was not silent; what they lack a later one brought.
    assert (day["snapshots"], day["values"], day["healed"]) == (288, 288, 12)
    assert (day["empty_snapshots"], day["longest_silence_minutes"]) == (12, 0)
    assert scrapy("report", "-o", "report.html", *args).returncode == 0
    page = (tmp_path / "report.html").read_text()
    assert "12 were healed by later snapshots" in page
    assert "12 snapshots without rows" in scrapy("audit", *args).stdout


# --- Gzip -----------------------------------------------------------------------------------------


def test_gzip_of_several_members_is_gzip_and_one_that_is_cut_is_not(tmp_path, scrapy):
    root = tmp_path / "data"
    texts = {
        clock: gzip.decompress(samples.document(snapshot(clock), est(DAY, clock)))
        for clock in ("06:00", "06:05", "06:10", "06:15")
    }
    members = {
        clock: b"".join(gzip.compress(part) for part in (text[:99], b"", text[99:]))
        for clock, text in texts.items()
    }
    samples.put(root, est(DAY, "06:00"), members["06:00"])
    samples.put(root, est(DAY, "06:05"), members["06:05"] + bytes(512))  # a tape's padding
    cut = samples.put(root, est(DAY, "06:10"), members["06:10"][:-5])
    behind = samples.put(root, est(DAY, "06:15"), members["06:15"] + b"something else")
    done = scrapy("export", "-o", "tables")
    assert done.returncode == 1
    assert done.stdout.startswith("1 day exported from 2 snapshots")
    assert sorted(line.split(": ")[1] for line in done.stderr.splitlines()) == [
        str(cut), str(behind),
    ]  # fmt: skip
    reindexed = scrapy("reindex")
    assert "2 files registered, 2 cannot be read" in reindexed.stdout


# --- An export never shrinks what it exported -----------------------------------------------------


@pytest.mark.parametrize("kind", ["lost", "unreadable"])
def test_an_export_never_shrinks_what_it_exported(tmp_path, scrapy, kind):
    root, target = tmp_path / "data", tmp_path / "tables"
    paths = [file(root, clock, snapshot(clock)) for clock in CLOCKS]
    assert scrapy("export", "-o", "tables").returncode == 0
    before = export_reader.tables(target)
    paths[144].write_bytes(b"damaged")
    assert scrapy("export", "-o", "tables").returncode == 1
    assert export_reader.tables(target) == before
    for path in paths[88:]:
        path.unlink() if kind == "lost" else path.write_bytes(b"damaged")
    done = scrapy("export", "-o", "tables")
    assert done.returncode == (1 if kind == "unreadable" else 0)
    assert export_reader.tables(target) == before
    assert (
        "0 days exported from 0 snapshots, 0 unchanged, 1 kept, as the archive now has less "
        f"data ({DAY})" in done.stdout
    )


def test_what_was_exported_stays_beside_what_is_new(tmp_path, scrapy):
    """A day that has lost a file goes on: its tables must not stand still, nor forget."""
    root, target = tmp_path / "data", tmp_path / "tables"
    samples.file(root, DAY, "00:00", {"00:00": 1}, {1: 10, 2: 20}, {1: 1})
    lost = samples.file(root, DAY, "00:05", {"00:00": 9, "00:05": 5}, {1: 11, 2: 20}, {1: 1})
    samples.file(root, DAY, "00:10", {"00:00": 2, "00:05": 5, "00:10": 7}, {1: 10, 2: 20}, {1: 1})
    assert scrapy("export", "-o", "tables").returncode == 0
    lost.unlink()
    samples.file(root, DAY, "00:15", {"00:00": 2, "00:05": 5, "00:15": 9}, {1: 10, 2: 21}, {1: 1})
    done = scrapy("export", "-o", "tables")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1 day exported from 3 snapshots, 0 unchanged")
    assert f"1 with data that the archive no longer has ({DAY})" in done.stdout
    at = [est(DAY, clock) for clock in ("00:00", "00:05", "00:10", "00:15")]
    assert export_reader.rows(target, "load", DAY) == [
        (at[0], 2, at[0], at[3], 2),  # one of them by the file that is lost
        (at[1], 5, at[1], at[3], 0),  # first published by the file that is lost
        (at[2], 7, at[2], at[2], 0),
        (at[3], 9, at[3], at[3], 0),
    ]
    assert export_reader.rows(target, "forecast", DAY) == [
        (at[0], 10, at[0]), (at[0], 11, at[1]), (at[0], 10, at[2]),
        (est(DAY, "01:00"), 20, at[0]), (est(DAY, "01:00"), 21, at[3]),
    ]  # fmt: skip
    assert export_reader.rows(target, "cleared", DAY) == [(at[0], 1, at[0])]
    # Nothing has changed since: it is not done again.
    again = scrapy("export", "-o", "tables")
    assert again.stdout.startswith("0 days exported from 0 snapshots, 1 unchanged")


def test_a_snapshot_that_comes_late_makes_a_vintage_older_and_none_stays_behind(tmp_path, scrapy):
    root, target = tmp_path / "data", tmp_path / "tables"
    samples.file(root, DAY, "00:10", {"00:05": 5}, {1: 10}, {1: 1})
    assert scrapy("export", "-o", "tables").returncode == 0
    samples.file(root, DAY, "00:05", {"00:05": 5}, {1: 10}, {1: 1})
    done = scrapy("export", "-o", "tables")
    assert "1 day exported from 2 snapshots, 0 unchanged:" in done.stdout
    early, late = est(DAY, "00:05"), est(DAY, "00:10")
    assert export_reader.rows(target, "load", DAY) == [(early, 5, early, late, 0)]
    assert export_reader.rows(target, "forecast", DAY) == [(est(DAY), 10, early)]
