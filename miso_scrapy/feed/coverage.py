"""Coverage: whether a snapshot may be filed under a candidate.

The feed answers with *now*, whatever was asked. Filing that under another day's name would put a
false date into the archive, so a snapshot must cover its candidate.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from miso_scrapy.feed.market_day import market_day

# Around midnight EST the feed still answers with yesterday's last interval for a few minutes.
TOLERANCE = timedelta(minutes=15)


def covers(interval: datetime, candidate: datetime) -> bool:
    """Return whether the snapshot of *interval* covers *candidate*.

    It does when both fall on the same market day (a snapshot holds its whole market day so far),
    or lie within 15 minutes of one another.
    """
    return market_day(interval) == market_day(candidate) or abs(interval - candidate) <= TOLERANCE
