"""Render the report's page."""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any

import orjson
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from miso_scrapy.dataset.audit import DayAudit
from miso_scrapy.dataset.day_values import HOURS_A_DAY, DayValues
from miso_scrapy.dataset.forecast_error import standing
from miso_scrapy.feed.market_day import market_day
from miso_scrapy.report import words
from miso_scrapy.report.ranges import (
    AUDIT_HEAD,
    ReportDay,
    audit_cells,
    ranges,
    report_day,
    worst_first,
)
from miso_scrapy.report.verdict import verdict


@dataclass(frozen=True)
class Source:
    """Where the page comes from."""

    archive: str
    """The location of the archive."""
    version: str
    """The version that makes the page."""
    simulated: bool


@dataclass(frozen=True)
class Chart:
    """A chart of the page: the *label* says what is drawn."""

    id: str
    title: str
    label: str
    note: str
    """What the caption says of every range."""
    panels: Sequence[str] = ()
    """The ids of the canvases that are drawn below the first one, on the same time axis."""


LOAD = Chart(
    "load",
    "Load and its forecast",
    "Line chart of the 5-minute load, the hourly forecast and the hourly cleared MW over time. "
    "Below it, the forecast minus the load of each hour.",
    "The forecast shown is the last one published before its hour began. The difference is that "
    "forecast minus the mean of the hour's twelve loads. If there was no forecast before, the first "
    "one is shown, without a difference.",
    ("difference",),
)
CHARTS = (
    Chart(
        "map",
        "Collected, healed, missing",
        "Map of the 5-minute intervals: a row for each market day, from 00:00 to 24:00 EST.",
        "Healed: the interval's own snapshot is missing or cannot be used, but a later one has "
        "its value.",
    ),
    Chart(
        "error",
        "Forecast error by hour and lead time",
        "",
        "The feed has forecasts for the current market day only, so only late hours have long "
        "lead times.",
    ),
    Chart(
        "peak",
        "The day's peak",
        "Line chart of the highest hour of each day, as first forecast on that day, and as it was.",
        "A peak is the highest mean load of an hour. A day whose peak may be among its missing "
        "values has none.",
    ),
    Chart(
        "revisions",
        "Revisions",
        "Scatter chart of the revisions of 5-minute values, by the interval that was revised: by "
        "how many MW. Below it, how long after the first publication.",
        "Each mark is a change of a value after it was first published.",
        ("after",),
    ),
    Chart(
        "age",
        "Freshness",
        "Histogram of the time from the start of an interval until its first snapshot was "
        "collected.",
        "",
    ),
)


def report(
    days: Sequence[DayValues], audits: Sequence[DayAudit], now: datetime, source: Source
) -> str:
    """Return the HTML page about *days*, which must be in order, and at least one.

    *audits* are the audits of the same days.
    """
    shown = [report_day(values, audit) for values, audit in zip(days, audits, strict=True)]
    described = ranges(shown)
    whole = described["all"][0]
    scripts = [_text("uplot/uPlot.iife.min.js"), _text("page.js")]
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_text("page.html")).render(
        source=source,
        period=whole["name"],
        number=words.count(len(days), "market day"),
        uplot=scripts[0].partition("(v")[2].partition(")")[0],
        made=words.instant(now),
        verdict=verdict(audits, market_day(now)),
        style=_as_it_is(_text("uplot/uPlot.min.css") + _text("page.css")),
        scripts=[_as_it_is(script) for script in scripts],
        hashes=_as_it_is(" ".join(map(_hash, scripts))),
        load=LOAD,
        charts=CHARTS,
        captions=whole["captions"],
        audit_head=AUDIT_HEAD,
        audit=[
            (number, shown[number].audit.values_missing, list(audit_cells(shown, shown[number])))
            for number in worst_first(shown)
        ],
        total=whole["total"],
        data=_packed(_data(shown) | {"ranges": described, "simulated": source.simulated}),
    )


def _data(days: Sequence[ReportDay]) -> dict[str, Any]:
    """Return the values of each day; lists with a value for each interval or hour are of all days."""
    return {
        "days": [str(day.values.day) for day in days],
        "load": _short(mw for day in days for mw in day.values.load),
        "forecast": _short(mw for day in days for mw in _as_it_began(day.values)),
        "cleared": _short(mw for day in days for mw in day.values.cleared),
        "difference": [round(mw) if mw is not None else None for mw in _differences(days)],
        "states": [day.states for day in days],
        "missing": [day.audit.values_missing for day in days],
        "healed": [day.audit.healed for day in days],
        "errors": [
            [
                (each.hour, [(round(mw), round(100 * mw / each.load_mw, 2)) for mw in each.errors])
                for each in day.errors
                if each.load_mw
            ]
            for day in days
        ],
        "peaks": [
            day.peak
            and (
                round(day.peak.forecast_mw),
                day.peak.forecast_hour,
                None if day.peak.load_mw is None else round(day.peak.load_mw),
                day.peak.load_hour,
            )
            for day in days
        ],
        "revisions": [
            [
                (each.number, *_short((each.before_mw, each.after_mw, each.mw, each.minutes)))
                for each in day.values.revisions
            ]
            for day in days
        ],
    }


def _as_it_began(values: DayValues) -> Iterable[float | None]:
    """Yield the forecast of each hour that stood when it began, or the first if there was none."""
    for hour in range(HOURS_A_DAY):
        first = [mw for _, mw in values.forecast[hour][:1]]
        yield next(iter(standing(values, hour) or first), None)


def _differences(days: Sequence[ReportDay]) -> Iterable[float | None]:
    for day in days:
        errors = {each.hour: each.errors[0] for each in day.errors}
        yield from (errors.get(hour) for hour in range(HOURS_A_DAY))


def _short(values: Iterable[float | None]) -> list[float | None]:
    """Return *values* rounded to one decimal, those that are whole as integers."""
    return [
        value if value is None else int(value) if value == int(value) else round(value, 1)
        for value in values
    ]


def _packed(value: Any) -> str:
    """Return *value* as JSON, compressed with gzip, in base64."""
    return base64.b64encode(gzip.compress(orjson.dumps(value), 4, mtime=0)).decode()


def _as_it_is(text: str) -> Markup:
    """Mark *text* as safe: the page does not escape it. It must come from this package or be escaped."""
    return Markup(text)  # noqa: S704


def _text(name: str) -> str:
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    # A browser normalises newlines before it hashes a script.
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
