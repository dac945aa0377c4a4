"""gridstatus has a parser of this feed of its own: given the same answer, it says the same."""

import csv

import pytest
import requests

gridstatus = pytest.importorskip("gridstatus")

NOW = "2026-07-27T13:10:00+00:00"


def test_its_parser_finds_the_same_intervals_and_values(tmp_path, feed, crawl, scrapy, monkeypatch):
    feed.set(clock=NOW)
    assert crawl(start=NOW, end=NOW).outcomes == {"stored": 1}
    done = scrapy("export", "--format", "csv", "-o", "load.csv")
    assert (done.returncode, done.stderr) == (0, "")
    rows = list(csv.DictReader((tmp_path / "load.csv").open()))
    ours = [(f"{row['interval_start_utc']}+00:00", float(row["load_mw"])) for row in rows]

    get = requests.get
    monkeypatch.setattr(requests, "get", lambda url, **options: get(feed.url, **options))
    monkeypatch.setattr(gridstatus.utils, "is_today", lambda day, tz: True)  # it knows no other
    frame = gridstatus.MISO().get_load("today")
    starts = frame["Interval Start"].dt.tz_convert("UTC").astype(str)
    assert len(ours) == 8 * 12 + 3
    assert ours == list(zip(starts, frame["Load"].astype(float), strict=True))
