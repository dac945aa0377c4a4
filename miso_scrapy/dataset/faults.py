"""Collect the faults of an archive's files, and describe each kind of fault in one line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from miso_scrapy.feed.rows import Unused
from miso_scrapy.text.wording import count


class WrongTables(Exception):
    """Raised for tables that must not be used with an archive or a version. The message is one line."""


class DamagedTable(WrongTables):
    """Raised for a table that cannot be read. The message is one line."""


@dataclass
class _Files:
    """The files with one kind of fault: how many, and enough to find them."""

    files: int
    first: str
    last: str
    """The locations of the first and of the last file."""
    example: str
    """The fault in the first file, with its details."""
    rows: int = 0

    def add(self, other: _Files) -> None:
        self.files += other.files
        self.last = other.last
        self.rows += other.rows

    def __str__(self) -> str:
        if self.files == 1:
            return self.first
        return f"{count(self.files, 'file')}, from {self.first} to {self.last}"


@dataclass
class Faults:
    """The files and rows that are left out, by the kind of fault."""

    unreadable: dict[str, _Files] = field(default_factory=dict)
    rows: dict[str, _Files] = field(default_factory=dict)

    def add_unreadable(self, location: str, kind: str, detail: str) -> None:
        """Add the file at *location*. Files with the same fault have the same *kind*."""
        _add(self.unreadable, kind, _Files(1, location, location, detail))

    def add_rows(self, location: str, unused: tuple[Unused, ...]) -> None:
        """Add the *unused* rows of the file at *location*."""
        found: dict[str, _Files] = {}
        for what, row in unused:
            found.setdefault(what, _Files(1, location, location, row)).rows += 1
        for what, files in found.items():
            _add(self.rows, what, files)

    def add(self, others: Faults) -> None:
        """Add the faults of *others*, which are of later files."""
        for what, files in others.unreadable.items():
            _add(self.unreadable, what, files)
        for what, files in others.rows.items():
            _add(self.rows, what, files)

    def lines(self) -> Iterator[str]:
        """Yield a line for each kind of fault: how many files, the first, the last, what is wrong."""
        for kind, files in self.unreadable.items():
            what, them = (files.example, "it") if files.files == 1 else (kind, "them")
            yield f"cannot be read: {files}: {what}; left out: restore or remove {them}"
        for what, files in self.rows.items():
            yield f"left out: {count(files.rows, 'row')} in {files}: {what}, such as {files.example}"

    def to_json(self) -> dict[str, Any]:
        """Return the faults as JSON values, for :meth:`from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, dict[str, Any]]) -> Faults:
        """Return the faults in *value*."""
        return cls(
            *(
                {what: _Files(**files) for what, files in value.get(name, {}).items()}
                for name in ("unreadable", "rows")
            )
        )


def _add(kinds: dict[str, _Files], kind: str, files: _Files) -> None:
    if kind in kinds:
        kinds[kind].add(files)
    else:
        kinds[kind] = _Files(**asdict(files))
