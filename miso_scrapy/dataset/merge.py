"""Merge a market day that was exported before with the same day read from its files now.

An archive can lose files, and files can become unreadable. The values that were exported from them
are kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from miso_scrapy.dataset.fold import FiledFile, MarketDay, Vintage, load_values


def merge(before: MarketDay, now: MarketDay) -> MarketDay:
    """Return *now* with what only *before* has added. Both are of the same market day.

    If both have a file, that of *now* counts, unless only
    *before* could read it.
    """
    vintages = _merge_vintages(before.load_vintages, now.load_vintages)
    last_published: dict[datetime, datetime] = {}
    for value in (*before.load, *now.load):
        start, last = value.interval_start, value.last_published
        last_published[start] = max(last, last_published.get(start, last))
    return MarketDay(
        now.day,
        load_values(vintages, last_published),
        vintages,
        _merge_vintages(before.forecast, now.forecast),
        _merge_vintages(before.cleared, now.cleared),
        _merge_files(before.snapshots, now.snapshots),
    )


_NEVER = datetime.min.replace(tzinfo=UTC)


def _merge_vintages(before: Iterable[Vintage], now: Iterable[Vintage]) -> list[Vintage]:
    at: dict[tuple[datetime, datetime, datetime], list[Vintage]] = {}
    for vintage in now:
        at.setdefault(_place(vintage), []).append(vintage)
    # Several snapshots can have the same interval, and no time of collection that tells them apart.
    older: dict[tuple[datetime, datetime, datetime], list[Vintage]] = {}
    for vintage in before:
        if vintage not in at.get(_place(vintage), ()):
            older.setdefault(_place(vintage), []).append(vintage)
    merged: list[Vintage] = []
    for place in sorted(at.keys() | older.keys()):
        for vintage in (*older.get(place, ()), *at.get(place, ())):
            # A vintage is a change: if two in a row have the same MW, only the first is a change.
            if not merged or merged[-1][:2] != vintage[:2]:
                merged.append(vintage)
    return merged


def _place(vintage: Vintage) -> tuple[datetime, datetime, datetime]:
    return vintage.start, vintage.published, vintage.collected or _NEVER


def _merge_files(before: Iterable[FiledFile], now: Iterable[FiledFile]) -> list[FiledFile]:
    files = {file.key: file for file in before}
    for file in now:
        if file.fault is None or file.key not in files or files[file.key].fault is not None:
            files[file.key] = file
    return [file for _, file in sorted(files.items())]
