"""Bring exported tables up to date with the archive.

Arrow is not imported for tables that are up to date; see miso_scrapy/dataset/exported.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from miso_scrapy.archive.identity import Kind
from miso_scrapy.dataset import TABLES
from miso_scrapy.dataset.audit import facts
from miso_scrapy.dataset.days import DayFiles
from miso_scrapy.dataset.exported import Entry, ExportedTables, Listing, Manifest, version_of
from miso_scrapy.dataset.faults import Faults, WrongTables
from miso_scrapy.dataset.workers import Map
from miso_scrapy.store import Store, StoreUnavailable

if TYPE_CHECKING:
    from miso_scrapy.dataset.export import DayTables

_TRIES = 20
_SAVE_EVERY = 10  # seconds: what an export that is killed has to do again at most


class Exported(NamedTuple):
    """The result of exporting a market day."""

    day: date
    snapshots: int
    written: bool
    """Whether its tables were written: if not, they have all that the files say."""


@dataclass
class Update:
    """An export of market days to tables."""

    archive: Store
    tables: ExportedTables
    kind: Kind
    manifest: Manifest
    listing: Listing
    todo: list[DayFiles]
    """The days whose tables are not up to date."""
    unsaved: dict[date, Entry] = field(default_factory=dict)
    """The entries that are not in the stored manifest yet."""

    @classmethod
    def prepare(
        cls, archive: Store, tables: ExportedTables, found: Sequence[DayFiles], kind: Kind
    ) -> Update:
        """Find out which of the days *found* have to be exported.

        *kind* is the kind of the archive. Raises WrongTables and StoreUnavailable.
        """
        manifest, listing = tables.manifest(), tables.listing()
        known = manifest.kind or tables.kind(listing)
        if known not in (None, kind):
            raise WrongTables(
                f"{tables.location} has tables of {known} snapshots, and the archive is {kind}: "
                "choose another place for its tables"
            )
        todo = [files for files in found if not _is_current(files, manifest, listing)]
        unsaved = {}
        if manifest.kind is None:  # lost or damaged: readers need the other days too
            whole = {day for day, each in listing.tables.items() if len(each) == len(TABLES)}
            others = sorted(whole - {files.day for files in found})
            for day in tables.market_days(others):
                unsaved[day.day] = Entry("", listing.tables[day.day], facts(day), Faults())
            manifest.days |= unsaved
        return cls(archive, tables, kind, manifest, listing, todo, unsaved)

    def run(self, spread: Map) -> Iterator[Exported]:
        """Export the days; yield each day once its tables are in place.

        *spread* maps a function over the days, as :func:`workers` provides it. Raises StoreUnavailable
        and WrongTables.
        """
        if not self.todo:
            self._save()
            return
        from miso_scrapy.dataset.export import Task, day_tables

        tasks, versions, pending = [], {}, {}
        for files in self.todo:
            before, versions[files.day], pending[files.day] = self._before(files.day, self.listing)
            tasks.append(Task(files, before))
        saved = time.monotonic()
        try:
            for task, done in zip(
                tasks, spread(partial(day_tables, self.archive, self.kind), tasks), strict=True
            ):
                last = self._publish(task.files, done, versions[done.day], pending[done.day])
                self.unsaved[last.day] = self.manifest.days[last.day] = last.entry
                if time.monotonic() - saved > _SAVE_EVERY:
                    self._save()
                    saved = time.monotonic()
                yield Exported(last.day, last.snapshots, bool(last.bodies))
        finally:
            self._save()

    def _save(self) -> None:
        if self.unsaved:
            self.tables.save(self.unsaved, self.kind)
            self.unsaved = {}

    def _before(
        self, day: date, listing: Listing
    ) -> tuple[list[dict[str, bytes]], dict[str, str], list[str]]:
        """Return what was exported of *day*, the tables' versions, and the files below _pending."""
        before, versions = [], {}
        if day in listing.tables:
            found = self.tables.read(day)
            before.append({table: body for table, (body, _) in found.items()})
            versions = {table: version for table, (_, version) in found.items()}
        pending = listing.pending.get(day, [])
        return before + self.tables.bundles(pending), versions, pending

    def _publish(
        self, files: DayFiles, done: DayTables, versions: dict[str, str], pending: list[str]
    ) -> DayTables:
        """Put the tables of a day in place. If another export changes them, begin the day again."""
        from miso_scrapy.dataset.export import Task, day_tables

        for _ in range(_TRIES):
            if not done.bodies:
                done.entry.tables = versions
                return done
            new = self.tables.publish(files.day, done.bodies, versions)
            if new is not None:
                self.tables.remove(pending)
                done.entry.tables = new
                return done
            listing = Listing({files.day: {}}, self.tables.pending())
            before, versions, pending = self._before(files.day, listing)
            done = day_tables(self.archive, self.kind, Task(files, before))
        raise StoreUnavailable(
            f"another export keeps changing {files.day} in {self.tables.location}: wait for it, and run "
            "this again"
        )


def _is_current(files: DayFiles, manifest: Manifest, listing: Listing) -> bool:
    """Return whether the tables of a day were made from exactly these *files*."""
    entry = manifest.days.get(files.day)
    return (
        entry is not None
        and entry.version == version_of(files.version)
        and entry.tables == listing.tables.get(files.day, {})
        and files.day not in listing.pending
    )
