"""The tables say what a naive fold of every raw file says, wherever they are and whoever reads them."""

import csv
import gzip
import json
import os
import subprocess
from datetime import UTC, datetime, timedelta

import duckdb
import pandas
import polars
import pyarrow.dataset
import pyarrow.fs
import pytest

from tests.support import messy_archive, naive_fold, samples, table_files, warm_start
from tests.support.project import FOREIGN, SCRAPY
from tests.support.samples import est
from tests.support.servers import EmptyBucket

DAYS = ["2026-03-07", "2026-03-08", "2026-05-01", "2026-05-02", "2026-10-31", "2026-11-01"]
PREFIX = "warehouse/miso"
TABLES = ["cleared", "forecast", "load", "load_vintages", "snapshots"]


def put_all(root, documents):
    for key, body in documents:
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


def upload(bucket, documents):
    for key, body in documents:
        bucket.client.put_object(Bucket=bucket.name, Key=key, Body=body)


@pytest.fixture(scope="module")
def documents():
    """An archive with everything, [(key, bytes), ...], and files that are none of its snapshots."""
    found = messy_archive.documents(1, DAYS)
    folder = os.path.dirname(found[0][0])
    body = found[0][1]
    return [
        *found,
        (f"{folder}/notes.txt", b"of somebody"),
        (f"{folder}/realtime_total_load_20260307_120000.json.gz.bak", body),
        (f"{folder}/.realtime_total_load_20260307_120000.json.gz.partial", body[:40]),
        (f"{samples.ROOT}/quarantine/2026/03/07/0123456789abcdef0123456789abcdef.gz", body),
    ]


@pytest.fixture(scope="module")
def expected(documents):
    return table_files.without_empty_days(naive_fold.fold(dict(documents)))


