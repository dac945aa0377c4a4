"""Collect the faults of an archive's files, and describe each kind of fault in one line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from miso_scrapy.feed.rows import Unused
from miso_scrapy.text.wording import count


class Unreadable(NamedTuple):
    """Why a file cannot be read."""

    kind: str
    """The kind of fault; it is the same text for all files with this fault."""
    detail: str
    """The fault with the details of this file."""


@dataclass
class Faults:
    """The files and rows that are left out, and why, by the location of the file."""

    unreadable: dict[str, Unreadable] = field(default_factory=dict)
    rows: dict[str, tuple[Unused, ...]] = field(default_factory=dict)

    def add(self, others: Faults) -> None:
        """Add the faults of *others*. A file near midnight may be in the faults of two days."""
        self.unreadable |= others.unreadable
        self.rows |= others.rows

    def lines(self) -> Iterator[str]:
        """Yield a line for each kind of fault: how many files, the first, the last, what is wrong."""
        kinds: dict[str, list[str]] = defaultdict(list)
        for location, why in sorted(self.unreadable.items()):
            kinds[why.kind].append(location)
        for kind, locations in kinds.items():
            if len(locations) == 1:
                detail = self.unreadable[locations[0]].detail
                yield f"cannot be read: {locations[0]}: {detail}; left out: restore or remove it"
            else:
                yield f"cannot be read: {_files(locations)}: {kind}; left out: restore or remove them"
        rows: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for location, unused in sorted(self.rows.items()):
            for what, row in unused:
                rows[what].append((location, row))
        for what, places in rows.items():
            locations = list(dict.fromkeys(location for location, _ in places))
            where = locations[0] if len(locations) == 1 else _files(locations)
            yield f"left out: {count(len(places), 'row')} in {where}: {what}, such as {places[0][1]}"


def _files(locations: list[str]) -> str:
    return f"{count(len(locations), 'file')}, from {locations[0]} to {locations[-1]}"
