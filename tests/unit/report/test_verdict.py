"""The verdict of the report: one sentence that says what is missing."""

from datetime import date, datetime, time, timedelta

import pytest

from miso_scrapy.dataset.audit import DayFacts, audit
from miso_scrapy.feed.market_day import EST
from miso_scrapy.report.verdict import verdict

FIRST = date(2025, 11, 1)
OVER = (
    "Nothing can be healed any more: these market days are over. Later days are not on this page."
)


def est(day, clock):
    return datetime.combine(day, time.fromisoformat(clock), EST)


def audits(days, *gaps, healed=0, now=None, first=FIRST):
    """Audits of *days* days, without the values of *gaps*: pairs of a day of November and a clock."""
    missing = {}
    for start, end in gaps:
        at, last = (est(date(first.year, 11, day), clock) for day, clock in (start, end))
        while at <= last:
            missing[at.date()] = missing.get(at.date(), 0) | 1 << (at.hour * 12 + at.minute // 5)
            at += timedelta(minutes=5)
    known = []
    for number in range(days):
        day = first + timedelta(days=number)
        due = 288 if now is None or day < now.date() else now.hour * 12 + now.minute // 5
        bits = (1 << due) - 1 & ~missing.get(day, 0)
        known.append(DayFacts(day, bits, bits, healed if not number else 0, 0, 0, 0, 0, 0, 0, None))
    return [audit(each, now or est(date(2026, 11, 30), "12:00")) for each in known]


TAIL, TWENTIETH = ((15, "17:00"), (15, "23:55")), ((20, "00:00"), (20, "23:55"))


@pytest.mark.parametrize(
    ("gaps", "healed", "sentence"),
    [
        (
            [TAIL, TWENTIETH],
            365,
            "Complete but for 15 Nov 17:00 to 23:55 and all of 20 Nov: 372 of 8,352 values are "
            "missing for good; 365 more were healed by later snapshots.",
        ),
        (
            [((3, "04:05"), (3, "04:05"))],
            0,
            "Complete but for 3 Nov 04:05: 1 of 8,352 values is missing for good.",
        ),
        (
            [((3, "22:00"), (5, "01:55"))],
            1,
            "Complete but for 3 Nov 22:00 to 5 Nov 01:55: 336 of 8,352 values are missing for "
            "good; 1 more was healed by later snapshots.",
        ),
        (
            [((3, "00:00"), (5, "23:55"))],
            0,
            "Complete but for all of 3 Nov to 5 Nov: 864 of 8,352 values are missing for good.",
        ),
        (
            [((n, "05:00"), (n, "05:05")) for n in range(2, 12)] + [TAIL, TWENTIETH],
            0,
            "Complete but for 2 Nov 05:00 to 05:05, 15 Nov 17:00 to 23:55, all of 20 Nov and 9 "
            "more gaps: 392 of 8,352 values are missing for good.",
        ),
    ],
)
def test_it_names_the_largest_gaps_in_the_order_of_time(gaps, healed, sentence):
    found = verdict(audits(29, *gaps, healed=healed), date(2026, 11, 30))
    assert str(found) == sentence
    assert not found.whole
    assert "missing for good" in found.missing
    assert "healed" not in found.missing
    assert found.today == OVER


def test_complete_is_one_word():
    found = verdict(audits(29), date(2026, 11, 30))
    assert (str(found), found.whole) == ("Complete.", True)
    assert found.today == f"All 8,352 values are known. {OVER}"
    found = verdict(audits(29, healed=365), date(2026, 11, 30))
    assert str(found) == "Complete."
    assert found.today == (
        f"All 8,352 values are known; 365 were healed by later snapshots. {OVER}"
    )


def test_what_is_missing_of_today_can_still_be_healed():
    today = FIRST + timedelta(days=1)
    found = verdict(audits(2, ((2, "09:00"), (2, "09:55")), now=est(today, "12:00")), today)
    assert str(found) == (
        "Complete but for 2 Nov 09:00 to 09:55: 12 of 432 values are missing, and can still be "
        "healed."
    )
    assert found.today == (
        "Still to be healed: 12 values of today, 2 Nov 09:00 to 09:55. Any snapshot taken before "
        "3 Nov 2025, 00:00 EST (05:00 UTC) brings them."
    )
    gaps = [((1, "23:00"), (1, "23:55")), ((2, "00:00"), (2, "00:00"))]
    found = verdict(audits(2, *gaps, healed=2, now=est(today, "12:00")), today)
    assert str(found) == (
        "Complete but for 1 Nov 23:00 to 23:55: 12 of 432 values are missing for good; 2 more were "
        "healed by later snapshots."
    )
    assert found.today.startswith("Still to be healed: 1 value of today, 2 Nov 00:00. ")
    assert found.today.endswith(" brings it.")


def test_a_complete_today_says_until_when_it_can_be_healed():
    found = verdict(audits(2, now=est(date(2025, 11, 2), "12:00")), date(2025, 11, 2))
    assert str(found) == "Complete."
    assert found.today == (
        "All 432 values are known. Today, 2 Nov, is complete so far. What is missed later can be "
        "healed by any snapshot taken before 3 Nov 2025, 00:00 EST (05:00 UTC)."
    )


def test_years_are_named_if_there_are_several():
    found = verdict(audits(400, TAIL), date(2026, 12, 24))
    assert str(found).startswith("Complete but for 15 Nov 2025 17:00 to 23:55: 84 of ")
