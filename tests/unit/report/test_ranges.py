"""The distribution of the snapshots' ages."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miso_scrapy.report.ranges import bins


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
