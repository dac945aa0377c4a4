"""Tell what the tables of a market day say of an earlier time."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime

from miso_scrapy.dataset.fold import MarketDay, Vintage, changes, load_values


def known_by(day: MarketDay, as_of: datetime) -> MarketDay:
    """Return *day* as it was known at *as_of*: what :func:`read` returns for its files, with two limits.

    The tables have a row for each change, not each snapshot. So a value that an earlier snapshot brought
    counts as known only when that one was collected, even if a later one with the same value was
    collected before it. And a snapshot without a row of a value counts for its *last_published*.
    """
    snapshots = [
        file
        for file in day.snapshots
        if (file.collected or file.interval or file.candidate) <= as_of
    ]

    def known(vintages: list[Vintage]) -> list[Vintage]:
        return changes(each for each in vintages if (each.collected or each.published) <= as_of)

    vintages = known(day.load_vintages)
    intervals = sorted(
        file.interval for file in snapshots if file.interval and not file.filed_under_another_day
    )
    last_published = {vintage.start: vintage.published for vintage in vintages}
    for value in day.load:
        # The newest snapshot that was known by then, up to the last one that has the value.
        if number := bisect_right(intervals, value.last_published):
            at = intervals[number - 1]
            first = last_published.get(value.interval_start, at)
            last_published[value.interval_start] = max(first, at)
    return MarketDay(
        day.day,
        load_values(vintages, last_published),
        vintages,
        known(day.forecast),
        known(day.cleared),
        snapshots,
    )
