"""`scrapy export`: what the archive says, in tables, whoever reads them."""

import contextlib
import csv
import json
import os
import random
import re
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta

import duckdb
import pandas
import polars
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from miso_scrapy.simulator.load import snapshot as simulated
from tests.support import export_reader, samples
from tests.support.project import FOREIGN, SCRAPY
from tests.support.samples import est
from tests.support.tcp_proxy import Proxy
from tests.support.terminal import at_a_terminal

IT = "; left out: restore or remove it"
THEM = "; left out: restore or remove them"

UTC_TIME = pa.timestamp("us", tz="UTC")
SPRING, AUTUMN = "2026-03-08", "2026-11-01"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The tables of an archive of known content, exported once for the tests that only look."""
    directory = tmp_path_factory.mktemp("known")
    root = directory / "data"
    # Both clock changes, whole: from five snapshots and from the last one alone.
    for clock in ("00:00", "01:55", "02:05", "03:00", "23:55"):
        samples.file(root, SPRING, clock, samples.until(clock, 1000))
    samples.file(
        root, AUTUMN, "23:55", samples.until("23:55", 2000), dict.fromkeys(range(1, 25), 7)
    )
    # The year's end.
    samples.file(root, "2025-12-31", "23:55", {"23:50": 50, "23:55": 55}, {24: 3})
    samples.file(root, "2026-01-01", "00:00", {"00:00": 60}, {1: 4})
    # Revisions and vintages.
    samples.file(root, "2026-05-01", "00:00", {"00:00": 100}, {1: 10, 2: 20}, {1: 1})
    samples.file(root, "2026-05-01", "00:05", {"00:00": 110, "00:05": 5}, {1: 11, 2: 20}, {1: 1})
    samples.file(root, "2026-05-01", "00:10", {"00:00": 100, "00:10": 9.5}, {1: 10}, {1: 2})
    samples.file(root, "2026-05-01", "00:15", {"00:00": 100}, {1: 10, 2: 20}, {1: 2})
    # Both styles of label.
    samples.file(
        root, "2026-05-02", "00:05", samples.until("00:05", 30), {1: 10, 24: 20}, {1: 5, 24: 6}
    )
    samples.file(
        root, "2026-05-02", "00:10", samples.until("00:10", 30), {1: 10, 24: 20}, {1: 5, 24: 6},
        documented=True,
    )  # fmt: skip
    samples.file(
        root, "2026-05-02", "00:15", samples.until("00:15", 30), {"00:00": 21}, {"00:00": 7, "23:00": 8},
        documented=True,
    )  # fmt: skip
    # A label that is there twice.
    samples.file(
        root, "2026-05-03", "00:05", [("00:00", 1), ("00:05", 2), ("00:00", 3)],
        [(9, 1), (9, 2)], [(9, 4), (10, 5), (9, 6)],
    )  # fmt: skip
    # Filed out of order: which candidate a snapshot has does not matter, nor when it was collected.
    samples.file(
        root, "2026-05-04", "12:05", {"12:00": 3}, {1: 3}, candidate=est("2026-05-04", "12:00")
    )
    samples.file(
        root, "2026-05-04", "12:00", {"12:00": 2}, {1: 2}, candidate=est("2026-05-04", "12:10"),
        collected_at=est("2026-05-04", "12:30"),
    )  # fmt: skip
    samples.file(
        root, "2026-05-04", "11:55", {"11:55": 1}, {1: 1}, candidate=est("2026-05-04", "12:05")
    )
    # Filed on the other side of midnight: the last intervals of one day, the first of the next.
    samples.file(root, "2026-05-05", "23:55", {"23:55": 9}, candidate=est("2026-05-06", "00:05"))
    samples.file(root, "2026-05-05", "23:50", {"23:50": 8}, candidate=est("2026-05-06", "00:00"))
    samples.file(root, "2026-05-07", "00:00", {"00:00": 7}, candidate=est("2026-05-06", "23:50"))
    # Filed under another day, without coverage.
    samples.file(root, "2026-05-08", "12:00", {"12:00": 1})
    samples.file(root, "2026-05-08", "12:30", {"12:00": 2}, candidate=est("2026-05-09", "12:00"))
    samples.file(root, "2026-05-09", "12:05", {"12:05": 3})

    environment = {name: value for name, value in os.environ.items() if not FOREIGN.match(name)}
    done = subprocess.run(
        [SCRAPY, "export", "-o", "tables"],
        cwd=directory,
        env={**environment, "SCRAPY_SETTINGS_MODULE": "miso_scrapy.settings"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return directory / "tables"


# --- What is in the tables --------------------------------------------------------------------


@pytest.mark.parametrize(("day", "mw"), [(SPRING, 1000), (AUTUMN, 2000)])
def test_a_day_of_a_clock_change_has_288_intervals_of_est(exported, day, mw):
    load = export_reader.rows(exported, "load", day)
    assert [row[0] for row in load] == samples.grid(day)
    assert [row[1] for row in load] == [mw + number for number in range(288)]
    assert {row[3] for row in load} == {est(day, "23:55")}


def test_a_missed_snapshots_values_come_from_the_next_one(exported):
    first = {row[0]: row[2] for row in export_reader.rows(exported, "load", SPRING)}
    assert first[est(SPRING, "00:00")] == est(SPRING, "00:00")
    assert first[est(SPRING, "00:05")] == est(SPRING, "01:55")
    assert first[est(SPRING, "02:00")] == first[est(SPRING, "02:05")] == est(SPRING, "02:05")
    assert first[est(SPRING, "03:05")] == est(SPRING, "23:55")


def test_the_hours_of_a_day_of_a_clock_change_are_24(exported):
    forecast = export_reader.rows(exported, "forecast", AUTUMN)
    hours = [est(AUTUMN) + timedelta(hours=hour) for hour in range(24)]
    assert forecast == [(hour, 7.0, est(AUTUMN, "23:55")) for hour in hours]


def test_the_year_ends_at_midnight_est(exported):
    last, first = est("2025-12-31", "23:55"), est("2026-01-01")
    assert export_reader.rows(exported, "load", "2025-12-31") == [
        (est("2025-12-31", "23:50"), 50.0, last, last, 0),
        (last, 55.0, last, last, 0),
    ]
    assert export_reader.rows(exported, "forecast", "2025-12-31") == [
        (est("2025-12-31", "23:00"), 3, last)
    ]
    assert export_reader.rows(exported, "load", "2026-01-01") == [(first, 60.0, first, first, 0)]
    assert export_reader.rows(exported, "forecast", "2026-01-01") == [(first, 4.0, first)]


def test_every_change_of_a_value_is_a_revision_back_again_too(exported):
    at = [est("2026-05-01", clock) for clock in ("00:00", "00:05", "00:10", "00:15")]
    assert export_reader.rows(exported, "load", "2026-05-01") == [
        (at[0], 100.0, at[0], at[3], 2),
        (at[1], 5.0, at[1], at[1], 0),  # later snapshots do not carry it
        (at[2], 9.5, at[2], at[2], 0),
    ]


def test_every_change_of_an_hour_is_a_vintage(exported):
    at = [est("2026-05-01", clock) for clock in ("00:00", "00:05", "00:10", "00:15")]
    hour_2 = est("2026-05-01", "01:00")
    assert export_reader.rows(exported, "forecast", "2026-05-01") == [
        (at[0], 10.0, at[0]),
        (at[0], 11.0, at[1]),
        (at[0], 10.0, at[2]),
        (hour_2, 20.0, at[0]),
    ]
    assert export_reader.rows(exported, "cleared", "2026-05-01") == [
        (at[0], 1.0, at[0]),
        (at[0], 2.0, at[2]),
    ]


def test_both_styles_of_label_name_the_same_intervals_and_hours(exported):
    day = "2026-05-02"
    at = [est(day, clock) for clock in ("00:00", "00:05", "00:10", "00:15")]
    last = est(day, "23:00")
    assert export_reader.rows(exported, "load", day) == [
        (at[0], 30.0, at[1], at[3], 0),
        (at[1], 31.0, at[1], at[3], 0),
        (at[2], 32.0, at[2], at[3], 0),
        (at[3], 33.0, at[3], at[3], 0),
    ]
    # HourEnding 00:00 is the day's end, as 24:00 and hour 24 are; Hour 00:00 begins the day.
    assert export_reader.rows(exported, "forecast", day) == [
        (at[0], 10.0, at[1]),
        (last, 20.0, at[1]),
        (last, 21.0, at[3]),
    ]
    assert export_reader.rows(exported, "cleared", day) == [
        (at[0], 5.0, at[1]),
        (at[0], 7.0, at[3]),
        (last, 6.0, at[1]),
        (last, 8.0, at[3]),
    ]


def test_of_an_hour_twice_in_one_array_the_later_row_counts(exported):
    day, at = "2026-05-03", est("2026-05-03", "00:05")
    assert [row[1:] for row in export_reader.rows(exported, "load", day)] == [
        (3.0, at, at, 0),
        (2.0, at, at, 0),
    ]
    assert export_reader.rows(exported, "forecast", day) == [(est(day, "08:00"), 2.0, at)]
    assert [row[1] for row in export_reader.rows(exported, "cleared", day)] == [6.0, 5.0]


def test_snapshots_count_in_the_order_of_their_intervals(exported):
    day = "2026-05-04"
    at = [est(day, clock) for clock in ("11:55", "12:00", "12:05")]
    assert export_reader.rows(exported, "load", day) == [
        (at[0], 1.0, at[0], at[0], 0),
        (at[1], 3.0, at[1], at[2], 1),
    ]
    assert export_reader.rows(exported, "forecast", day) == [
        (est(day), mw, published) for mw, published in zip([1.0, 2.0, 3.0], at, strict=True)
    ]


def test_a_snapshot_filed_across_midnight_counts_for_the_day_of_its_interval(exported):
    assert export_reader.rows(exported, "load", "2026-05-05") == [
        (at, mw, at, at, 0)
        for at, mw in [(est("2026-05-05", "23:50"), 8.0), (est("2026-05-05", "23:55"), 9.0)]
    ]
    at = est("2026-05-07")
    assert export_reader.rows(exported, "load", "2026-05-07") == [(at, 7.0, at, at, 0)]


def test_a_snapshot_filed_under_another_day_counts_for_neither(exported):
    at = est("2026-05-08", "12:00")
    assert export_reader.rows(exported, "load", "2026-05-08") == [(at, 1.0, at, at, 0)]
    at = est("2026-05-09", "12:05")
    assert export_reader.rows(exported, "load", "2026-05-09") == [(at, 3.0, at, at, 0)]


def test_each_market_day_with_snapshots_is_a_partition_of_each_table_and_no_other_day(exported):
    days = [str(day) for day in export_reader.days(exported)]
    assert days == [
        "2025-12-31", "2026-01-01", SPRING, "2026-05-01", "2026-05-02", "2026-05-03",
        "2026-05-04", "2026-05-05", "2026-05-07", "2026-05-08", "2026-05-09", AUTUMN,
    ]  # fmt: skip
    assert list(export_reader.tables(exported)) == [
        f"{table}/market_day={day}/{table}.parquet"
        for table in ("cleared", "forecast", "load", "load_vintages", "snapshots")
        for day in days
    ]


def test_of_a_simulated_week_each_interval_has_the_value_that_was_published_last(tmp_path, scrapy):
    week = [f"2026-11-{number:02d}" for number in range(1, 8)]
    args = ("--start", week[0], "--end", "2026-11-08")
    assert scrapy("simulate", "--write", str(tmp_path / "data"), *args).returncode == 0
    done = scrapy("export", "-o", "tables", *args)
    assert (done.returncode, done.stderr) == (0, "")
    for day in week:
        last = est(day, "23:55")
        said = simulated(0, last)["LoadInfo"]
        load = export_reader.rows(tmp_path / "tables", "load", day)
        assert [row[0] for row in load] == samples.grid(day)
        final = [float(row["Load"]["Value"]) for row in said["FiveMinTotalLoad"]]
        assert [row[1] for row in load] == final
        assert all(first == start for start, _, first, *_ in load)
        assert {row[3] for row in load} == {last}
        assert sum(row[4] for row in load) > 0
        latest = {
            start: mw for start, mw, _ in export_reader.rows(tmp_path / "tables", "forecast", day)
        }
        final = [float(row["Forecast"]["LoadForecast"]) for row in said["MediumTermLoadForecast"]]
        assert list(latest.values()) == final
    audited = scrapy("audit", *args)
    assert (audited.returncode, audited.stderr) == (0, "")
    assert (
        "7 days: 2016 snapshots, 2016 values known, 0 of them healed, 0 missing" in audited.stdout
    )


# --- What the files are -----------------------------------------------------------------------


def test_the_files_are_typed_sorted_zstd_parquet(exported):
    schemas = {
        "load": [
            ("interval_start", UTC_TIME), ("load_mw", pa.float64()), ("first_published", UTC_TIME),
            ("last_published", UTC_TIME), ("revisions", pa.int32()), ("first_load_mw", pa.float64()),
            ("first_collected", UTC_TIME), ("collected", UTC_TIME),
            ("largest_revision_mw", pa.float64()), ("interval_end", UTC_TIME),
        ],
        "load_vintages": [
            ("interval_start", UTC_TIME), ("load_mw", pa.float64()), ("published", UTC_TIME),
            ("collected", UTC_TIME),
        ],
        "forecast": [
            ("hour_start", UTC_TIME), ("forecast_mw", pa.float64()), ("published", UTC_TIME),
            ("collected", UTC_TIME), ("hour_end", UTC_TIME),
        ],
        "cleared": [
            ("hour_start", UTC_TIME), ("cleared_mw", pa.float64()), ("published", UTC_TIME),
            ("collected", UTC_TIME), ("hour_end", UTC_TIME),
        ],
        "snapshots": [
            ("key", pa.string()), ("candidate", UTC_TIME), ("interval", UTC_TIME),
            ("collected", UTC_TIME), ("rows", pa.int32()), ("dropped_rows", pa.int32()),
            ("dropped_why", pa.string()), ("fault", pa.string()),
            ("filed_under_another_day", pa.bool_()),
        ],
    }  # fmt: skip
    for path in exported.glob("*/*/*.parquet"):
        file = pq.ParquetFile(path)
        schema = schemas[path.stem]
        assert [(field.name, field.type) for field in file.schema_arrow] == schema
        for number in range(file.metadata.num_row_groups):
            group = file.metadata.row_group(number)
            assert {group.column(n).compression for n in range(len(schema))} == {"ZSTD"}
        keys = {
            "load": ["interval_start"],
            "load_vintages": ["interval_start", "published"],
            "snapshots": ["key"],
        }.get(path.stem, ["hour_start", "published"])
        table = file.read()
        assert table == table.sort_by([(key, "ascending") for key in keys])
        for name in set(table.column_names) - {"dropped_why", "fault"}:
            assert table[name].null_count == 0


def test_duckdb_polars_and_pandas_read_the_partitions_as_they_are(exported):
    expected = {
        str(day): len(export_reader.rows(exported, "load", day))
        for day in export_reader.days(exported)
    }
    counted = duckdb.sql(
        "select market_day::varchar, count(*) from "
        f"read_parquet('{exported}/load/**/*.parquet', hive_partitioning=true) group by all"
    ).fetchall()
    assert dict(counted) == expected
    lazy = polars.scan_parquet(exported / "load", hive_partitioning=True)
    assert lazy.collect_schema()["interval_start"] == polars.Datetime("us", "UTC")
    counted = lazy.group_by("market_day").len().collect().rows()
    assert {str(day): count for day, count in counted} == expected
    frame = pandas.read_parquet(exported / "forecast")
    assert str(frame["hour_start"].dt.tz) == "UTC"
    autumn = frame[frame["market_day"].astype(str) == AUTUMN]
    assert (len(autumn), autumn["forecast_mw"].sum()) == (24, 24 * 7)


# --- Run again --------------------------------------------------------------------------------


def stamps(target):
    """What changes when a file is written again, by market day."""
    found = {}
    for path in target.glob("*/market_day=*/*"):
        stat = path.stat()
        day = path.parent.name.removeprefix("market_day=")
        found.setdefault(day, set()).add((path.name, stat.st_ino, stat.st_mtime_ns))
    return found


def test_run_again_only_what_changed_is_done_again(tmp_path, scrapy):
    root, target = tmp_path / "data", tmp_path / "tables"
    days = ["2026-05-01", "2026-05-02", "2026-05-03"]
    for day in days:
        samples.file(root, day, "12:00", samples.until("12:00", 100), {1: 1}, {1: 1})
    before = {}

    def redone():
        """Export again; return the days that were written again."""
        nonlocal before
        done = scrapy("export", "-o", str(target))
        assert (done.returncode, done.stderr) == (0, "")
        now = stamps(target)
        changed = sorted(day for day in now if now[day].isdisjoint(before.get(day, set())))
        kept = sorted(day for day in now if now[day] == before.get(day))
        assert sorted(changed + kept) == days  # a day whole, or not at all
        before = now
        return changed

    assert redone() == days
    assert redone() == []
    # A snapshot more, in the middle of a day; and one filed again, by force, the values others.
    samples.file(root, days[0], "12:05", samples.until("12:05", 100))
    samples.file(root, days[2], "12:00", samples.until("12:00", 200))
    assert redone() == [days[0], days[2]]
    assert len(export_reader.rows(target, "load", days[0])) == 146
    assert export_reader.rows(target, "load", days[2])[0][1] == 200
    # A snapshot more at midnight, filed under the next day: its own day's tables change.
    samples.file(
        root, days[1], "23:55", {"23:55": 1}, candidate=est(days[2], "00:05")
    )  # fmt: skip
    assert redone() == [days[1]]
    assert export_reader.rows(target, "load", days[1])[-1][:2] == (est(days[1], "23:55"), 1)
    # A table that somebody took away, and one that somebody cut.
    (target / f"forecast/market_day={days[0]}/forecast.parquet").unlink()
    cut = target / f"load/market_day={days[1]}/load.parquet"
    cut.write_bytes(cut.read_bytes()[:-20])
    assert redone() == days[:2]


# --- What cannot be read ----------------------------------------------------------------------


def unreadable():
    """Bytes that are no filed document, by what is wrong with them."""
    candidate = est("2026-05-01", "06:00")
    good = samples.data(candidate, {"06:00": 1}, {7: 1}, {7: 1})
    whole = samples.document(good, candidate)
    return {
        "empty": b"",
        "not gzip": b'{"data": {}}',
        "cut off": whole[:-30],
        "damaged": whole[:60] + bytes(8) + whole[68:],
        "not JSON": samples.gzip.compress(b"<html>"),
        "not UTF-8": samples.gzip.compress(b'{"data": "\xff"}'),
        "a list": samples.gzip.compress(b"[]"),
        "no data": samples.gzip.compress(b'{"collection_metadata": {}}'),
        "no interval": samples.document({**good, "RefId": "tomorrow"}, candidate),
    }


def test_files_that_cannot_be_read_are_told_by_what_is_wrong_and_the_rest_is_exported(
    tmp_path, scrapy
):
    root, target = tmp_path / "data", tmp_path / "tables"
    samples.file(root, "2026-05-01", "05:00", {"05:00": 5})
    samples.file(root, "2026-05-01", "23:55", {"23:55": 6})
    samples.file(root, "2026-05-02", "05:00", {"05:00": 7})
    bodies = unreadable()
    wrong = [
        samples.put(root, est("2026-05-01", "06:00") + number * samples.INTERVAL, body)
        for number, body in enumerate(bodies.values())
    ]
    damaged = samples.file(root, "2026-05-03", "12:00", {})
    damaged.unlink()
    damaged.symlink_to("/proc/self/mem")  # input/output error: a disk's, and for root as well
    empty, no_gzip, cut, broken, no_json, no_utf8, a_list, no_data, no_interval = wrong
    said = [
        f"cannot be read: 2 files, from {empty} to {cut}: it is cut off{THEM}",
        f"cannot be read: 2 files, from {no_gzip} to {broken}: it is not gzip, or damaged{THEM}",
        f"cannot be read: 2 files, from {no_json} to {no_utf8}: it is not JSON{THEM}",
        f"cannot be read: 2 files, from {a_list} to {no_data}: it has no data with a RefId, or no "
        f"collection_metadata{THEM}",
        f"cannot be read: {no_interval}: 'tomorrow' names no interval",
        f"cannot be read: {damaged}: the directory {root} cannot read",
    ]

    def check(done):
        assert done.returncode == 1
        lines = done.stderr.splitlines()
        assert len(lines) == len(said)
        for line, beginning in zip(lines, said, strict=True):
            assert line.startswith(beginning)

    check(scrapy("export", "-o", str(target)))
    assert [row[1] for row in export_reader.rows(target, "load", "2026-05-01")] == [5, 6]
    assert [row[1] for row in export_reader.rows(target, "load", "2026-05-02")] == [7]
    # Tried again, and told again, by the next run; not the day without a fault.
    before = stamps(target)["2026-05-02"]
    check(scrapy("export", "-o", str(target)))
    assert stamps(target)["2026-05-02"] == before
    # So does the CSV; and the audit, in which they count as filed.
    check(scrapy("export", "-o", str(tmp_path / "load.csv"), "--format", "csv"))
    assert len((tmp_path / "load.csv").read_text().splitlines()) == 4
    audited = scrapy("audit", "--start", "2026-05-01", "--end", "2026-05-02", "--json")
    assert (audited.returncode, audited.stderr.splitlines()[:4]) == (1, said[:4])
    (total,) = json.loads(audited.stdout)["days"]
    assert (total["snapshots"], total["unreadable_files"]) == (2 + 9, 9)


def test_a_day_that_has_lost_files_keeps_its_tables_and_is_counted(tmp_path, scrapy):
    root, target = tmp_path / "data", tmp_path / "tables"
    early = samples.file(root, "2026-05-02", "06:00", samples.until("06:00", 100))
    late = samples.file(root, "2026-05-02", "23:55", samples.until("23:55", 100))
    samples.file(root, "2026-05-01", "12:00", samples.until("12:00", 100))
    assert scrapy("export", "-o", str(target)).returncode == 0
    before = stamps(target)
    for lost in (early, late):
        lost.unlink()
        done = scrapy("export", "-o", str(target))
        assert (done.returncode, done.stderr, stamps(target)) == (0, "", before)
        if lost == early:
            assert (
                "0 days exported from 0 snapshots, 1 unchanged, 1 kept, as the archive now has less data"
                in done.stdout
            )


def test_a_date_that_is_none_is_told_of_and_the_rest_is_exported(tmp_path, scrapy):
    root = tmp_path / "data"
    samples.file(root, "2026-05-01", "12:00", samples.until("12:00", 100))
    at = samples.est("2026-05-01", "12:05")
    ancient = samples.data(at) | {"RefId": "0001-01-01T00:00:00Z"}
    path = samples.put(root, at, samples.document(ancient, at))
    samples.put(root, datetime(9999, 12, 31, 12, tzinfo=UTC), b"")
    done = scrapy("export", "-o", "tables")
    assert done.returncode == 1
    assert done.stdout.startswith("1 day exported from 1 snapshot")
    assert done.stderr.splitlines() == [
        f"cannot be read: {path}: '0001-01-01T00:00:00Z' names no interval: "
        f"the year must be 1000 to 9000{IT}",
    ]


# --- CSV --------------------------------------------------------------------------------------


def test_csv_is_the_load_in_one_file_in_the_order_of_time(tmp_path, scrapy):
    root = tmp_path / "data"
    for day in ("2026-10-31", "2026-11-02", "2026-11-01"):
        samples.file(root, day, "00:10", {"00:00": 1, "00:05": 2.5, "00:10": 3})
    samples.file(root, "2026-11-01", "00:15", {"00:05": 4})
    target = tmp_path / "deep" / "load.csv"
    target.parent.mkdir()
    target.write_text("of an earlier run")
    done = scrapy(
        "export", "--format", "csv", "-o", str(target),
        "--start", "2026-10-31", "--end", "2026-11-02",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    header, *lines = csv.reader(target.open())
    assert header == [
        "market_day", "interval_start_utc", "interval_start_est", "load_mw", "first_published_utc",
        "first_published_est", "last_published_utc", "last_published_est", "revisions",
        "first_load_mw", "first_collected_utc", "first_collected_est", "collected_utc",
        "collected_est", "largest_revision_mw", "interval_end_utc", "interval_end_est",
    ]  # fmt: skip
    assert [line[0] for line in lines] == ["2026-10-31"] * 3 + ["2026-11-01"] * 3
    day, at, local, mw, first, _, last, _, revisions, *_ = lines[4]
    assert datetime.fromisoformat(local).isoformat() == "2026-11-01T00:05:00"
    assert (day, float(mw), int(revisions)) == ("2026-11-01", 4.0, 1)
    times = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (at, first, last)]
    assert times == [est("2026-11-01", clock) for clock in ("00:05", "00:10", "00:15")]
    assert os.listdir(target.parent) == ["load.csv"]

    # Where nothing can be read, what was there stays.
    before = target.read_bytes()
    for path in root.rglob("*.gz"):
        path.write_bytes(b"damaged")
    assert scrapy("export", "--format", "csv", "-o", str(target)).returncode == 1
    assert target.read_bytes() == before
    assert os.listdir(target.parent) == ["load.csv"]


def test_files_that_cannot_be_read_are_rows_of_csv_too(tmp_path, scrapy):
    for clock in ("12:00", "12:05"):
        samples.put(tmp_path / "data", est("2026-05-01", clock), b"damaged")
    done = scrapy("export", "-o", "snapshots.csv")
    assert (done.returncode, done.stdout.startswith("1 day exported from 0 snapshots")) == (1, True)
    rows = list(csv.DictReader((tmp_path / "snapshots.csv").open()))
    assert [row["candidate_est"] for row in rows] == ["2026-05-01 12:00:00", "2026-05-01 12:05:00"]
    assert all("not gzip" in row["fault"] for row in rows)


# --- From S3, and from a directory that is not ours -------------------------------------------


def test_a_bucket_gives_the_same_tables_as_a_directory_and_none_is_written_to(
    tmp_path, scrapy, bucket
):
    root = tmp_path / "data"
    for day in ("2026-03-07", SPRING):
        for clock in ("00:00", "06:00", "23:50", "23:55"):
            samples.file(root, day, clock, samples.until(clock, 100), {1: len(clock)}, {2: 1})
    wrong = samples.put(root, est(SPRING, "12:00"), b"no gzip").relative_to(root)
    for path in root.rglob("*.gz"):
        bucket.client.upload_file(str(path), bucket.name, str(path.relative_to(root)))
    before = bucket.keys()
    root.chmod(0o555)  # root could write all the same
    ours = scrapy("export", "-o", "from-directory")
    root.chmod(0o755)
    theirs = scrapy("export", "-o", "from-bucket", env=bucket.settings)
    assert (ours.returncode, theirs.returncode) == (1, 1)
    assert ours.stderr.startswith(f"cannot be read: {root}/{wrong}: ")
    assert theirs.stderr == ours.stderr.replace(str(root), f"s3://{bucket.name}")
    tables = export_reader.tables(tmp_path / "from-directory")
    assert len(tables) == 10
    assert tables == export_reader.tables(tmp_path / "from-bucket")
    assert bucket.keys() == before
    assert sorted(path.name for path in root.iterdir()) == ["sourcing"]


def test_a_bucket_for_csv_that_does_not_exist_is_told_before_the_archive_is_read(
    tmp_path, scrapy, bucket
):
    path = samples.file(tmp_path / "data", "2026-05-01", "12:00", {"12:00": 1})
    path.write_bytes(b"damaged")  # it would be told of if it were read
    env = {**bucket.settings, "S3_BUCKET": ""}
    done = scrapy("export", "-o", "s3://no-such-bucket/load.csv", env=env)
    assert (done.returncode, done.stderr) == (
        1,
        "scrapy export: the bucket no-such-bucket does not exist; check -o and the region\n",
    )


def test_what_s3_says_is_one_line(scrapy, bucket, tmp_path):
    proxy = Proxy(int(bucket.endpoint.rsplit(":", 1)[1]))
    try:
        proxy.fail(403, "AccessDenied")
        refused = {**bucket.settings, "AWS_ENDPOINT_URL": f"http://{proxy.address}"}
        absent = {**bucket.settings, "S3_BUCKET": "no-such-bucket"}
        for env, said in [(refused, "AccessDenied"), (absent, "no-such-bucket")]:
            done = scrapy("export", "-o", "tables", env=env)
            assert done.returncode == 1
            (line,) = done.stderr.splitlines()
            assert said in line
    finally:
        proxy.stop()
    assert not (tmp_path / "tables").exists()


# --- Asked for what cannot be done ------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        ("", 2, "-o"),
        ("-o a-file", 2, "a-file"),
        ("-o a-file/below", 1, "a-file"),
        ("-o a-directory.csv", 2, "a-directory.csv"),
        ("-o a-pipe --format csv", 2, "a-pipe"),
        ("-o /proc/tables", 1, "/proc/tables"),
        ("-o /proc/load.csv --format csv", 1, "/proc"),
        ("-o x --format xlsx", 2, "xlsx"),
        ("-o x --start May", 2, "May"),
        ("-o x --end 2026-13-01", 2, "2026-13-01"),
        ("-o x --start 2026-05-02 --end 2026-05-02", 2, "2026-05-02"),
        ("-o x --start 2026-06-01", 1, "2026-06-01"),
        ("-o x 2026-06-01", 2, "2026-06-01"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(tmp_path, scrapy, args, status, said):
    samples.file(tmp_path / "data", "2026-05-01", "12:00", {"12:00": 1})
    (tmp_path / "a-file").write_text("of somebody")
    (tmp_path / "a-directory.csv").mkdir()
    os.mkfifo(tmp_path / "a-pipe")
    done = scrapy("export", *args.split())
    assert done.returncode == status, done.stderr
    *usage, line = done.stderr.splitlines()
    assert said in line
    assert usage == [] or (status == 2 and "Usage" in usage[0] + usage[0].title())
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "x").exists()
    assert (tmp_path / "a-file").read_text() == "of somebody"


def test_an_archive_that_is_not_there_or_is_empty_is_said_in_one_line(tmp_path, scrapy):
    done = scrapy("export", "-o", "x")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert str(tmp_path / "data") in done.stderr
    (tmp_path / "data").mkdir()
    done = scrapy("export", "-o", "x")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert not (tmp_path / "x").exists()


def test_without_the_packages_of_this_side_it_says_what_to_install(tmp_path, scrapy):
    samples.file(tmp_path / "data", "2026-05-01", "12:00", samples.until("12:00", 1))
    block = tmp_path / "block"
    block.mkdir()
    (block / "sitecustomize.py").write_text(
        "from importlib.machinery import PathFinder\n"
        "found = PathFinder.find_spec\n"
        "def find_spec(name, path=None, target=None):\n"
        "    absent = name.split('.')[0] in ('pyarrow', 'dask', 'distributed')\n"
        "    return None if absent else found(name, path, target)\n"
        "PathFinder.find_spec = find_spec\n"
    )
    path = os.pathsep.join([str(block), *filter(None, [os.environ.get("PYTHONPATH")])])
    for args in (["-o", "x"], ["-o", "x", "--dask", "tcp://127.0.0.1:1"]):
        done = scrapy("export", *args, env={"PYTHONPATH": path}, cold=True)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert "pip install miso-scrapy[dataset]" in line
    assert not (tmp_path / "x").exists()
    # The audit needs none of them.
    done = scrapy("audit", env={"PYTHONPATH": path}, cold=True)
    assert done.stderr == ""
    assert "145 values known" in done.stdout


# --- Interrupted ------------------------------------------------------------------------------


@contextlib.contextmanager
def running(directory, environment, *args):
    """A `scrapy export` in a session of its own; nothing of it is left."""
    # A shell's background job ignores SIGINT, and so would its children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with (directory / "said").open("w") as said:
            process = subprocess.Popen(
                [SCRAPY, "export", *args],
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def session(leader):
    """The processes of the session of *leader* that are alive."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def eventually(happened, seconds=60):
    """Wait until *happened()*."""
    for _ in range(seconds * 100):
        if happened():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")


