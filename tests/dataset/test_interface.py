"""The Python interface: what an analyst gets from one line, from files, tables and S3."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas
import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import miso_scrapy
from tests.support import samples
from tests.support.documentation import fences, page
from tests.support.samples import EST, est

DAY, NEXT = "2026-05-01", "2026-05-02"
S3_ARGUMENTS = {
    "AWS_ACCESS_KEY_ID": "aws_access_key_id",
    "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key",
    "AWS_DEFAULT_REGION": "region_name",
    "AWS_ENDPOINT_URL": "endpoint_url",
}
TABLES = ("load", "load_vintages", "forecast", "cleared", "snapshots")


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """An archive in which what is known of 00:00 and of hour 1 changes from snapshot to snapshot."""
    root = tmp_path_factory.mktemp("known") / "data"
    samples.file(root, DAY, "00:00", {"00:00": 100}, {1: 10, 2: 20}, {1: 1})
    # Published at 00:05, and collected forty minutes later, after the snapshot that follows it.
    samples.file(
        root, DAY, "00:05", {"00:00": 110, "00:05": 5}, {1: 11, 2: 20}, {1: 1},
        collected_at=est(DAY, "00:45"),
    )  # fmt: skip
    samples.file(root, DAY, "00:10", {"00:00": 120, "00:10": 9.5}, {1: 12, 2: 20}, {1: 2})
    samples.file(root, NEXT, "12:00", samples.until("12:00", 1000), {13: 7}, {13: 8})
    samples.put(root, est(DAY, "12:00"), b"damaged")
    return root


@pytest.fixture(scope="module")
def exported(known, tmp_path_factory):
    """Its tables."""
    target = tmp_path_factory.mktemp("exported") / "tables"
    miso_scrapy.open_archive(known, tables=target).load()
    return target


@pytest.fixture(params=["files", "tables", "both"])
def archive(request, known, exported, tmp_path):
    """The archive, read from its files, from its tables, and from tables that it is brought up to."""
    if request.param == "files":
        return miso_scrapy.open_archive(known)
    if request.param == "tables":
        return miso_scrapy.open_archive(exported)
    return miso_scrapy.open_archive(known, tables=tmp_path / "new")


def values(table, *columns):
    return [tuple(row[name] for name in columns) for row in table.to_pylist()]


def test_files_and_tables_give_the_same_answers(archive, known):
    plain = miso_scrapy.open_archive(known)
    for name in TABLES:
        ours, theirs = (getattr(each, name)(DAY, "2026-05-03") for each in (archive, plain))
        assert ours.equals(theirs)
        assert ours.num_rows
        assert ours["market_day"].unique().to_pylist() == [date(2026, 5, 1), date(2026, 5, 2)]
    assert archive.audit(DAY, "2026-05-03").equals(plain.audit(DAY, "2026-05-03"))


def test_only_the_days_asked_for_are_in_the_answer(archive):
    assert {row[0] for row in values(archive.load(NEXT), "market_day")} == {date(2026, 5, 2)}
    assert values(archive.load(DAY, NEXT), "load_mw") == [(120,), (5,), (9.5,)]
    assert archive.load(date(2026, 4, 1), date(2026, 5, 1)).num_rows == 0
    assert archive.load("2026-04-01", "2026-05-01").schema.names[0] == "market_day"


def test_an_answer_as_of_a_time_has_nothing_that_was_collected_later(archive):
    def load(clock):
        return values(
            archive.load(DAY, NEXT, as_of=est(DAY, clock)),
            "load_mw", "first_published", "last_published", "revisions",
        )  # fmt: skip

    at = [est(DAY, clock) for clock in ("00:00", "00:05", "00:10")]
    assert load("00:00") == []
    assert load("00:02") == [(100, at[0], at[0], 0)]
    # The snapshot of 00:10 is known, and that of 00:05 is not.
    assert load("00:30") == [(120, at[0], at[2], 1), (9.5, at[2], at[2], 0)]
    assert load("00:45") == [(120, at[0], at[2], 2), (5, at[1], at[1], 0), (9.5, at[2], at[2], 0)]
    hour = values(archive.forecast(DAY, NEXT, as_of=est(DAY, "00:30")), "forecast_mw", "published")
    assert hour == [(10, at[0]), (12, at[2]), (20, at[0])]
    assert archive.snapshots(DAY, NEXT, as_of=est(DAY, "00:30")).num_rows == 2
    (day,) = archive.audit(DAY, NEXT, as_of="2026-05-01T00:30-05:00").to_pylist()
    assert (day["values"], day["values_missing"], day["snapshots"]) == (2, 4, 2)


def test_an_answer_as_of_a_time_has_changes_only(tmp_path):
    """The value between two equal ones was not known by then."""
    root = tmp_path / "data"
    samples.file(root, DAY, "00:00", {"00:00": 100}, {1: 10}, {1: 1})
    samples.file(
        root, DAY, "00:05", {"00:00": 110}, {1: 11}, {1: 2}, collected_at=est(DAY, "00:45")
    )
    samples.file(root, DAY, "00:10", {"00:00": 100}, {1: 10}, {1: 1})
    archive = miso_scrapy.open_archive(root)
    for clock, changes in [("00:30", 0), ("00:45", 2)]:
        asked = {"as_of": est(DAY, clock)}
        (row,) = archive.load(DAY, NEXT, **asked).to_pylist()
        assert (row["load_mw"], row["revisions"]) == (100, changes)
        assert row["last_published"] == est(DAY, "00:10")
        for name in ("load_vintages", "forecast", "cleared"):
            assert getattr(archive, name)(DAY, NEXT, **asked).num_rows == changes + 1


@given(st.data())
@settings(max_examples=30)
def test_as_of_a_time_files_give_what_an_archive_of_only_what_was_collected_gives(drawn):
    with TemporaryDirectory() as both:
        whole, then = Path(both) / "whole", Path(both) / "then"
        as_of = est(DAY) + timedelta(minutes=drawn.draw(st.integers(0, 60)))
        samples.put(then, est(NEXT, "12:00"), b"")  # so that it is an archive
        for number in range(6):
            at = est(DAY) + number * samples.INTERVAL
            mw = st.sampled_from([100, 110])
            load = drawn.draw(st.dictionaries(st.sampled_from(["00:00", "00:05"]), mw))
            hours = drawn.draw(st.dictionaries(st.sampled_from([1, 2]), mw))
            collected = at + timedelta(minutes=drawn.draw(st.integers(0, 30)))
            body = samples.document(samples.data(at, load, hours, hours), at, collected)
            for root in (whole, then)[: 2 if collected <= as_of else 1]:
                samples.put(root, at, body)
        for name in (*TABLES, "audit"):
            asked = {"as_of": as_of} if name == "audit" else {}
            expected = getattr(miso_scrapy.open_archive(then), name)(DAY, NEXT, **asked)
            answer = getattr(miso_scrapy.open_archive(whole), name)(DAY, NEXT, as_of=as_of)
            assert answer.equals(expected)


def test_times_are_in_the_zone_that_is_asked_for(archive):
    for name in (*TABLES, "audit"):
        table = getattr(archive, name)(DAY, NEXT, tz="EST")
        zones = {field.type.tz for field in table.schema if str(field.type).startswith("timestamp")}
        assert zones == {"EST"}
    (gap, *_), *_ = archive.audit(DAY, NEXT, tz="EST")["missing"].to_pylist()
    assert gap["first"].utcoffset() == timedelta(hours=-5)
    (first, *_) = archive.load(DAY, NEXT, tz="America/Chicago")["interval_start"].to_pylist()
    assert first.isoformat() == "2026-05-01T00:00:00-05:00"  # daylight saving time
    assert first == est(DAY)


def test_pandas_and_polars_take_the_tables_as_they_are(archive):
    load = archive.load()
    frame = load.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert str(frame["interval_start"].dt.tz) == "UTC"
    assert polars.from_arrow(load)["load_mw"].sum() == frame["load_mw"].sum()


def test_the_audit_has_the_figures_of_the_command(known, scrapy):
    told = json.loads(
        scrapy("audit", "--json", "--end", "2026-05-04", env={"MISO_DATA_DIR": str(known)}).stdout
    )
    days = miso_scrapy.open_archive(known).audit(end="2026-05-04").to_pylist()
    assert [str(day["market_day"]) for day in days] == [day["day"] for day in told["days"]]
    for ours, theirs in zip(days, told["days"], strict=True):
        for name in ("snapshots", "values", "values_missing", "healed", "unreadable_files"):
            assert ours[name] == theirs[name]
        assert [gap["values"] for gap in ours["missing"]] == [
            gap["values"] for gap in theirs["missing"]
        ]


def test_without_an_end_an_answer_goes_up_to_today(tmp_path):
    now = datetime.now(UTC) - timedelta(minutes=10)
    today = str((now - timedelta(hours=5)).date())
    clock = f"{now - timedelta(hours=5):%H}:00"
    samples.file(tmp_path, today, clock, {clock: 1})
    (day,) = miso_scrapy.open_archive(tmp_path).audit(today).to_pylist()
    assert (str(day["market_day"]), day["values"]) == (today, 1)


def test_the_audit_has_no_days_of_the_future_unless_they_have_files(tmp_path):
    today = datetime.now(UTC).astimezone(EST).date()
    yesterday, soon, later = (today + timedelta(number) for number in (-1, 5, 20))
    root = tmp_path / "data"
    samples.file(root, str(yesterday), "12:00", {"12:00": 1})

    def audited(archive, end, **as_of):
        return archive.audit(yesterday, end, **as_of)["market_day"].to_pylist()

    archives = [
        miso_scrapy.open_archive(root),
        miso_scrapy.open_archive(root, tables=tmp_path / "tables"),
    ]
    for archive in archives:
        assert audited(archive, later) == [yesterday, today]
        assert audited(archive, today) == [yesterday]
        assert archive.audit(soon, later).num_rows == 0
    samples.file(root, str(soon), "12:00", {"12:00": 1})
    for archive in archives:
        assert audited(archive, later)[-1] == soon
        assert audited(archive, later, as_of=est(str(yesterday), "13:00")) == [yesterday]


def test_tables_that_are_given_beside_an_archive_are_brought_up_to_date(known, tmp_path):
    root, target = tmp_path / "data", tmp_path / "tables"
    samples.file(root, DAY, "00:00", {"00:00": 100})
    archive = miso_scrapy.open_archive(root, tables=target)
    assert archive.load(DAY, NEXT).num_rows == 1
    samples.file(root, DAY, "00:05", {"00:05": 100})
    assert archive.load(DAY, NEXT).num_rows == 2
    assert miso_scrapy.open_archive(target).load(DAY, NEXT).num_rows == 2


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda a: a.load("May"), "start 'May' must be a date"),
        (lambda a: a.load(datetime(2026, 5, 1, tzinfo=UTC)), "must be a market day"),
        (lambda a: a.load("2026-05-02", "2026-05-02"), "the end is not included"),
        (lambda a: a.load(as_of="2026-05-02T12:00"), "must be a time with its offset"),
        (lambda a: a.load(as_of="noon"), "must be a time with its offset"),
        (lambda a: a.load(as_of=date(2026, 5, 2)), "must be a time with its offset"),
        (lambda a: a.load(as_of="0001-01-01T00:00Z"), "is too early or too late"),
        (lambda a: a.load(as_of=datetime.max.replace(tzinfo=UTC)), "is too early or too late"),
        (lambda a: a.load(tz="Mars"), "tz 'Mars' must be a time zone"),
        (lambda a: a.load(tz=None), "tz None must be a time zone"),
    ],
)
def test_a_wrong_argument_is_a_value_error_of_one_line(known, call, said):
    with pytest.raises(ValueError, match=said) as error:
        call(miso_scrapy.open_archive(known))
    assert "\n" not in str(error.value)


def test_what_cannot_be_opened_is_said_in_one_line(tmp_path, bucket):
    given = {argument: bucket.settings[name] for name, argument in S3_ARGUMENTS.items()}
    for location, options, said in [
        (tmp_path, {}, f"{tmp_path} holds no archive and no exported tables"),
        (tmp_path / "absent", {}, "cannot be read: No such file or directory; check the location"),
        ("s3://no-such-bucket", given, "the bucket no-such-bucket does not exist"),
        (f"s3://{bucket.name}", given, "holds no archive"),
    ]:
        with pytest.raises(miso_scrapy.ArchiveError, match=said) as error:
            miso_scrapy.open_archive(location, **options)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="must be a path or s3://BUCKET"):
        miso_scrapy.open_archive("gs://bucket")
    with pytest.raises(ValueError, match="tables must be a path or s3://BUCKET/PREFIX, not empty"):
        miso_scrapy.open_archive(tmp_path, tables="")


def test_the_example_of_the_documentation_runs_on_a_bucket_with_and_without_tables(
    tmp_path, scrapy, environment, bucket
):
    """As it stands: its bucket is called "bucket"."""
    days = ("--start", "2026-11-06", "--end", "2026-11-08")
    assert scrapy("simulate", "--write", "data", *days).returncode == 0
    bucket.client.create_bucket(Bucket="bucket")
    # A snapshot an hour, the last of each day among them: it has the day's load.
    for path in (tmp_path / "data").rglob("*.json.gz"):
        if not path.name.endswith("5500.json.gz"):
            path.unlink()
    for path in (tmp_path / "data").rglob("*.json*"):
        bucket.client.upload_file(str(path), "bucket", str(path.relative_to(tmp_path / "data")))
    tables = f"s3://{bucket.name}/tables"
    done = scrapy("export", "-o", tables, env={**bucket.settings, "S3_BUCKET": "bucket"})
    assert (done.returncode, done.stderr) == (0, "")
    (example,) = [code for code in fences(page("data/python"), "python") if "as_known" in code]
    for location in ("s3://bucket", tables, str(tmp_path / "data")):
        code = example.replace("s3://bucket", location)
        newest = "max(as_known['collected'].to_pylist())"
        checked = f"{code}\nprint(load.num_rows, as_known.num_rows, {newest})"
        run = subprocess.run(
            [sys.executable, "-c", checked],
            env={**environment, **bucket.settings},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert run.returncode == 0, run.stderr
        rows, hours, newest = run.stdout.split(maxsplit=2)
        assert int(rows) == 2 * 288
        assert int(hours) > 24
        assert datetime.fromisoformat(newest.strip()) <= est("2026-11-07", "06:00")


def test_the_import_takes_neither_scrapy_nor_arrow_and_the_interface_no_scrapy():
    code = (
        "import sys, miso_scrapy; assert not {'scrapy', 'pyarrow', 'boto3'} & sys.modules.keys();"
        "miso_scrapy.open_archive; assert not {'scrapy', 'twisted', 'boto3'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_notebook_completes_the_names_of_the_interface():
    code = (
        "import sys, miso_scrapy; names = set(dir(miso_scrapy)); assert 'pyarrow' not in sys.modules;"
        "assert names >= {'open_archive', 'Archive', 'ArchiveError', '__version__'}, names"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
