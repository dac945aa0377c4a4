"""Merge a market day that was exported before with the same day read from its files now.

An archive can lose files, and files can become unreadable. The values that were exported from them
are kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from miso_scrapy.dataset.fold import NEVER, FiledFile, MarketDay, Vintage, changes, load_values


def merge(before: MarketDay, now: MarketDay) -> MarketDay:
    """Return *now* with what only *before* has added. Both are of the same market day.

    If both have a file, that of *now* counts, unless only *before* could read it.
    """
    vintages = _merge_vintages(before.load_vintages, now.load_vintages)
    # From the vintages as well, because the table of the load may be damaged, and is empty then.
    last_published = {each.start: each.published for each in vintages}
    for value in (*before.load, *now.load):
        start = value.interval_start
        if start in last_published:
            last_published[start] = max(last_published[start], value.last_published)
    return MarketDay(
        now.day,
        load_values(vintages, last_published),
        vintages,
        _merge_vintages(before.forecast, now.forecast),
        _merge_vintages(before.cleared, now.cleared),
        _merge_files(before.snapshots, now.snapshots),
    )


def _merge_vintages(before: Iterable[Vintage], now: Iterable[Vintage]) -> list[Vintage]:
    now = list(now)
    known = set(now)
    only_before = [each for each in before if each not in known]
    return changes(sorted([*only_before, *now], key=_place))


def _place(vintage: Vintage) -> tuple[datetime, datetime, datetime]:
    return vintage.start, vintage.published, vintage.collected or NEVER


def _merge_files(before: Iterable[FiledFile], now: Iterable[FiledFile]) -> list[FiledFile]:
    files = {file.key: file for file in before}
    for file in now:
        if file.fault is None or file.key not in files or files[file.key].fault is not None:
            files[file.key] = file
    return [file for _, file in sorted(files.items())]
