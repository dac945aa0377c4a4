"""Numbers, times and errors in words."""

from __future__ import annotations

from datetime import timedelta


def count(number: int, noun: str) -> str:
    """Return *number* with *noun*, in the plural if needed: ``1 message``, ``2 messages``."""
    return f"{number} {noun}{'s' * (number != 1)}"


def spell(time: timedelta) -> str:
    """Return *time* in words, in minutes, hours or days."""
    minutes = time // timedelta(minutes=1)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"


def one_line(problem: str | BaseException | None) -> str:
    """Return the text of *problem* in one line; the name of its type if it has no text."""
    return " ".join(str(problem).split()) or type(problem).__name__
