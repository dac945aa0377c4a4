"""Keep the results, and write them as a table."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "results.json"
PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "benchmarks.md"
_BEGIN, _END = "<!-- benchmark -->", "<!-- end of benchmark -->"

GROSS = 2  # a ratio this many times worse than allowed is not noise


@dataclass(frozen=True)
class Line:
    """One figure, and its goal."""

    row: int
    what: str
    reached: float
    goal: float | None = None
    """The highest value allowed, or the lowest if *more* is better."""
    unit: str = "times"
    more: bool = False
    measured: dict[str, float] = field(default_factory=dict)
    """The medians that *reached* was computed from, with their units in their names."""
    where: str = ""
    """When and where it was measured, if the result is kept."""

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        if self.goal is None:
            return True
        return self.reached >= self.goal if self.more else self.reached <= self.goal

    def gross(self, kept: float) -> bool:
        """Return whether the figure is GROSS times worse than both the goal and the *kept* result."""
        if self.goal is None:
            return False
        if self.more:
            return self.reached < min(self.goal, kept) / GROSS
        return self.reached > max(self.goal, kept) * GROSS


def markdown(lines: Iterable[Line]) -> str:
    """Return *lines* as a Markdown table."""
    rows = ["| | what | goal | reached | measured |", "| --- | --- | --- | --- | --- |"]
    for line in lines:
        goal = "" if line.goal is None else f"{'≥' if line.more else '≤'} {line.goal:g}"
        measured = "; ".join(f"{name} {_short(value)}" for name, value in line.measured.items())
        reached = f"{_short(line.reached)} {line.unit}".removesuffix(" times")
        if not line.met:
            reached = f"**{reached}**"
        rows.append(f"| {line.row} | {line.what} | {goal} | {reached} | {measured} |")
    return "\n".join(rows)


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def publish(lines: Iterable[Line]) -> None:
    """Put *lines* into RESULTS, in place of those of the same rows, and the table into PAGE."""
    where = (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    new = [replace(line, where=where) for line in lines]
    rows = {line.row for line in new}
    every = sorted(
        [*new, *(line for line in kept() if line.row not in rows)], key=lambda line: line.row
    )
    text = json.dumps([asdict(line) for line in every], indent=2, ensure_ascii=False)
    RESULTS.write_text(text + "\n")
    text = PAGE.read_text()
    PAGE.write_text(
        re.sub(f"(?<={_BEGIN}\n).*(?={_END})", lambda _: published(), text, flags=re.DOTALL)
    )


def kept() -> list[Line]:
    """Return the lines in RESULTS."""
    return [Line(**line) for line in json.loads(RESULTS.read_text())]


def published() -> str:
    """Return the text for PAGE: the table of RESULTS, and where its rows were measured."""
    rows: dict[str, list[str]] = {}
    for line in kept():
        if str(line.row) not in rows.setdefault(line.where, []):
            rows[line.where].append(str(line.row))
    where = [f"- Rows {', '.join(numbers)}: {machine}" for machine, numbers in rows.items()]
    return (
        f"{markdown(kept())}\n\nFigures that miss their goal are bold. Measured by `make bench`:\n\n"
        + "\n".join(where)
        + "\n"
    )


def in_page() -> str:
    """Return the text in PAGE now, to compare it with :func:`published`."""
    return PAGE.read_text().partition(f"{_BEGIN}\n")[2].partition(_END)[0]
