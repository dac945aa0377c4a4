"""The names of the statistics, the outcomes of a candidate, and the exit status."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """How a candidate ended; the stat ``miso/{outcome}`` counts the candidates of each."""

    STORED = "stored"
    """Filed by this run."""
    DUPLICATE = "duplicate"
    """Its content is stored already."""
    SKIPPED = "skipped"
    """It is registered already: nothing was fetched."""
    UNCOVERED = "uncovered"
    """The feed answered with a snapshot of another day."""
    INVALID = "invalid"
    """The answer of the feed is not a snapshot."""
    FAILED = "failed"
    """The feed, the store or the registry failed."""

    @property
    def stat(self) -> str:
        """The name of the stat that counts it."""
        return f"miso/{self}"


GOOD = (Outcome.STORED, Outcome.DUPLICATE, Outcome.SKIPPED)
CANDIDATES = "miso/candidates"
REQUESTS = "miso/requests"
"""Requests sent to the feed."""
SHARED = "miso/shared"
"""Candidates that used an answer fetched for another candidate, run or worker."""
ASKED_AGAIN = "miso/asked_again"
"""Requests sent again for a candidate because the feed still had the snapshot before."""
FOLLOWING = "miso/following"
"""1 if the run follows without an end."""
NEXT_DUE = "miso/next_due"
"""When the next candidate of a followed range is due, ISO 8601 in UTC."""
WAITING_FOR = "miso/waiting_for"
"""The servers that are down and that a followed run waits for, such as ``registry, store``."""
STORED_BYTES = "miso/stored_bytes"
NEWEST_INTERVAL = "miso/newest_interval"
"""The newest interval received from the feed, ISO 8601 in UTC."""
BEHIND_SECONDS = "miso/behind_seconds"
"""The age of the last snapshot when it was fetched, in seconds."""
UNUSED_ROWS = "miso/unused_rows"
"""Rows of filed snapshots that readers do not use."""
EMPTY_SNAPSHOTS = "miso/empty_snapshots"
"""Filed snapshots without a row that readers use."""
CLAIMS = "miso/claims"
"""Claims in the registry when the run ended."""
QUARANTINED = "miso/quarantined"
"""Bodies in quarantine when the run ended."""
LEFT_IN_QUARANTINE = "miso/left_in_quarantine"
"""Bodies that `scrapy requeue` did not file."""
OUTBOX = "miso/outbox"
"""Messages in the outbox."""
OWED = "miso/owed"
"""Messages that the run did not send; the next run sends them."""
LOST = "miso/lost"
"""Messages that are not sent by this run or a later one."""
UNFINISHED = "miso/unfinished"
"""Candidates that were due and that the run did not reach."""
# Finish reasons. The line that is logged when the run ends for one of them says what to do.
HELD_OFF = "feed_held_off"
"""The feed allows no request for a long time."""
WRONG_ARCHIVE = "wrong_archive"
STORE_UNAVAILABLE = "store_unavailable"
REGISTRY_UNAVAILABLE = "registry_unavailable"
ARCHIVE_UNAVAILABLE = "archive_unavailable"
EXPLAINED = (
    HELD_OFF,
    WRONG_ARCHIVE,
    STORE_UNAVAILABLE,
    REGISTRY_UNAVAILABLE,
    ARCHIVE_UNAVAILABLE,
)


def exit_status(stats: Mapping[str, Any]) -> int:
    """Return 0 if every candidate is stored, duplicate or skipped, and nothing is owed, lost or left in
    quarantine by `scrapy requeue`. Return 1 otherwise.

    A run that follows without an end has done what it should when it is told to stop: return 0.
    """
    if _followed_until_told(stats):
        return 0
    good = sum(stats.get(outcome.stat, 0) for outcome in GOOD)
    ended_well = stats.get("finish_reason") in ("finished", "shutdown")
    complete = good == stats.get(CANDIDATES, 0)
    open_ends = (OWED, LOST, LEFT_IN_QUARANTINE, UNFINISHED)
    return 0 if ended_well and complete and not any(map(stats.get, open_ends)) else 1


def _followed_until_told(stats: Mapping[str, Any]) -> bool:
    return bool(stats.get(FOLLOWING)) and stats.get("finish_reason") == "shutdown"
