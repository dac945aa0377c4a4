"""--start, --end and --last of `scrapy export`, `audit` and `report`, and what they list."""

import json
from datetime import datetime, timedelta
from functools import partial

import pytest

from tests.support import samples
from tests.support.samples import est
from tests.support.tcp_proxy import Proxy

DAY = timedelta(days=1)


@pytest.fixture
def today():
    return datetime.now(samples.EST).date()


@pytest.fixture
def listings(bucket, monkeypatch):
    """A bucket that lists five objects a request: run a command on it, and count its LISTs."""
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "5")

    def count(scrapy, *args):
        proxy = Proxy(int(bucket.endpoint.rsplit(":", 1)[1]))
        sent = set()
        for number in range(1, 40):
            proxy.when(rb"GET \S*list-type=2\S* ", number, partial(sent.add, number))
        try:
            done = scrapy(
                *args, env={**bucket.settings, "AWS_ENDPOINT_URL": f"http://{proxy.address}"}
            )
        finally:
            proxy.stop()
        return done, len(sent)

    return count


def put(bucket, candidate):
    body = samples.document(samples.data(candidate, {"00:00": 1}), candidate)
    bucket.client.put_object(Bucket=bucket.name, Key=samples.path_of(candidate), Body=body)


def test_of_a_bucket_only_the_part_that_a_range_needs_is_listed(scrapy, bucket, listings, today):
    for number in range(-40, 11):  # the last ten are in the future
        put(bucket, est(today + number * DAY, "12:00"))
    for number in range(20):
        key = f"{samples.ROOT}/quarantine/{number:032x}.json.gz"
        bucket.client.put_object(Bucket=bucket.name, Key=key, Body=b"")

    def exported(*args):
        done, sent = listings(scrapy, "export", "-o", "-".join(("tables", *args)), *args)
        assert (done.returncode, done.stderr) == (0, "")
        return int(done.stdout.split()[0]), sent

    assert exported("--start", str(today - 2 * DAY)) == (3, 1)
    assert exported("--start", str(today - 9 * DAY)) == (10, 3)
    assert exported("--end", str(today - 38 * DAY)) == (2, 1)
    assert exported("--start", str(today - 30 * DAY), "--end", str(today - 29 * DAY)) == (1, 1)
    assert exported("--last", "2") == (2, 1)
    assert exported() == (51, 11)  # and nothing of the quarantine


def test_the_last_days_are_shown_whether_they_have_files_or_not(tmp_path, scrapy, today):
    samples.file(tmp_path / "data", today - 3 * DAY, "12:00", {"00:00": 1})
    samples.file(tmp_path / "data", today - 1 * DAY, "12:00", samples.until("12:00", 1))
    done = scrapy("audit", "--json", "--last", "3")
    assert (done.returncode, done.stderr) == (1, "")
    days = {each["day"]: each["values"] for each in json.loads(done.stdout)["days"]}
    assert days == {str(today - 2 * DAY): 0, str(today - 1 * DAY): 145, str(today): 0}
    done = scrapy("report", "-o", "report.html", "--last", "3")
    assert done.stdout.startswith("3 days reported"), done.stderr
    done = scrapy("export", "-o", "tables", "--last", "3")
    assert done.stdout.startswith("1 day exported"), done.stderr
    done = scrapy("audit", "--last", "1")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert str(today) in done.stderr


@pytest.mark.parametrize("command", ["audit", "export -o x", "report -o x"])
def test_a_range_that_is_not_clear_is_a_usage_error_of_one_line(tmp_path, scrapy, command, today):
    samples.file(tmp_path / "data", today, "00:00", {"00:00": 1})
    for args in (
        "--last 0", "--last -1", "--last week", "--last 1.5", "--last 1000000",
        "--last 7 --start 2026-01-01", "--last 7 --end 2026-01-01",
    ):  # fmt: skip
        done = scrapy(*command.split(), *args.split())
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert "--last" in line
    assert not (tmp_path / "x").exists()
