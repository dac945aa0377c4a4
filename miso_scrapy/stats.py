"""The outcomes of a candidate: each has exactly one, and they add up to the candidates of a run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any

from scrapy.exceptions import DropItem


class Outcome(StrEnum):
    """What became of a candidate; ``miso/{outcome}`` in the stats counts it."""

    STORED = "stored"
    """Filed by this run."""
    DUPLICATE = "duplicate"
    """Its content is stored already."""
    SKIPPED = "skipped"
    """It is registered already: nothing was fetched."""
    UNCOVERED = "uncovered"
    """The feed answered with another day."""
    INVALID = "invalid"
    """The feed answered with something that is no snapshot."""
    FAILED = "failed"
    """The feed, the store or the registry did not do its part."""

    @property
    def stat(self) -> str:
        """The stat that counts it."""
        return f"miso/{self}"


candidate_skipped = object()
"""The signal that the candidate *identifier* is skipped: it never becomes an item."""

GOOD = (Outcome.STORED, Outcome.DUPLICATE, Outcome.SKIPPED)
CANDIDATES = "miso/candidates"
REQUESTS = "miso/requests"
"""Requests sent to the feed."""
SHARED = "miso/shared"
"""Candidates served by an answer that was fetched for another candidate, run or worker."""
HELD_OFF = "feed_held_off"
"""The finish reason of a run that the feed does not want to be asked by."""


class Dropped(DropItem):
    """A candidate ends here, with *outcome*; *reason* is one line for the user.

    *together*: other candidates end here too, for the same reason, and one line tells of all.
    """

    def __init__(
        self, outcome: Outcome, reason: str, log_level: str = "ERROR", *, together: bool = False
    ) -> None:
        super().__init__(reason, log_level=log_level)
        self.outcome = outcome
        self.together = together


def exit_status(stats: Mapping[str, Any]) -> int:
    """Return 0 when every candidate is stored, duplicate or skipped, and nothing is owed, lost or left
    in quarantine by `scrapy requeue`; else 1.
    """
    good = sum(stats.get(outcome.stat, 0) for outcome in GOOD)
    ended_well = stats.get("finish_reason") in ("finished", "shutdown")
    complete = good == stats.get(CANDIDATES, 0)
    open_ends = ("miso/owed", "miso/lost", "miso/left_in_quarantine", "miso/unfinished")
    return 0 if ended_well and complete and not any(map(stats.get, open_ends)) else 1


def count(number: int, noun: str) -> str:
    """Return ``1 message``, ``2 messages``."""
    return f"{number} {noun}{'s' * (number != 1)}"


def spell(time: timedelta) -> str:
    """Return *time* in words, in the unit that fits."""
    minutes = time // timedelta(minutes=1)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"
