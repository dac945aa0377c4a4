"""Turns: the right to send the next request to the feed, at most one per interval.

This module only decides, in functions of a state. Runs that share the limit share the state, which
``registry/feed_turns.py`` stores.

MISO asks that a link is not fetched more than once per minute, and bans addresses that ignore this.
It keeps no history, so what is missed during a ban is lost.
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
"""Seconds without a request after a 403, which may be the beginning of a ban."""
_LONGEST = 1e9


class Now(NamedTuple):
    """The current time in seconds, by the clock that all users of the state share."""

    steady: float
    """To measure how long ago a turn was taken."""
    utc: float
    """Since 1970, to compare with ``FeedState.not_before``."""


@dataclass(frozen=True)
class Answer:
    """A response of the feed: its body, its URL, and when it was fetched."""

    body: bytes
    url: str
    fetched_at: datetime

    def to_json(self) -> dict[str, str]:
        """Return the answer as JSON values."""
        body = base64.b64encode(gzip.compress(self.body, 1)).decode()
        return {"body": body, "url": self.url, "fetched_at": self.fetched_at.isoformat()}

    @classmethod
    def from_json(cls, kept: dict[str, str]) -> Answer:
        """Return the answer of which *kept* is the :meth:`to_json`."""
        body = gzip.decompress(base64.b64decode(kept["body"]))
        return cls(body, kept["url"], datetime.fromisoformat(kept["fetched_at"]))


@dataclass(frozen=True)
class Again:
    """The next request for a candidate for which the feed gave a snapshot that is stored already."""

    before: Answer
    """That snapshot."""
    until: datetime
    """If the feed has no other snapshot by this time, *before* is the answer."""
    not_before: datetime
    """Send no request before this time."""


@dataclass(frozen=True)
class FeedState:
    """The state that all users of the limit share."""

    turn: float | None = None
    """When the request of the last turn has been sent at the latest, by ``Now.steady``."""
    not_before: float = 0
    """Send no request before this time, by ``Now.utc``: the feed asked for it."""
    answer: Answer | None = None
    """The answer to the request of the last turn."""


@dataclass(frozen=True)
class Turn:
    """The caller may send one request, within :func:`slack` seconds."""

    until: float
    """The ``FeedState.turn`` of this turn."""


@dataclass(frozen=True)
class Shared:
    """The caller can use *answer* without a request, for *seconds* more."""

    answer: Answer
    seconds: float


@dataclass(frozen=True)
class Wait:
    """The caller must wait for *seconds*. *held_off_until* is set if the feed asked for that."""

    seconds: float
    held_off_until: datetime | None = None


def slack(interval: float) -> float:
    """Return how many seconds after a turn was taken its request may be sent."""
    return interval / 2


def margin(interval: float) -> float:
    """Return how many seconds more than *interval* are waited for, as clocks are not exact."""
    return min(1.0, interval / 10)


def ask(
    state: FeedState, now: Now, interval: float, since: float = 0, late: Turn | None = None
) -> tuple[FeedState, Turn | Shared | Wait]:
    """Return the new state, and what the caller may do: send a request, use the answer, or wait.

    An answer to a request before *since* (by ``Now.steady``) is not used. *late* is a turn that the
    caller got too late to use; if nobody has taken another one since, the caller gets it again.
    """
    latest = now.steady + slack(interval)
    if late and state.turn == late.until and state.not_before <= now.utc:
        return replace(state, turn=latest), Turn(latest)
    sent = float("-inf") if state.turn is None else state.turn
    if sent > latest:  # the clock was set back: count from now
        sent = latest
        state = replace(state, turn=sent, answer=None)
    left = max(sent + interval + margin(interval) - now.steady, 0.0)
    if left and state.answer and sent >= since:
        return state, Shared(state.answer, left)
    held_off = state.not_before - now.utc
    if held_off > left:
        return state, Wait(held_off, datetime.fromtimestamp(state.not_before, UTC))
    if left:
        return state, Wait(left)
    if not interval:  # nothing to remember
        return state, Turn(now.steady)
    return FeedState(latest, state.not_before), Turn(latest)


def finish(state: FeedState, now: Now, turn: Turn, answer: Answer | None = None) -> FeedState:
    """Return the state after the request of *turn*, with its *answer* if that is good.

    The interval starts again: it is not known when the request reached the feed, but it was before
    now. If the next turn is taken already, the state does not change.
    """
    if state.turn != turn.until:
        return state
    if answer and len(answer.body) > MAX_SHARED:
        answer = None
    return replace(state, turn=now.steady, answer=answer)


def hold_off(state: FeedState, now: Now, seconds: float) -> FeedState:
    """Return a state that allows no request for *seconds*."""
    return replace(state, not_before=max(state.not_before, now.utc + seconds))


def retry_after(value: str, date: str) -> float:
    """Return how many seconds a response asks to wait before the next request; 0 if it does not ask.

    *value* is its ``Retry-After``: a number or a date (RFC 9110, 10.2.3). *date* is its ``Date``, by
    the clock of the server, which may differ from this machine's.
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
