"""The distribution of the snapshots' ages, and the words for one of a kind."""

from datetime import UTC, date, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miso_scrapy.dataset.audit import DayFacts, audit
from miso_scrapy.dataset.day_values import DayValues
from miso_scrapy.report.ranges import audit_cells, bins, ranges, report_day


@pytest.mark.parametrize(
    ("ages", "start", "end"),
    [
        ([1.2] * 50, 0, 1.3),
        ([0.5, 1.0, 1.5, 2.0] * 20 + [9000.0], 0, 2.1),
        ([-20000.0] + [0.5, 1.0, 1.5, 2.0] * 20, 0, 2.1),
        ([509913.3, 509913.4, 509913.5], 509913.3, 509913.6),
    ],
)
def test_the_axis_fits_all_but_outliers(ages, start, end):
    first, width, counts = bins(sorted(ages))
    assert first == pytest.approx(start, abs=0.11)
    assert first + width * len(counts) == pytest.approx(end, abs=0.11)
    assert sum(counts) == sum(start <= age < end for age in ages)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1).map(sorted))
def test_every_age_is_in_its_bin_or_an_outlier(ages):
    start, width, counts = bins(ages)
    edges = [start + width * number for number in range(len(counts) + 1)]
    assert counts == [sum(a <= age < b for age in ages) for a, b in pairwise(edges)]
    assert 2 * sum(counts) >= len(ages)
    assert len(counts) <= 50


@pytest.mark.parametrize("minutes", [1.5, -1.5])
def test_a_single_snapshot_is_not_spoken_of_as_many(minutes):
    day = date(2025, 11, 1)
    nothing = [None] * 287
    values = DayValues(
        day, [80_000.0, *nothing], [[]] * 24, [], [True, *nothing], [minutes, *nothing], []
    )
    known = DayFacts(day, 1, 1, 0, 0, 0, 0, 1, 0, 0, None)
    shown = report_day(values, audit(known, datetime(2025, 12, 1, tzinfo=UTC)))
    captions = ranges([shown])["day"][0]["captions"]
    assert captions["map"].startswith("1 interval collected with its own snapshot, 0 healed ")
    when = "after" if minutes > 0 else "before"
    assert captions["age"] == (
        f"The snapshot was collected 1.5 min {when} the start of its interval."
    )
    assert list(audit_cells([shown], shown))[-1] == "1 dropped row"
