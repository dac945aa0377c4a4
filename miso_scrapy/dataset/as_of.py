"""Tell what was known of a market day at an earlier time."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime

from miso_scrapy.dataset.fold import MarketDay, Vintage, changes, load_values


def known_by(day: MarketDay, as_of: datetime) -> MarketDay:
    """Return *day* as it was known at *as_of*.

    A snapshot was known when it was collected. If that is not known, it counts as known at the interval
    for which it was published. A file that cannot be read counts as known at its candidate.
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
