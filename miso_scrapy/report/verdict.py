"""Say in one sentence whether the archive is whole, and in another what can still be healed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from miso_scrapy.dataset.audit import DayAudit, Gap, total
from miso_scrapy.feed.candidate import INTERVAL
from miso_scrapy.feed.market_day import INTERVALS_A_DAY
from miso_scrapy.report import words

_NAMED = 3
"""The largest number of gaps that the sentence names."""


@dataclass(frozen=True)
class Verdict:
    """The verdict: a sentence in three parts, of which the middle one is the bad news, if any."""

    whole: bool
    before: str
    missing: str
    after: str
    today: str
    """What can still be healed, and until when."""

    def __str__(self) -> str:
        return self.before + self.missing + self.after


def verdict(audits: Sequence[DayAudit], today: date) -> Verdict:
    """Return the verdict on the days of *audits* on the market day *today*.

    What is missing of an earlier day is missing for good: the feed has the current day only.
    """
    result = total(audits)
    due = result.values + result.values_missing
    lost = list(joined(gap for each in audits if each.day < today for gap in each.missing))
    still = [gap for each in audits if each.day >= today for gap in each.missing]
    years = len({audit.day.year for audit in audits}) > 1
    healed = f"{result.healed:,} {{}}healed by later snapshots."
    end = ""
    if result.healed:
        was = "was" if result.healed == 1 else "were"
        end = healed.format(f"{'more ' if lost or still else ''}{was} ")
    then = _today(audits, still, today)
    if lost:
        number = sum(map(len, lost))
        are = "is" if number == 1 else "are"
        return Verdict(
            False,
            f"Complete but for {_gaps(lost, years)}: ",
            f"{number:,} of {words.count(due, 'value')} {are} missing for good",
            f"; {end}" if end else ".",
            then,
        )
    if still:
        number = sum(map(len, still))
        are = "is" if number == 1 else "are"
        return Verdict(
            False,
            f"Complete but for {_gaps(still, years)}: ",
            f"{number:,} of {words.count(due, 'value')} {are} missing",
            f", and can still be healed{f'; {end}' if end else '.'}",
            then,
        )
    values = f"All {words.count(due, 'value')} are known"
    if due == 1:
        values = "The value is known"
    return Verdict(True, "Complete.", "", "", f"{values}{f'; {end}' if end else '.'} {then}")


def joined(gaps: Iterable[Gap]) -> Iterable[Gap]:
    """Yield *gaps*, in order, those that touch as one, even if a midnight is between them."""
    whole = None
    for gap in gaps:
        if whole and gap.first - whole.last == INTERVAL:
            whole = Gap(whole.first, gap.last)
            continue
        if whole:
            yield whole
        whole = gap
    if whole:
        yield whole


def name(gap: Gap, *, year: bool = False) -> str:
    """Return ``15 Nov 17:00 to 23:55``, ``all of 20 Nov``, ``15 Nov 17:00``."""
    first, last = (words.on(at.date(), year=year) for at in (gap.first, gap.last))
    days, rest = divmod(len(gap), INTERVALS_A_DAY)
    if not rest and f"{gap.first:%H:%M}" == "00:00":
        return f"all of {first}" if days == 1 else f"all of {first} to {last}"
    if len(gap) == 1:
        return f"{first} {gap.first:%H:%M}"
    until = f"{gap.last:%H:%M}"
    return f"{first} {gap.first:%H:%M} to {until if first == last else f'{last} {until}'}"


def _gaps(gaps: Sequence[Gap], years: bool) -> str:
    """Return the names of the largest *gaps*, in the order of time, and the number of the others."""
    largest = sorted(sorted(gaps, key=len, reverse=True)[:_NAMED], key=lambda gap: gap.first)
    names = [name(gap, year=years) for gap in largest]
    if more := len(gaps) - len(largest):
        names.append(f"{more:,} more {'gap' if more == 1 else 'gaps'}")
    return words.listed(names)


def _today(audits: Sequence[DayAudit], still: Sequence[Gap], today: date) -> str:
    if audits[-1].day < today:
        over = "Nothing can be healed any more: these market days are over."
        return f"{over} Later days are not on this page."
    until = f"{words.on(today + timedelta(days=1))}, 00:00 EST (05:00 UTC)"
    if not still:
        return (
            f"Today, {words.on(today, year=False)}, is complete so far. What is missed later can "
            f"be healed by any snapshot taken before {until}."
        )
    number = sum(map(len, still))
    return (
        f"Still to be healed: {words.count(number, 'value')} of today, {_gaps(still, False)}. Any "
        f"snapshot taken before {until} brings {'it' if number == 1 else 'them'}."
    )
