"""`scrapy audit`: what is there of each market day, what is missing, healed, revised."""

import json
import re
from datetime import UTC, date, datetime, timedelta

import pytest

from miso_scrapy.dataset.audit import audit, facts, total
from miso_scrapy.dataset.days import DayFiles, DayRange, days
from miso_scrapy.dataset.read import read
from miso_scrapy.store.directory import DirectoryStore
from tests.support import samples
from tests.support.samples import est

FIGURES = {"snapshots", "values", "healed", "revisions"}


@pytest.fixture
def holes(tmp_path):
    """An archive with all that an audit tells of, over five days; the third has no file."""
    root = tmp_path / "data"
    for number in range(288):  # a whole day
        clock = f"{number // 12:02d}:{number % 12 * 5:02d}"
        samples.file(root, "2026-03-07", clock, {clock: 100})
    # The day of the clock change: healed but for the end.
    for clock in ("00:00", "00:05", "00:30", "01:00", "03:00", "23:30"):
        samples.file(root, "2026-03-08", clock, samples.until(clock, 100))
    # Its own snapshot is there, its value is not, but for what a later one brought.
    samples.file(root, "2026-03-10", "00:00", {"00:00": 100})
    samples.file(root, "2026-03-10", "00:05", {"00:00": 107})
    samples.file(root, "2026-03-10", "00:20", {"00:00": 90, "00:10": 5, "00:20": 5.5})
    samples.file(root, "2026-03-10", "00:30", {"00:00": 90, "00:20": 5})
    # Filed under the next day, within the fifteen minutes.
    samples.file(
        root, "2026-03-11", "23:55", samples.until("23:55", 1), candidate=est("2026-03-12", "00:05")
    )
    return root


