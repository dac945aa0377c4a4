from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miso_scrapy.feed.ref_id import iso_utc, live_ref_id, parse_ref_id

INTERVALS = st.integers(0, 2**31 // 300).map(lambda n: datetime.fromtimestamp(n * 300, UTC))
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def parsed(ref_id):
    interval = parse_ref_id(ref_id)
    assert interval.utcoffset() == timedelta(0)
    return f"{interval:%Y-%m-%dT%H:%M:%S}"


def test_the_live_shape_is_eastern_standard_time():
    assert parsed("27-Jul-2026 - Interval 08:10 EST") == "2026-07-27T13:10:00"


def test_the_documented_shape_is_utc():
    assert parsed("2025-12-05T12:35:00Z") == "2025-12-05T12:35:00"


@pytest.mark.parametrize("ref_id", ["2025-12-05T12:35:00+00:00", "2025-12-05T07:35:00-05:00"])
def test_an_iso_offset_is_honoured(ref_id):
    assert parsed(ref_id) == "2025-12-05T12:35:00"


@pytest.mark.parametrize(("month", "name"), list(enumerate(MONTHS, 1)))
def test_every_month_is_known_by_its_english_name(month, name):
    assert parsed(f"15-{name}-2026 - Interval 12:00 EST") == f"2026-{month:02d}-15T17:00:00"


@pytest.mark.parametrize(
    ("ref_id", "interval"),
    [
        ("05-Dec-2025 - Interval 00:00 EST", "2025-12-05T05:00:00"),
        ("05-Dec-2025 - Interval 23:55 EST", "2025-12-06T04:55:00"),
        ("31-Dec-2025 - Interval 23:55 EST", "2026-01-01T04:55:00"),
        ("01-Jan-2026 - Interval 00:00 EST", "2026-01-01T05:00:00"),
        ("29-Feb-2024 - Interval 19:00 EST", "2024-03-01T00:00:00"),
        # Clocks go forward: 02:30 is an interval like any other.
        ("08-Mar-2026 - Interval 01:55 EST", "2026-03-08T06:55:00"),
        ("08-Mar-2026 - Interval 02:30 EST", "2026-03-08T07:30:00"),
        ("08-Mar-2026 - Interval 03:00 EST", "2026-03-08T08:00:00"),
        # Clocks go back: 01:30 is there once.
        ("01-Nov-2026 - Interval 00:55 EST", "2026-11-01T05:55:00"),
        ("01-Nov-2026 - Interval 01:30 EST", "2026-11-01T06:30:00"),
        ("01-Nov-2026 - Interval 02:00 EST", "2026-11-01T07:00:00"),
        ("01-Jul-2026 - Interval 00:00 EST", "2026-07-01T05:00:00"),
    ],
)
def test_est_is_five_hours_behind_utc_on_every_day_of_the_year(ref_id, interval):
    assert parsed(ref_id) == interval
    assert live_ref_id(datetime.fromisoformat(f"{interval}Z")) == ref_id


@pytest.mark.parametrize(
    "ref_id",
    [
        "",
        "now",
        "27-Jul-2026",
        "27-Jul-2026 - Interval 08:10",
        "27-Jul-2026 - Interval 08:10 EDT",
        "27-Jul-2026 - Interval 08:10 UTC",
        "27-Jul-2026 - Interval 08:10 EST and more",
        "27-Jul-2026 - Interval 08:10 EST\n",
        "27-Foo-2026 - Interval 08:10 EST",
        "32-Jul-2026 - Interval 08:10 EST",
        "29-Feb-2025 - Interval 08:10 EST",
        "27-Jul-2026 - Interval 25:00 EST",
        "27-Jul-2026 - Interval 08:60 EST",
        "31-Dec-9999 - Interval 23:55 EST",
        "2025-12-05",
        "2025-12-05T12:35:00",
        "2025-12-05T12:35:00Z\n",
        "2025-02-31T12:35:00Z",
        "2025-13-01T12:35:00Z",
        "2025-12-05T25:00:00Z",
        "0001-01-01T00:00:00+05:00",
        "١٢-Jul-2026 - Interval 08:10 EST",
    ],
)
def test_a_malformed_ref_id_is_told_in_one_line(ref_id):
    with pytest.raises(ValueError, match="interval") as error:
        parse_ref_id(ref_id)
    assert len(str(error.value).splitlines()) == 1


@given(st.text() | st.from_regex(r"\A[0-9]{2}-[A-Z][a-z]{2}-[0-9]{4} - Interval .{5} EST\Z"))
def test_text_is_an_interval_or_a_value_error(text):
    try:
        interval = parse_ref_id(text)
    except ValueError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017
    else:
        assert interval.utcoffset() == timedelta(0)


@given(INTERVALS)
def test_both_shapes_of_an_interval_name_the_same_one(interval):
    assert parse_ref_id(live_ref_id(interval)) == interval
    assert parse_ref_id(iso_utc(interval)) == interval


def test_the_archive_writes_iso_8601_in_utc():
    assert iso_utc(datetime(2025, 12, 5, 12, 35, tzinfo=UTC)) == "2025-12-05T12:35:00Z"
    est = datetime.fromisoformat("2025-12-05T07:35:00-05:00")
    assert iso_utc(est) == "2025-12-05T12:35:00Z"
