"""Merge a market day that was exported before with the same day read from its files now.

An archive can lose files, and files can become unreadable. The values that were exported from them
are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from miso_scrapy.dataset.fold import LoadValue, MarketDay, Vintage


def merge(before: MarketDay, now: MarketDay) -> MarketDay:
    """Return *now* with the values that only *before* has added. Both are of the same market day.

    If both have the load of an interval, the value that was published last counts, and that of *now* if
    both were published at the same time. If both have a vintage, that of *now* counts.
    """
    return MarketDay(
        now.day,
        _merge_load(before.load, now.load),
        _merge_hours(before.forecast, now.forecast),
        _merge_hours(before.cleared, now.cleared),
        now.snapshots,
        now.with_rows,
    )


def _merge_load(before: Iterable[LoadValue], now: Iterable[LoadValue]) -> list[LoadValue]:
    merged = {value.interval_start: value for value in before}
    for value in now:
        old = merged.get(value.interval_start, value)
        newer = old if old.last_published > value.last_published else value
        merged[value.interval_start] = newer._replace(
            first_published=min(old.first_published, value.first_published),
            revisions=max(old.revisions, value.revisions),
        )
    return [value for _, value in sorted(merged.items())]


def _merge_hours(before: Iterable[Vintage], now: Iterable[Vintage]) -> list[Vintage]:
    vintages = {(each.hour_start, each.published): each for each in (*before, *now)}
    merged: list[Vintage] = []
    for _, vintage in sorted(vintages.items()):
        # A vintage is a change: if two in a row have the same MW, only the first is a change.
        if not merged or merged[-1][:2] != vintage[:2]:
            merged.append(vintage)
    return merged


def same_tables(one: MarketDay, other: MarketDay) -> bool:
    """Return whether both give the same tables. The largest revision is in no table, so not compared."""

    def columns(load: Sequence[LoadValue]) -> list[tuple[object, ...]]:
        return [value[:5] for value in load]

    return (columns(one.load), one.forecast, one.cleared) == (
        columns(other.load),
        other.forecast,
        other.cleared,
    )