def test_the_figures_of_each_day_and_of_all(holes, scrapy):
    done = scrapy("audit", "--json", "--start", "2026-03-06", "--end", "2026-03-12")
    assert (done.returncode, done.stderr) == (1, "")
    told = json.loads(done.stdout)
    none, whole, spring, absent, sparse, last = told["days"]
    assert [day["day"] for day in told["days"]] == [f"2026-03-{n:02d}" for n in range(6, 12)]

    def figures(day):
        return [day[name] for name in ("snapshots", "values", "values_missing", "healed")]

    def missing(day):
        gaps = [(gap["first"], gap["last"], gap["values"]) for gap in day["missing"]]
        return [(first[11:16], last[11:16], count) for first, last, count in gaps]

    assert figures(whole) == [288, 288, 0, 0]
    assert missing(whole) == []
    for day in (none, absent):
        assert figures(day) == [0, 0, 288, 0]
        assert missing(day) == [("00:00", "23:55", 288)]
        assert (day["newest"], day["newest_age_minutes"]) == (None, None)
        assert day["longest_silence_minutes"] == 24 * 60
    assert absent["missing"][0]["first"] == "2026-03-09T00:00:00-05:00"

    assert figures(spring) == [6, 283, 5, 277]
    assert missing(spring) == [("23:35", "23:55", 5)]
    assert spring["longest_silence_minutes"] in (20 * 60 + 25, 20 * 60 + 30)
    assert spring["newest"] == "2026-03-09T04:30:00Z"

    assert figures(sparse) == [4, 3, 285, 1]
    assert missing(sparse) == [
        ("00:05", "00:05", 1), ("00:15", "00:15", 1), ("00:25", "23:55", 283),
    ]  # fmt: skip
    assert (sparse["revisions"], sparse["largest_revision_mw"]) == (3, 17)

    assert figures(last) == [1, 288, 0, 287]
    assert last["newest"] == "2026-03-12T04:55:00Z"
    total = told["total"]
    assert total["days"] == 6
    for name in ("snapshots", "values", "values_missing", "healed", "revisions"):
        assert total[name] == sum(day[name] for day in told["days"])
    assert total["largest_revision_mw"] == 17
    # From 00:30 on one day to 23:55 on the next: midnight does not end a silence.
    assert total["longest_silence_minutes"] == 47 * 60 + 20
    assert total["newest"] == last["newest"]
    age = datetime.now(UTC) - est("2026-03-11", "23:55")
    assert abs(total["newest_age_minutes"] - age // timedelta(minutes=1)) <= 2


def test_the_table_says_the_same_in_lines_to_read(holes, scrapy):
    done = scrapy("audit", "--start", "2026-03-06", "--end", "2026-03-12")
    told = json.loads(
        scrapy("audit", "--json", "--start", "2026-03-06", "--end", "2026-03-12").stdout
    )
    assert (done.returncode, done.stderr) == (1, "")
    head, *lines = done.stdout.splitlines()
    *rows, _, total = lines
    assert len(rows) == len(told["days"])
    for row, day in zip(rows, told["days"], strict=True):
        cells = re.split(r"  +", row)
        assert len(cells) == len(re.split(r"  +", head))
        assert cells[:4] == [
            day["day"], f"{day['snapshots']}/288", f"{day['values']}/288", str(day["healed"]),
        ]  # fmt: skip
        assert cells[4].split()[0] == str(day["revisions"])
        assert len(re.findall(r"\d\d:\d\d(?:-\d\d:\d\d)?", cells[-1])) == len(day["missing"])
    assert "3 (17 MW)" in rows[4]
    assert rows[2].endswith("23:35-23:55")
    assert rows[4].endswith("00:05, 00:15, 00:25-23:55")
    for number in ("6 days", "299 snapshots", "862 values", "565 of them healed", "866 missing"):
        assert number in total
    assert "3 revisions (17 MW)" in total


def test_without_a_range_it_is_the_archives_own_and_whole_days_exit_with_0(holes, scrapy):
    done = scrapy("audit")
    assert (done.returncode, done.stderr) == (1, "")
    days = re.findall(r"^\d{4}-\d\d-\d\d", done.stdout, re.MULTILINE)
    assert days == [f"2026-03-{n:02d}" for n in range(7, 12)]
    done = scrapy("audit", "--start", "2026-03-07", "--end", "2026-03-08")
    assert (done.returncode, done.stderr) == (0, "")
    assert "288/288" in done.stdout
    assert sorted(path.name for path in holes.iterdir()) == ["sourcing"]


def test_today_what_is_not_due_yet_is_not_missing(tmp_path, scrapy):
    now = datetime.now(UTC)
    today = now.astimezone(samples.EST).date()
    # As if it was collected just now; by the time of the audit it may be five minutes later.
    clocks = [f"{at.astimezone(samples.EST):%H:%M}" for at in samples.grid(today)]
    filed = [clock for clock in clocks if est(today, clock) <= now + 2 * samples.INTERVAL]
    load = samples.until(filed[-1], 1)
    samples.file(tmp_path / "data", today, filed[-1], load)
    end = str(today + timedelta(days=1))
    done = scrapy("audit", "--json", "--start", str(today), "--end", end)
    (day,) = json.loads(done.stdout)["days"]
    assert (done.returncode, done.stderr) == (0, "")
    assert (day["values"], day["values_missing"], day["missing"]) == (len(load), 0, [])


def audited(root, now, clocks=(), day="2026-11-01"):
    """What the audit says of *day* at *now*, of the snapshots of *clocks*."""
    for clock in clocks:
        samples.file(root, day, clock, samples.until(clock, 1))
    wanted = date.fromisoformat(day)
    store = DirectoryStore(root)
    found = days(store, DayRange(wanted, wanted + timedelta(days=1)))
    done = read(store, found[0] if found else DayFiles(wanted))
    return audit(facts(done.market_day), now)


@pytest.mark.parametrize(
    ("now", "missing"),
    [
        (("2026-10-31", "23:00"), []),
        (("2026-11-01", "00:00"), []),
        (("2026-11-01", "01:04"), []),
        (("2026-11-01", "01:20"), ["01:05-01:15"]),
        (("2026-11-01", "01:24"), ["01:05-01:15"]),
        (("2026-11-02", "00:00"), ["01:05-23:55"]),
        (("2026-12-01", "12:00"), ["01:05-23:55"]),
    ],
)
def test_an_interval_is_due_when_it_is_over(tmp_path, now, missing):
    done = audited(tmp_path, est(*now), ["01:00"])
    assert [str(gap) for gap in done.missing] == missing
    assert (done.values, done.healed) == (13, 12)


def test_the_silence_is_the_longest_of_what_was_due_the_days_ends_included(tmp_path):
    assert (
        audited(tmp_path / "none", est("2026-11-01", "06:00")).longest_silence.seconds == 6 * 3600
    )
    morning = audited(tmp_path / "morning", est("2026-11-02"), ["18:00", "18:05", "21:00"])
    assert morning.longest_silence == timedelta(hours=18)
    evening = audited(tmp_path / "evening", est("2026-11-02"), ["00:00", "02:00"])
    assert timedelta(hours=21, minutes=55) <= evening.longest_silence <= timedelta(hours=22)


def test_days_without_files_at_the_end_of_a_range_that_is_closed_are_told_of(tmp_path, scrapy):
    """A collector that died must not audit as complete."""
    for number in range(288):
        clock = f"{number // 12:02d}:{number % 12 * 5:02d}"
        samples.file(tmp_path / "data", "2026-05-01", clock, {clock: 100})
    told = {}
    for name, args in {"open": (), "closed": ("--end", "2026-05-04")}.items():
        done = scrapy("audit", "--json", "--start", "2026-05-01", *args)
        told[name] = (done.returncode, json.loads(done.stdout))
    status, result = told["open"]
    assert (status, len(result["days"]), result["total"]["values_missing"]) == (0, 1, 0)
    status, result = told["closed"]
    assert (status, len(result["days"]), result["total"]["values_missing"]) == (1, 3, 2 * 288)
    # From 23:55 on the first day to the end of the third.
    assert result["total"]["longest_silence_minutes"] == 2 * 24 * 60


def test_a_silence_goes_on_after_midnight_and_over_days(tmp_path):
    def silence(audits):
        return total(audits).longest_silence

    now = est("2026-11-04")
    first = audited(tmp_path / "a", now, ["00:00", "12:00"], "2026-11-01")
    none = audited(tmp_path / "b", now, [], "2026-11-02")
    last = audited(tmp_path / "c", now, ["06:00", "18:00"], "2026-11-03")
    # 12:05 to 24:00, a whole day, and 00:00 to 06:00.
    assert silence([first, none, last]) == timedelta(hours=11, minutes=55 + 24 * 60 + 6 * 60)
    # Of one day the silence before its first snapshot and after its last is its own.
    assert silence([first]) == timedelta(hours=11, minutes=55)
    early = audited(tmp_path / "d", now, ["22:00"], "2026-11-03")
    assert silence([early]) == timedelta(hours=22)
    assert silence([first, none]) == timedelta(hours=11, minutes=55 + 24 * 60)


def test_a_day_of_the_future_that_has_files_is_told_of(tmp_path, scrapy):
    samples.file(tmp_path / "data", "2099-05-01", "12:00", samples.until("12:00", 100))
    done = scrapy("audit", "--json", "--start", "2099-05-01", "--end", "2099-05-02")
    assert (done.returncode, done.stderr) == (0, "")
    (day,) = json.loads(done.stdout)["days"]
    assert (day["snapshots"], day["values"], day["values_missing"]) == (1, 145, 0)
