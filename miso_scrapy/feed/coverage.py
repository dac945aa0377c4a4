"""Coverage: whether a snapshot may be filed under a candidate.

The feed has no history: every request returns the current snapshot. Filed under a candidate of
another day, a snapshot would have a false date, so it must cover its candidate.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from miso_scrapy.feed.market_day import market_day

# For a few minutes after midnight EST, the feed still returns yesterday's last interval.
TOLERANCE = timedelta(minutes=15)


def covers(interval: datetime, candidate: datetime) -> bool:
    """Return whether the snapshot of *interval* covers *candidate*.

    It does when both fall on the same market day (a snapshot holds its whole market day so far),
    or are at most 15 minutes apart.
    """
    return abs(interval - candidate) <= TOLERANCE or market_day(interval) == market_day(candidate)