def export(directory, env, *args):
    """Run `scrapy export` in *directory*, for a fixture that several tests share."""
    clean = {name: value for name, value in os.environ.items() if not FOREIGN.match(name)}
    done = warm_start.run(
        [SCRAPY, "export", *args],
        cwd=directory,
        env={**clean, "SCRAPY_SETTINGS_MODULE": "miso_scrapy.settings", **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=120,
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def directory(tmp_path_factory, documents):
    """A directory with the archive below data, and its tables below tables."""
    directory = tmp_path_factory.mktemp("messy")
    put_all(directory / "data", documents)
    # Damaged files: the rest is exported, and the exit status is 1.
    assert export(directory, {}, "-o", "tables").returncode == 1
    return directory


@pytest.fixture(scope="module")
def s3_tables(_s3, tmp_path_factory, documents):
    """A bucket with the archive, and with its tables below PREFIX of a bucket of their own."""
    archive, warehouse = EmptyBucket(_s3), EmptyBucket(_s3)
    upload(archive, documents)
    where = f"s3://{warehouse.name}/{PREFIX}"
    done = export(tmp_path_factory.mktemp("s3"), archive.settings, "-o", where)
    assert done.returncode == 1
    assert where in done.stdout
    return warehouse


# --- The fold itself --------------------------------------------------------------------------


def test_the_naive_fold_says_what_a_person_works_out():
    day, other = "2026-05-01", "2026-05-03"

    def at(clock):
        return est(day, clock)

    def collected(clock):
        return at(clock) + timedelta(seconds=30)

    def filed(clock, candidate, *args):
        data = samples.data(at(clock), *args)
        return samples.path_of(at(candidate)), samples.document(data, at(candidate))

    files = dict(
        [
            filed("00:00", "00:00", {"00:00": 5}, {1: 10}),
            filed("00:05", "00:10", {"00:00": 7, "00:05": 1}, {1: 11}),
            filed("00:05", "00:05", {"00:00": 5, "24:00": 3}, {1: 10, 0: 4}),
            filed("00:15", "00:15", {"00:00": 7}, {1: 11}),
            filed("23:55", "23:50", {"23:55": 2}),
        ]
    )
    across, another, damaged = (
        samples.path_of(est(*candidate))
        for candidate in [("2026-05-02", "00:05"), (other, "12:00"), (other, "12:05")]
    )
    files[across] = samples.document(
        samples.data(at("23:55"), {"23:55": 4}), est("2026-05-02", "00:05")
    )
    files[another] = samples.document(samples.data(at("12:00"), {"12:00": 9}), est(other, "12:00"))
    files[damaged] = b"no gzip"
    told = naive_fold.fold(files)
    first, second, last = told["load"][day]
    assert list(first.values()) == [
        at("00:00"), 7.0, at("00:00"), at("00:15"), 1, 5.0, collected("00:00"), collected("00:10"),
        2.0, at("00:05"),
    ]  # fmt: skip
    assert (second["load_mw"], second["revisions"], second["largest_revision_mw"]) == (1.0, 0, 0.0)
    # The same interval twice: what was collected later is believed.
    assert (last["load_mw"], last["first_load_mw"]) == (4.0, 2.0)
    assert last["collected"] == est("2026-05-02", "00:05") + timedelta(seconds=30)
    assert [(row["load_mw"], row["collected"]) for row in told["load_vintages"][day]][:2] == [
        (5.0, collected("00:00")), (7.0, collected("00:10")),
    ]  # fmt: skip
    assert [(row["forecast_mw"], row["published"]) for row in told["forecast"][day]] == [
        (10.0, at("00:00")), (11.0, at("00:05")),
    ]  # fmt: skip
    assert told["forecast"][day][0]["hour_end"] == at("01:00")
    assert [row["dropped_rows"] for row in told["snapshots"][day]] == [0, 2, 0, 0, 0, 0]
    assert [(row["fault"], row["filed_under_another_day"]) for row in told["snapshots"][other]] == [
        (False, True), (True, False),
    ]  # fmt: skip


def test_the_messy_archive_has_everything(documents, expected):
    """Otherwise the tests below would not say much."""
    load = [row for rows in expected["load"].values() for row in rows]
    files = [row for rows in expected["snapshots"].values() for row in rows]
    assert sum(row["revisions"] > 2 for row in load) > 50
    assert sum(row["first_load_mw"] == row["load_mw"] and row["revisions"] > 1 for row in load) > 50
    assert len(load) < 6 * 288
    assert any(row["collected"] is None for row in load)
    assert any(row["first_collected"] is None for row in load)
    assert any(row["first_collected"] != row["collected"] for row in load)
    assert len(expected["forecast"]["2026-05-01"]) > 60
    for fact in ("fault", "filed_under_another_day", "dropped_rows"):
        assert sum(bool(row[fact]) for row in files) >= 4
    intervals = [row["interval"] for row in files if not row["filed_under_another_day"]]
    assert len(intervals) - len(set(intervals)) > 15
    across = [
        row
        for day, rows in expected["snapshots"].items()
        for row in rows
        if row["candidate"] - est(day) >= timedelta(days=1)
    ]
    assert across
    good = {row["key"] for row in files if not row["fault"]}
    texts = [gzip.decompress(body) for key, body in documents if key in good]
    for label in (b'"Time": "12:00:00"', b'"Time": "12:00"'):
        assert sum(label in text for text in texts) > 10


# --- The tables -------------------------------------------------------------------------------


def test_the_tables_of_a_directory_equal_a_naive_fold_of_its_files(directory, expected):
    found = table_files.tables(table_files.in_directory(directory / "tables"))
    assert table_files.differences(found, expected) == []


def test_the_tables_in_s3_of_a_bucket_equal_a_naive_fold_of_its_files(s3_tables, expected):
    files = table_files.in_bucket(s3_tables.client, s3_tables.name, PREFIX)
    assert table_files.differences(table_files.tables(files), expected) == []
    # Nothing lies beside them but what was remembered.
    keys = s3_tables.keys()
    others = {key.removeprefix(f"{PREFIX}/") for key in keys} - set(files)
    assert others == {"_manifest.json"}


def test_the_order_in_which_files_come_makes_no_difference(tmp_path, scrapy):
    """One export after each part of the archive gives what one export of all gives."""
    documents = messy_archive.documents(2, DAYS[2:5])
    size = len(documents) // 3 + 1
    for begin in range(0, len(documents), size):
        put_all(tmp_path / "data", documents[begin : begin + size])
        done = scrapy("export", "-o", "tables")
        assert "no longer has" not in done.stdout
    expected = table_files.without_empty_days(naive_fold.fold(dict(documents)))
    found = table_files.tables(table_files.in_directory(tmp_path / "tables"))
    assert table_files.differences(found, expected) == []


@pytest.mark.parametrize(
    "collected_at", [None, "2026-05-01T05:06:00Z"], ids=["unknown", "the same"]
)
def test_two_vintages_of_one_publication_survive_the_next_export(tmp_path, scrapy, collected_at):
    """Nothing of the archive is lost here: a file is added, and the export is run again."""
    day, root = "2026-05-01", tmp_path / "data"
    files = {}
    for candidate, mw in [("00:05", 1), ("00:10", 2)]:
        at = est(day, "00:05")
        body = samples.document(samples.data(at, {"00:00": mw}), est(day, candidate))
        document = json.loads(gzip.decompress(body))
        document["collection_metadata"]["collected_at"] = collected_at
        body = gzip.compress(json.dumps(document).encode())
        files[samples.path_of(est(day, candidate))] = body
        put_all(root, files.items())
        done = scrapy("export", "-o", "tables")
    expected = table_files.without_empty_days(naive_fold.fold(files))
    assert [row["load_mw"] for row in expected["load_vintages"][day]] == [1.0, 2.0]
    found = table_files.tables(table_files.in_directory(tmp_path / "tables"))
    assert table_files.differences(found, expected) == []
    assert "no longer has" not in done.stdout


def test_a_range_of_days_is_that_part_of_the_tables(tmp_path, scrapy, directory, expected):
    done = scrapy(
        "export", "-o", "tables", "--start", "2026-03-08", "--end", "2026-05-02",
        env={"MISO_DATA_DIR": str(directory / "data")},
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    part = {
        table: {day: rows for day, rows in days.items() if "2026-03-08" <= day < "2026-05-02"}
        for table, days in expected.items()
    }
    found = table_files.tables(table_files.in_directory(tmp_path / "tables"))
    assert table_files.differences(found, part) == []


def test_the_audit_from_tables_says_what_the_audit_of_the_files_says(
    tmp_path, scrapy, directory, s3_tables
):
    """Text and JSON, complaints and exit status: of all days, of some, of days without files."""

    def told(*args, env=None):
        env = {"MISO_DATA_DIR": str(directory / "data"), **(env or {})}
        done = scrapy("audit", *args, env=env)
        assert "Traceback" not in done.stderr
        out = done.stdout
        if "--json" in args and out:
            out = json.loads(out)
            for figures in (*out["days"], out["total"]):
                figures.pop("newest_age_minutes")  # a minute may pass
        return done.returncode, sorted(done.stderr.splitlines()), out

    tables = str(directory / "tables")
    for args in [
        ("--json",),
        (),
        ("--json", "--start", "2026-03-08", "--end", "2026-05-02"),
        ("--json", "--start", "2026-02-01", "--end", "2026-02-03"),
    ]:
        assert told(*args, "--tables", tables) == told(*args)
    assert told("--json", env={"MISO_TABLES": tables}) == told("--json")
    # Tables that are not there yet are made.
    assert told("--json", "--tables", str(tmp_path / "new")) == told("--json")
    assert table_files.in_directory(tmp_path / "new").keys() == (
        table_files.in_directory(directory / "tables").keys()
    )


def test_a_snapshot_near_midnight_that_does_not_cover_its_candidate_is_left_out(tmp_path, scrapy):
    """The tables leave out what was stored for another day: here by 20 minutes, and by 12 hours."""
    root = tmp_path / "data"
    first, second = "2026-05-01", "2026-05-02"
    samples.file(root, first, "23:50", {"23:50": 1}, candidate=est(second, "00:10"))
    samples.file(root, second, "12:00", {"12:00": 1}, candidate=est(first, "23:50"))
    samples.file(root, first, "12:00", {"12:00": 1}, candidate=est(first, "12:00"))
    scrapy("export", "-o", "tables")
    files = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.gz")}
    expected = table_files.without_empty_days(naive_fold.fold(files))
    assert [len(rows) for rows in expected["load"].values()] == [1]
    found = table_files.tables(table_files.in_directory(tmp_path / "tables"))
    assert table_files.differences(found, expected) == []


# --- Who reads them from S3 -------------------------------------------------------------------


def sums(expected, table):
    """Return {market day: (rows, sum of the MW)} of *table*."""
    column = f"{table.removesuffix('_vintages')}_mw"
    return {
        day: (len(rows), sum(row[column] for row in rows)) for day, rows in expected[table].items()
    }


@pytest.fixture
def arrow_s3(s3_tables):
    return pyarrow.fs.S3FileSystem(
        access_key="testing",
        secret_key="testing-secret",
        region="us-east-1",
        endpoint_override=s3_tables.endpoint.removeprefix("http://"),
        scheme="http",
    )


@pytest.mark.parametrize("table", ["load", "load_vintages", "forecast", "cleared"])
def test_polars_duckdb_and_pandas_read_the_tables_from_s3(s3_tables, arrow_s3, expected, table):
    mw = f"{table.removesuffix('_vintages')}_mw"
    where = f"{s3_tables.name}/{PREFIX}/{table}"
    wanted = sums(expected, table)

    lazy = polars.scan_parquet(
        f"s3://{where}/**/*.parquet",
        hive_partitioning=True,
        storage_options={
            "aws_endpoint_url": s3_tables.endpoint,
            "aws_allow_http": "true",
            "aws_access_key_id": "testing",
            "aws_secret_access_key": "testing-secret",
            "aws_region": "us-east-1",
        },
    )
    counted = lazy.group_by("market_day").agg(polars.len(), polars.col(mw).sum().alias("sum"))
    found = {str(day): (rows, total) for day, rows, total in counted.collect().rows()}
    assert found == wanted

    # DuckDB's own reader of S3, httpfs, is downloaded at run time: here Arrow reads for it.
    connection = duckdb.connect()
    connection.register(
        "parts", pyarrow.dataset.dataset(where, filesystem=arrow_s3, partitioning="hive")
    )
    query = f"select market_day, count(*), sum({mw}) from parts group by all"
    found = connection.execute(query).fetchall()
    assert {str(day): (rows, total) for day, rows, total in found} == wanted

    frame = pandas.read_parquet(where, filesystem=arrow_s3)
    grouped = frame.groupby("market_day", observed=True)[mw].agg(["count", "sum"])
    found = {str(day): (rows, total) for day, rows, total in grouped.itertuples()}
    assert found == wanted
    assert str(frame["collected"].dt.tz) == "UTC"


def test_duckdb_reads_the_tables_from_s3_by_their_names(s3_tables, arrow_s3, expected):
    """By read_parquet and a glob, as with httpfs, over a file system of fsspec."""
    from fsspec.implementations.arrow import ArrowFSWrapper

    class S3(ArrowFSWrapper):
        protocol = "miso"

        @classmethod
        def _strip_protocol(cls, path):
            return path.removeprefix("miso://")

    connection = duckdb.connect()
    connection.register_filesystem(S3(arrow_s3))
    found = connection.execute(
        f"select market_day::varchar, count(*), sum(load_mw) from read_parquet("
        f"'miso://{s3_tables.name}/{PREFIX}/load/*/*.parquet', hive_partitioning=true) group by all"
    ).fetchall()
    assert {day: (rows, total) for day, rows, total in found} == sums(expected, "load")


# --- CSV --------------------------------------------------------------------------------------


def parsed(text):
    """Return {market day: rows} of a CSV, in the types of the table, checking its EST columns."""
    found = {}
    for line in csv.DictReader(text.splitlines()):
        row = {}
        for name, value in line.items():
            if name.endswith("_utc"):
                at = datetime.fromisoformat(value).replace(tzinfo=UTC) if value else None
                local = line[f"{name.removesuffix('_utc')}_est"]
                assert (
                    datetime.fromisoformat(local).replace(tzinfo=samples.EST) if local else None
                ) == at
                row[name.removesuffix("_utc")] = at
            elif name.endswith("_mw"):
                row[name] = float(value)
            elif name in ("revisions", "rows", "dropped_rows"):
                row[name] = int(value)
            elif name in ("fault", "dropped_why"):
                row[name] = bool(value)
            elif name == "filed_under_another_day":
                row[name] = {"true": True, "false": False}[value]
            elif not name.endswith("_est"):
                row[name] = value
        found.setdefault(row.pop("market_day"), []).append(row)
    return found


def test_csv_of_each_table_by_its_name_has_all_that_the_table_has(
    tmp_path, scrapy, directory, expected, bucket
):
    env = {"MISO_DATA_DIR": str(directory / "data")}
    scrapy("export", "-o", "all", "--format", "csv", env=env)
    assert sorted(os.listdir(tmp_path / "all")) == [f"{table}.csv" for table in TABLES]
    texts = {table: (tmp_path / "all" / f"{table}.csv").read_text() for table in TABLES}
    for table, text in texts.items():
        assert table_files.differences({table: parsed(text)}, {table: expected[table]}) == []
    for table in ("load", "load_vintages", "snapshots"):
        assert scrapy("export", "-o", f"{table}.csv", env=env).returncode == 1
        assert (tmp_path / f"{table}.csv").read_text() == texts[table]
    # A name that is none of a table's is the load.
    scrapy("export", "-o", "data-of-ours.csv", env=env)
    assert (tmp_path / "data-of-ours.csv").read_text() == texts["load"]
    # And into a bucket: by name, and all.
    env |= {name: value for name, value in bucket.settings.items() if name != "S3_BUCKET"}
    scrapy("export", "-o", f"s3://{bucket.name}/forecast.csv", env=env)
    scrapy("export", "-o", f"s3://{bucket.name}/deep/er", "--format", "csv", env=env)
    assert bucket.keys() == sorted(["forecast.csv", *(f"deep/er/{table}.csv" for table in TABLES)])
    keys = bucket.keys()
    for key in keys:
        body = bucket.client.get_object(Bucket=bucket.name, Key=key)["Body"].read()
        assert body.decode() == texts[os.path.basename(key).removesuffix(".csv")]
