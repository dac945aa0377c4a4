"""Turns: the right to send the next request to the feed, at most one per interval.

Here is the decision only, as functions of a state. Who shares the limit shares the state: see
``registry/turns.py``.

MISO asks that a link is not fetched more than once per minute, and bans addresses that ignore this.
As it keeps no history, a ban is data lost for good.
"""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

PATIENCE = 300
"""The longest wait for a turn, in seconds. A run that would have to wait longer ends."""
MAX_SHARED = 5_000_000
"""The largest answer that is shared, in bytes. A snapshot has about 15 KB."""
REFUSED = 900
"""Seconds that a 403 counts for: it may be the beginning of a ban."""
_LONGEST = 1e9


class Now(NamedTuple):
    """What the clock of those who share the state shows, in seconds."""

    steady: float
    """Measures how long ago a turn was taken."""
    utc: float
    """Since 1970: until when the feed is held off."""


@dataclass(frozen=True)
class Answer:
    """What the feed answered, from where, and when it was fetched."""

    body: bytes
    url: str
    fetched_at: datetime

    def to_json(self) -> dict[str, str]:
        """Return it as JSON values."""
        body = base64.b64encode(gzip.compress(self.body, 1)).decode()
        return {"body": body, "url": self.url, "fetched_at": self.fetched_at.isoformat()}

    @classmethod
    def from_json(cls, kept: dict[str, str]) -> Answer:
        """Return what :meth:`to_json` was called on."""
        body = gzip.decompress(base64.b64decode(kept["body"]))
        return cls(body, kept["url"], datetime.fromisoformat(kept["fetched_at"]))


@dataclass(frozen=True)
class FeedState:
    """What those who share the limit know of the feed."""

    turn: float | None = None
    """When the last turn was taken, by ``Now.steady``."""
    not_before: float = 0
    """Until when the feed asked not to be asked, by ``Now.utc``."""
    answer: Answer | None = None
    """What the last turn brought."""


@dataclass(frozen=True)
class Turn:
    """The caller may send one request, within :func:`slack` seconds."""

    taken: float


@dataclass(frozen=True)
class Shared:
    """The caller has an answer without a request; it is good for so many *seconds* more."""

    answer: Answer
    seconds: float


@dataclass(frozen=True)
class Wait:
    """The caller must wait for so many *seconds*; *held_off_until*, where the feed asks for it."""

    seconds: float
    held_off_until: datetime | None = None


def slack(interval: float) -> float:
    """Return for how long after a turn was taken its request may be sent, in seconds."""
    return min(1.0, interval / 10)


def ask(
    state: FeedState, now: Now, interval: float, since: float = 0
) -> tuple[FeedState, Turn | Shared | Wait]:
    """Return the new state, and what the caller may do: send a request, use the answer, or wait.

    An answer to a request before *since* (by ``Now.steady``) is not used.
    """
    # A request may leave late, by the slack: so the next turn comes that much later, too.
    period = interval + slack(interval)
    taken = float("-inf") if state.turn is None else state.turn
    if now.steady < taken:  # the clock was set back: count from now
        taken = now.steady
        state = replace(state, turn=taken, answer=None)
    left = max(taken + period - now.steady, 0.0)
    if left and state.answer and taken >= since:
        return state, Shared(state.answer, left)
    held_off = state.not_before - now.utc
    if held_off > left:
        return state, Wait(held_off, datetime.fromtimestamp(state.not_before, UTC))
    if left:
        return state, Wait(left)
    if not interval:  # nothing to remember
        return state, Turn(now.steady)
    return FeedState(now.steady, state.not_before), Turn(now.steady)


def finish(state: FeedState, now: Now, turn: Turn, answer: Answer | None = None) -> FeedState:
    """Return the state after the request of *turn*, with its *answer*, if it is good.

    The interval begins anew: when the request reached the feed is not known, but it was before now.
    Nothing changes where the next turn is taken already.
    """
    if state.turn != turn.taken:
        return state
    if answer and len(answer.body) > MAX_SHARED:
        answer = None
    return replace(state, turn=now.steady, answer=answer)


def hold_off(state: FeedState, now: Now, seconds: float) -> FeedState:
    """Return the state in which nobody asks for so many *seconds*."""
    return replace(state, not_before=max(state.not_before, now.utc + seconds))


def retry_after(value: str, date: str) -> float:
    """Return the seconds for which an answer asks not to be asked again; 0 if it does not.

    *value* is its ``Retry-After``, a number or a date (RFC 9110, 10.2.3); *date* its ``Date``, by
    the clock of the server, which need not be ours.
    """
    seconds = 0.0
    if value.strip().isdecimal():
        seconds = float(value)
    elif until := _time(value):
        seconds = (until - (_time(date) or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0), _LONGEST)


def _time(text: str) -> datetime | None:
    try:
        time = parsedate_to_datetime(text)
    except ValueError:
        return None
    return time.replace(tzinfo=time.tzinfo or UTC)