def check_whole(target, expected):
    """Every table that is there is whole, for who reads it, and what it has to be."""
    found = export_reader.tables(target)
    assert all(table == expected[path] for path, table in found.items())
    for name in {path.split("/")[0] for path in found}:
        pattern = f"{target}/{name}/**/*"
        ((count,),) = duckdb.sql(f"select count(*) from read_parquet('{pattern}')").fetchall()
        assert count == sum(
            len(table) for path, table in found.items() if path.startswith(f"{name}/")
        )
        assert polars.scan_parquet(target / name).collect().height == count
    return found


def test_killed_at_any_moment_nothing_is_broken_and_the_next_run_completes(
    tmp_path, environment, scrapy
):
    root = tmp_path / "data"
    for number in range(30):
        day = f"2026-06-{number + 1:02d}"
        for clock in ("06:00", "12:00", "23:55"):
            samples.file(root, day, clock, samples.until(clock, 100 * number), {1: number}, {1: 1})
    assert scrapy("export", "-o", "expected").returncode == 0
    expected = export_reader.tables(tmp_path / "expected")
    moment = random.Random(0)
    target = tmp_path / "tables"
    written = -1

    def further():
        return len(list(target.glob("*/*/*"))) > written

    for kill in (os.killpg, os.kill, os.killpg):  # all of it, or the command alone
        with running(tmp_path, environment, "-o", str(target)) as process:
            eventually(further)
            time.sleep(moment.random() * 0.02)
            kill(process.pid, signal.SIGKILL)
            process.wait(30)
            # Those who worked for it notice, and go.
            eventually(lambda leader=process.pid: not session(leader))
        written = len(check_whole(target, expected))
    again = scrapy("export", "-o", str(target))
    assert (again.returncode, again.stderr) == (0, "")
    assert check_whole(target, expected) == expected


