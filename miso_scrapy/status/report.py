"""Gather what is known about the archive, the registry and the runs, and find what needs a person."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from scrapy.settings import BaseSettings

from miso_scrapy.archive.document import ROOT
from miso_scrapy.archive.identity import Kind
from miso_scrapy.cli.program import program
from miso_scrapy.connections.binding import wrong_archive
from miso_scrapy.connections.open import make_store, read_registry
from miso_scrapy.feed.ref_id import iso_utc
from miso_scrapy.options import Options
from miso_scrapy.status.archive import LOOK_BACK, ArchiveStatus, archive_status, nothing
from miso_scrapy.store import Store, StoreUnavailable
from miso_scrapy.text.wording import count, spell

if TYPE_CHECKING:
    from miso_scrapy.registry.client import Contents


_AHEAD = timedelta(minutes=15)
"""If the newest interval is ahead of this machine's clock by more than this, the clock is wrong."""


class Line(StrEnum):
    """The lines of the report."""

    LAST = "last snapshot"
    TODAY = "today"
    HEALING = "healing"
    OWED = "owed"
    RUN = "run"


@dataclass(frozen=True)
class Problem:
    """Something that a person must act on."""

    line: Line
    what: str
    """One line: what is wrong, and what to do."""
    entry: str
    """The anchor of its entry in the runbook."""

    @property
    def runbook(self) -> str:
        """The address of its entry in the runbook, from the root of the project."""
        return f"docs/operating/runbook.md#{self.entry}"


@dataclass
class Status:
    """What is known at *now*."""

    now: datetime
    where: str = ""
    """The location of the archive."""
    archive: ArchiveStatus | None = None
    """None if the store cannot be read."""
    registry: Contents | None = None
    """None if the registry cannot be read, or if there is none yet."""
    problems: list[Problem] = field(default_factory=list)

    @property
    def is_simulated(self) -> bool | None:
        """Whether the snapshots are simulated; None if that is not known."""
        if self.archive is None or self.archive.identity is None:
            return None
        return self.archive.identity.kind == Kind.SIMULATED


async def status(settings: BaseSettings, options: Options, now: datetime) -> Status:
    """Return the status at *now* of the archive and the registry that the settings name.

    The store and the registry are read at the same time. What cannot be read is a problem.
    """
    from miso_scrapy.registry.client import RegistryUnavailable

    found = Status(now)
    store: Store | None = None

    def read_archive() -> ArchiveStatus:
        nonlocal store
        store = make_store(settings, options)
        found.where = store.locate(ROOT)
        if not options.s3_bucket and not options.data_dir.exists():
            return nothing(now)
        store.check(to_write=False)
        return archive_status(store, now)

    async def read_contents() -> tuple[Contents, str] | None:
        async with read_registry(options) as registry:
            return (await registry.look(), registry.where) if registry else None

    archive, contents = await asyncio.gather(
        asyncio.to_thread(read_archive), read_contents(), return_exceptions=True
    )
    match archive:
        case StoreUnavailable():
            found.problems.append(Problem(Line.LAST, str(archive), "the-store-cannot-be-used"))
        case BaseException():
            raise archive
        case _:
            found.archive = archive
    match contents:
        case RegistryUnavailable():
            found.problems.append(Problem(Line.OWED, str(contents), "the-registry-does-not-answer"))
        case BaseException():
            raise contents
        case (registry, where):
            found.registry = registry
            if (
                store is not None
                and found.archive is not None
                and registry.archive is not None
                and (
                    found.archive.identity is None or found.archive.identity.id != registry.archive
                )
            ):
                found.problems.append(
                    Problem(
                        Line.OWED,
                        str(wrong_archive(where, store)),
                        "the-registry-belongs-to-another-archive",
                    )
                )
    found.problems += _problems(found, timedelta(minutes=options.stale_after))
    return found


def _problems(found: Status, stale_after: timedelta) -> Iterator[Problem]:
    archive, registry, now = found.archive, found.registry, found.now
    if archive is not None:
        started = min((run.since for run in registry.runs), default=None) if registry else None
        just_started = started is not None and now - started <= stale_after
        late = False
        if archive.last is None:
            if late := not just_started:
                yield Problem(
                    Line.LAST,
                    f"no snapshot was filed in {found.where} in the last {LOOK_BACK.days} days; run "
                    f"{program()} doctor, then {program()} crawl miso_rtload",
                    "nothing-has-been-collected-for-15-minutes",
                )
        elif late := now - archive.last.interval > stale_after:
            yield Problem(
                Line.LAST,
                f"{last_snapshot(archive, now)}; run {program()} doctor, which finds out why",
                "nothing-has-been-collected-for-15-minutes",
            )
        elif archive.last.interval - now > _AHEAD:
            yield Problem(
                Line.LAST,
                f"the newest interval, {iso_utc(archive.last.interval)}, is "
                f"{spell(archive.last.interval - now)} ahead of this machine's clock; set the clock",
                "the-clock-of-the-machine-is-wrong",
            )
        if late and archive.today.values_missing:
            left = archive.next_midnight - now
            yield Problem(
                Line.HEALING,
                f"{count(archive.today.values_missing, 'value')} of today will be lost at midnight EST, "
                f"{iso_utc(archive.next_midnight)}, in {hours(left)}; run {program()} crawl "
                "miso_rtload before then, which heals all of them",
                "values-of-today-will-be-lost-at-midnight-est",
            )
        if archive.last_was_quarantined:
            yield Problem(
                Line.OWED,
                f"the last answer of the feed was not filed: {count(archive.quarantined, 'body')} in "
                "quarantine; read the reason in the log",
                "candidates-are-invalid",
            )
    if registry is not None and registry.messages:
        yield Problem(
            Line.OWED,
            f"{count(registry.messages, 'message')} owed to the Kafka topic; check the broker and the "
            "KAFKA_ settings; the next run sends what is owed first",
            "messages-are-waiting-for-kafka",
        )


def last_snapshot(archive: ArchiveStatus, now: datetime) -> str:
    """Return when the last snapshot was filed, and how old the feed's newest interval in it is."""
    if archive.last is None:
        return "no snapshot is filed yet"
    filed_at, interval = archive.last.filed_at, archive.last.interval
    return (
        f"filed {iso_utc(filed_at)}, {spell(max(now - filed_at, timedelta()))} ago; its interval, "
        f"{iso_utc(interval)}, is {spell(max(now - interval, timedelta()))} old"
    )


def hours(time: timedelta) -> str:
    """Return *time* in hours and minutes, such as ``3 h 20 min``."""
    minutes = time // timedelta(minutes=1)
    return f"{minutes // 60} h {minutes % 60} min"
