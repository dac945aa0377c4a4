"""The status as five lines for a person, and as one JSON object for a program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from miso_scrapy.feed.ref_id import iso_utc
from miso_scrapy.status.report import Line, Status, hours, last_snapshot
from miso_scrapy.text.wording import count

_UNKNOWN = "not known, as the store cannot be read"


def lines(status: Status) -> Iterator[str]:
    """Yield one line for each :class:`Line`: ok, or ACT with what to do and where to read about it."""
    for line in Line:
        problems = [problem for problem in status.problems if problem.line == line]
        mark = "ACT" if problems else "ok"
        parts = [f"{problem.what}; see {problem.runbook}" for problem in problems]
        if not problems or (line == Line.OWED and status.registry):
            parts.insert(0, _FACTS[line](status))
        yield f"{line:15}{mark:6}{'; '.join(parts)}"


def _last(status: Status) -> str:
    if status.archive is None:
        return _UNKNOWN
    simulated = "; the archive is simulated" if status.is_simulated else ""
    return f"{last_snapshot(status.archive, status.now)}{simulated}"


def _today(status: Status) -> str:
    if status.archive is None:
        return _UNKNOWN
    today, due = status.archive.today, status.archive.due
    return (
        f"market day {today.day}: {count(due, 'interval')} due, {count(today.snapshots, 'snapshot')} "
        f"filed, {count(today.values, 'value')} known, {today.values_missing} missing"
    )


def _healing(status: Status) -> str:
    if status.archive is None:
        return _UNKNOWN
    archive = status.archive
    missing, lost = archive.today.values_missing, archive.snapshots_lost
    until = (
        f"midnight EST, {iso_utc(archive.next_midnight)}, in "
        f"{hours(archive.next_midnight - status.now)}"
    )
    text = (
        f"{count(missing, 'missing value')} can be healed by any later snapshot until {until}"
        if missing
        else f"no value is missing; the market day ends at {until}"
    )
    if lost:
        text += f"; lost already: {count(lost, 'snapshot')}, with the vintages that only they had"
    return text


def _owed(status: Status) -> str:
    kept = status.archive.quarantined if status.archive else None
    quarantine = "not known" if kept is None else str(kept)
    if status.registry is None:
        return f"nothing: there is no registry yet; in quarantine: {quarantine}"
    return (
        f"{count(status.registry.messages, 'message')} for Kafka, "
        f"{count(status.registry.open_registrations, 'open registration')}; "
        f"in quarantine: {quarantine}"
    )


def _run(status: Status) -> str:
    if status.registry is None:
        known = not any(problem.line == Line.OWED for problem in status.problems)
        return "no run is alive" if known else "not known, as the registry cannot be read"
    if not status.registry.runs:
        return "no run is alive"
    return ", ".join(
        f"{run.spider} is alive since {iso_utc(run.since)}, process {run.process} on {run.host}"
        for run in status.registry.runs
    )


_FACTS = {
    Line.LAST: _last,
    Line.TODAY: _today,
    Line.HEALING: _healing,
    Line.OWED: _owed,
    Line.RUN: _run,
}


def to_json(status: Status) -> str:
    """Return the status as one JSON object. What is not known is null."""
    told: dict[str, Any] = {
        "ok": not status.problems,
        "time": iso_utc(status.now),
        "simulated": status.is_simulated,
        "last_snapshot": None,
        "today": None,
        "healing": None,
        "owed": None,
        "quarantined": None,
        "runs": None,
        "problems": [
            {"problem": problem.what, "runbook": problem.runbook} for problem in status.problems
        ],
    }
    if archive := status.archive:
        today, now = archive.today, status.now
        if archive.last:
            told["last_snapshot"] = {
                "filed_at": iso_utc(archive.last.filed_at),
                "filed_age_seconds": (now - archive.last.filed_at) // timedelta(seconds=1),
                "interval": iso_utc(archive.last.interval),
                "interval_age_seconds": (now - archive.last.interval) // timedelta(seconds=1),
            }
        told["today"] = {
            "market_day": str(today.day),
            "due": archive.due,
            "filed": today.snapshots,
            "known": today.values,
            "missing": today.values_missing,
            "healed": today.healed,
        }
        told["healing"] = {
            "values": today.values_missing,
            "gaps": [
                {"first": gap.first.isoformat(), "last": gap.last.isoformat(), "values": len(gap)}
                for gap in today.missing
            ],
            "until": iso_utc(archive.next_midnight),
            "hours_left": round((archive.next_midnight - now) / timedelta(hours=1), 2),
            "snapshots_lost": archive.snapshots_lost,
        }
        told["quarantined"] = archive.quarantined
    if registry := status.registry:
        told["owed"] = {
            "messages": registry.messages,
            "registrations": registry.open_registrations,
        }
        told["runs"] = [
            {
                "spider": run.spider,
                "host": run.host,
                "process": run.process,
                "since": iso_utc(run.since),
            }
            for run in registry.runs
        ]
    return json.dumps(told)
