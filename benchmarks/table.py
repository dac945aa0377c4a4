"""Keep the results, and write them as a table."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
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
    """Write *lines* to RESULTS, and their table to PAGE."""
    results = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "lines": [asdict(line) for line in lines],
    }
    RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    text = PAGE.read_text()
    PAGE.write_text(
        re.sub(f"(?<={_BEGIN}\n).*(?={_END})", lambda _: published(), text, flags=re.DOTALL)
    )


def kept() -> list[Line]:
    """Return the lines in RESULTS."""
    return [Line(**line) for line in json.loads(RESULTS.read_text())["lines"]]


def published() -> str:
    """Return the text for PAGE: the table of RESULTS, and where it was measured."""
    results = json.loads(RESULTS.read_text())
    table = markdown(kept())
    where = f"{results['date']}, {results['cores']} cores, Python {results['python']}"
    return f"{table}\n\nMeasured by `make bench`: {where}. Figures that miss their goal are bold.\n"


def in_page() -> str:
    """Return the text in PAGE now, to compare it with :func:`published`."""
    return PAGE.read_text().partition(f"{_BEGIN}\n")[2].partition(_END)[0]