def test_ctrl_c_ends_it_without_a_word_too_many(tmp_path, environment):
    *days, last = [f"2026-06-{number:02d}" for number in range(1, 9)]  # enough for two processes
    for day in (*days, last):
        path = samples.file(tmp_path / "data", day, "12:00", {"12:00": 1})
    path.unlink()
    os.mkfifo(path)  # holds who reads it, until it is written
    writer = None

    def held():
        nonlocal writer
        with contextlib.suppress(OSError):  # nobody reads it, yet
            writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        return writer is not None

    with running(tmp_path, environment, "-o", "tables") as process:
        # One process has nothing more to do, the other has not done yet.
        eventually(lambda: len(list((tmp_path / "tables").glob("load/*/*"))) == len(days))
        eventually(held)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        os.close(writer)
        assert process.wait(30) == 130
        eventually(lambda: not session(process.pid))
    assert (tmp_path / "said").read_text() == ""


# --- At a terminal ----------------------------------------------------------------------------


def test_a_terminal_shows_a_bar_and_a_pipe_none(tmp_path, environment, scrapy):
    for number in range(1, 7):
        samples.file(tmp_path / "data", f"2026-06-{number:02d}", "12:00", {"12:00": 1})
    shown = at_a_terminal(["export", "-o", "tables"], tmp_path, environment, 0, 0)
    counts = [int(count) for count in re.findall(r"(\d+)/6 ", shown)]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 6)
    piped = scrapy("export", "-o", "again")
    assert "/6" not in piped.stdout + piped.stderr
    assert "\r" not in piped.stdout + piped.stderr
