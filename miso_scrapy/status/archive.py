"""What the archive has of today's market day, and what is in quarantine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from miso_scrapy.archive import quarantine
from miso_scrapy.archive.identity import Identity, read_identity
from miso_scrapy.dataset.audit import DayAudit, audit, facts
from miso_scrapy.dataset.days import DayRange, days
from miso_scrapy.dataset.fold import MarketDay
from miso_scrapy.dataset.read import read
from miso_scrapy.feed.candidate import INTERVAL
from miso_scrapy.feed.market_day import market_day, midnight
from miso_scrapy.store import Store

_DAY = timedelta(days=1)
LOOK_BACK = timedelta(days=31)
"""How far back to look for the last snapshot."""


@dataclass(frozen=True)
class LastSnapshot:
    """The newest snapshot in the archive."""

    filed_at: datetime
    """When it was collected, UTC; its interval if that is not known."""
    interval: datetime
    """The interval that it is of, UTC."""


@dataclass(frozen=True)
class ArchiveStatus:
    """The archive at one time."""

    identity: Identity | None
    today: DayAudit
    last: LastSnapshot | None
    """None if no market day within LOOK_BACK has a snapshot."""
    quarantined: int
    """The number of bodies in quarantine."""
    last_was_quarantined: bool
    """Whether a body came into quarantine after the last snapshot was filed."""

    @property
    def due(self) -> int:
        """The number of today's intervals that have ended."""
        return (self.today.due - midnight(self.today.day)) // INTERVAL

    @property
    def next_midnight(self) -> datetime:
        """The end of today's market day, UTC."""
        return midnight(self.today.day + _DAY).astimezone(UTC)

    @property
    def snapshots_lost(self) -> int:
        """The number of today's intervals up to the newest one that have no snapshot of their own.

        One that cannot be read counts as a snapshot, by its candidate. The feed has moved on: what was
        published only in the others is lost.
        """
        if self.today.own is None:
            return 0
        published = (self.today.own[1] - midnight(self.today.day)) // INTERVAL + 1
        return published - self.today.snapshots


def archive_status(store: Store, now: datetime) -> ArchiveStatus:
    """Return the status of the archive in *store* at *now*. Raises StoreUnavailable."""
    today = market_day(now)
    day = _read(store, today)
    last = _last_of(day) or _last_before(store, today)
    bodies = [
        entry.key for entry in store.entries(quarantine.QUARANTINE) if quarantine.is_body(entry.key)
    ]
    return ArchiveStatus(
        identity=read_identity(store),
        today=audit(facts(day), now),
        last=last,
        quarantined=len(bodies),
        last_was_quarantined=_came_after(store, bodies, last),
    )


def nothing(now: datetime) -> ArchiveStatus:
    """Return the status at *now* of an archive that is not there yet."""
    today = facts(MarketDay(market_day(now)))
    return ArchiveStatus(None, audit(today, now), None, 0, last_was_quarantined=False)


def _read(store: Store, day: date) -> MarketDay:
    found = days(store, DayRange(day, day + _DAY))
    return read(store, found[0]).market_day if found else MarketDay(day)


def _last_of(day: MarketDay) -> LastSnapshot | None:
    used = list(day.used())
    if not used:
        return None
    return LastSnapshot(
        filed_at=max(file.collected or interval for interval, file in used),
        interval=max(interval for interval, _ in used),
    )


def _last_before(store: Store, day: date) -> LastSnapshot | None:
    for files in reversed(days(store, DayRange(day - LOOK_BACK, day))):
        if last := _last_of(read(store, files).market_day):
            return last
    return None


def _came_after(store: Store, bodies: list[str], last: LastSnapshot | None) -> bool:
    """Return whether one of *bodies*, the keys of the quarantine, was collected after *last*."""
    if last is None:
        return bool(bodies)
    folder = f"{quarantine.QUARANTINE}/{last.filed_at.astimezone(UTC):%Y/%m/%d}"
    recent = [key for key in bodies if key >= folder]
    with ThreadPoolExecutor(10) as threads:
        return any(at > last.filed_at for at in threads.map(lambda key: _kept(store, key), recent))


def _kept(store: Store, key: str) -> datetime:
    """Return when the body under *key* was collected; long ago if the note beside it is damaged."""
    try:
        at = datetime.fromisoformat(store.metadata(key)["collected-at"])
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    except (KeyError, ValueError):
        return datetime.min.replace(tzinfo=UTC)
