"""The candidates that the command line asks for."""

from datetime import UTC, datetime, timedelta

import pytest

CLOCK = "2025-12-05T12:35:00+00:00"


def candidates(archive):
    """The candidates that are filed: 20251205_120000."""
    return [path.removesuffix(".json.gz")[-15:] for path in archive.files()]


def now_on_the_grid():
    now = datetime.now(UTC)
    return now.replace(minute=now.minute // 5 * 5, second=0, microsecond=0)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"end": "2025-12-05"}, id="end without start"),
        pytest.param({"start": "2025-12-05", "end": "2025-12-04"}, id="end before start"),
        pytest.param({"start": "2025-02-29"}, id="no date"),
        pytest.param({"strat": "1"}, id="unknown argument"),
    ],
)
def test_wrong_usage_is_told_in_one_line_with_status_2_and_nothing_fetched(scrapy, feed, arguments):
    args = [part for name, value in arguments.items() for part in ("-a", f"{name}={value}")]
    done = scrapy("crawl", "miso_rtload", *args)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert any(name in done.stderr for name in arguments)
    assert feed.requests == []


def test_an_environment_of_another_name_is_refused(scrapy, feed):
    done = scrapy("crawl", "miso_rtload", "-s", "ENVIRONMENT=production")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "production" in done.stderr
    assert all(known in done.stderr for known in ("dev", "staging", "prod"))
    assert feed.requests == []


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        pytest.param(
            "2025-12-05T07:04:59.9-05:00",
            "2025-12-05T12:09:00Z",
            ["20251205_120000", "20251205_120500"],
            id="floored to the grid, end with a time inclusive, offsets",
        ),
        pytest.param(
            "2025-12-31T23:55",
            "2026-01-01T00:00",
            ["20251231_235500", "20260101_000000"],
            id="year end",
        ),
        pytest.param(
            "2024-02-29T23:50",
            "2024-03-01",
            ["20240229_235000", "20240229_235500"],
            id="bare date as end is exclusive, leap day",
        ),
    ],
)
def test_the_candidates_of_a_range(crawl, feed, archive, start, end, expected):
    feed.set(clock=CLOCK)
    env = {"MISO_REQUIRE_COVERAGE": "0"}
    run = crawl(start=start, end=end, skip_hash_check=1, env=env, interval=60)
    assert run.outcomes == {"stored": len(expected)}
    assert candidates(archive) == expected


def test_a_day_of_candidates_costs_one_fetch(crawl, feed, archive):
    feed.set(clock="2025-12-05T23:00:00+00:00")
    run = crawl(start="2025-12-05", end="2025-12-06", interval=60)
    # Until 05:00 UTC it is still 4 December where the market is.
    assert run.outcomes == {"stored": 1, "duplicate": 227, "uncovered": 60}
    assert run.stats["miso/candidates"] == 288
    assert len(feed.requests) == 1
    assert len(archive.files()) == 1


def test_without_arguments_the_current_interval_is_filed(crawl, feed, archive):
    before = now_on_the_grid()
    feed.set(clock=before.isoformat())
    run = crawl()
    after = now_on_the_grid()
    assert (run.status, run.outcomes) == (0, {"stored": 1})
    assert candidates(archive)[0] in {f"{before:%Y%m%d_%H%M%S}", f"{after:%Y%m%d_%H%M%S}"}
    assert len(feed.requests) == 1


def test_only_a_start_means_until_now(crawl, feed, archive):
    before = now_on_the_grid()
    feed.set(clock=before.isoformat())
    start = before - timedelta(minutes=10)
    env = {"MISO_REQUIRE_COVERAGE": "0"}
    run = crawl(start=start.isoformat(), skip_hash_check=1, env=env)
    steps = (now_on_the_grid() - start) // timedelta(minutes=5)
    assert run.status == 0
    filed = candidates(archive)
    expected = [f"{start + n * timedelta(minutes=5):%Y%m%d_%H%M%S}" for n in range(steps + 1)]
    assert filed in (expected, expected[:3])


def test_a_range_of_centuries_is_never_held_in_memory(crawl, feed):
    feed.set(clock=CLOCK, faults=["status=404"])
    settings = {"CLOSESPIDER_PAGECOUNT": 3}
    run = crawl(start="1000-01-01", end="2025-01-01", settings=settings)
    assert run.status == 1
    assert run.outcomes["failed"] >= 3
    assert run.stats["scheduler/enqueued"] < 100
