"""A market day as it was exported, and as its files say it now, together.

An archive can lose files, and files can become unreadable. What was exported of them stays known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from miso_scrapy.dataset.fold import LoadValue, MarketDay, Vintage


def merge(before: MarketDay, now: MarketDay) -> MarketDay:
    """Return *now*, and what *before*, of the same day, knows beyond it.

    Of a load the value that was published last counts, and *now* where both are of one time; of a
    vintage that both have, *now*.
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
        # A vintage is a change: of two in a row that say the same, the first is one.
        if not merged or merged[-1][:2] != vintage[:2]:
            merged.append(vintage)
    return merged


def same_tables(one: MarketDay, other: MarketDay) -> bool:
    """Return whether both make the same tables: the audit's largest revision is in none of them."""

    def columns(load: Sequence[LoadValue]) -> list[tuple[object, ...]]:
        return [value[:5] for value in load]

    return (columns(one.load), one.forecast, one.cleared) == (
        columns(other.load),
        other.forecast,
        other.cleared,
    )
