"""Forecast errors, and the day's peak."""

from dataclasses import replace
from datetime import UTC, date, datetime, time

import pytest

from miso_scrapy.dataset.day_values import DayValues, states, values_of
from miso_scrapy.dataset.fold import SnapshotReader, fold
from miso_scrapy.dataset.forecast_error import (
    DayPeak,
    day_peak,
    error_table,
    hour_errors,
    lead_error,
    lead_errors,
)
from miso_scrapy.feed.market_day import EST
from miso_scrapy.feed.shape import normalise
from miso_scrapy.simulator.load import day_of, snapshot

SEED, DAY = 3, date(2025, 11, 1)


def est(clock):
    return datetime.combine(DAY, time.fromisoformat(clock), EST)


def values_from(*clocks):
    """The values of the market day in the simulator's snapshots at these times."""
    reader = SnapshotReader()
    instants = [est(clock).astimezone(UTC) for clock in clocks]
    return values_of(
        fold(DAY, [reader.read(at, None, normalise(snapshot(SEED, at))) for at in instants])
    )


def without(values, *hours):
    """The same values without the last of the loads of *hours*."""
    load = list(values.load)
    for hour in hours:
        load[12 * hour + 11] = None
    return replace(values, load=load)


def forecast_at(clock, hour_ending):
    rows = normalise(snapshot(SEED, est(clock)))["MediumTermLoadForecast"]
    (mw,) = [row["LoadForecast"] for row in rows if row["HourEnding"] == hour_ending]
    return mw


def test_an_hours_error_is_that_of_the_forecast_that_stood_when_it_began():
    errors = hour_errors(values_from("08:55", "09:00", "09:30", "23:55"))
    (nine,) = [error for error in errors if error.hour == 9]
    mean = sum(day_of(SEED, DAY).load_mw[9 * 12 : 10 * 12]) / 12
    assert nine.load_mw == pytest.approx(mean)
    assert nine.errors == [pytest.approx(forecast_at("08:55", "10") - mean)]
    assert min(error.hour for error in errors) == 9


def test_errors_by_lead_time_compare_what_was_known_then():
    values = values_from("08:55", "20:55", "23:55")
    leads = {lead.lead_hours: lead for lead in lead_errors(hour_errors(values))}
    # Of 09:00 to 23:00 a forecast from before 09:00 is known, so of 23:00 the longest, 14 hours.
    assert sorted(leads) == list(range(15))
    assert (leads[0].hours, leads[14].hours) == (15, 1)
    mean = sum(day_of(SEED, DAY).load_mw[23 * 12 :]) / 12
    error = forecast_at("08:55", "24") - mean
    assert leads[14].bias_mw == pytest.approx(error)
    assert leads[14].mean_absolute_mw == pytest.approx(abs(error))
    assert leads[14].bias_percent == pytest.approx(100 * error / mean)
    assert leads[14].mean_absolute_percent == pytest.approx(abs(100 * error / mean))
    assert lead_error(hour_errors(values), 15) is None


def test_the_table_has_the_mean_of_each_hour_and_lead_time():
    errors = hour_errors(values_from("08:55", "23:55"))
    doubled = [error._replace(errors=[3 * mw for mw in error.errors]) for error in errors]
    table = {(hour, each.lead_hours): each for hour, each in error_table([*errors, *doubled])}
    assert table.keys() == {(h, lead) for h in range(9, 24) for lead in range(h - 8)}
    for error in errors:
        assert table[error.hour, 0].hours == 2
        assert table[error.hour, 0].bias_mw == pytest.approx(2 * error.errors[0])


def test_a_gap_costs_its_own_hours_only():
    values = values_from(*(f"{hour:02d}:55" for hour in range(8)), "23:55")
    errors = hour_errors(values)
    assert hour_errors(without(values, 10, 11)) == [e for e in errors if e.hour not in (10, 11)]
    no_forecast = [*values.forecast[:10], [], *values.forecast[11:]]
    assert hour_errors(replace(values, forecast=no_forecast)) == [e for e in errors if e.hour != 10]


def test_a_peak_is_left_out_if_it_may_be_among_the_missing_values():
    values = values_from("00:00", "23:55")
    peak = day_peak(values)
    means = [sum(day_of(SEED, DAY).load_mw[h * 12 : h * 12 + 12]) / 12 for h in range(24)]
    first = [known[0][1] for known in values.forecast]
    assert peak == DayPeak(max(first), first.index(max(first)), max(means), means.index(max(means)))
    assert day_peak(without(values, 3)) == peak  # in the night
    assert day_peak(without(values, peak.forecast_hour)) == peak._replace(
        load_mw=None, load_hour=None
    )
    assert day_peak(replace(values, forecast=[[]] * 24)) is None


def test_an_interval_is_collected_healed_missing_or_not_due_yet():
    nothing = DayValues(DAY, [None] * 288, [[]] * 24, [None] * 24, [False] * 288, [None] * 288, [])
    assert states(nothing, 12) == "m" * 12 + "-" * 276
    some = replace(nothing, load=[1.0, 2.0, *[None] * 286], collected=[False, True, *[False] * 286])
    assert states(some, 3) == "hcm" + "-" * 285


def test_a_revision_says_how_much_and_how_long_after():
    day = fold(
        DAY,
        [
            SnapshotReader().read(at, None, data(mw))
            for at, mw in (
                (est("00:05").astimezone(UTC), 100),
                (est("00:10").astimezone(UTC), 103),
                (est("01:00").astimezone(UTC), 99.5),
            )
        ],
    )
    first, second = values_of(day).revisions
    assert (first.number, first.before_mw, first.after_mw, first.mw, first.minutes) == (
        0,
        100,
        103,
        3,
        5,
    )
    assert (second.mw, second.minutes) == (-3.5, 55)


def data(mw):
    return {
        "RefId": "",
        "FiveMinTotalLoad": [{"Time": "00:00:00", "Value": mw}],
        "ClearedMW": [],
        "MediumTermLoadForecast": [],
    }
