"""Render the report's page."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from miso_scrapy.dataset.audit import DayAudit, total
from miso_scrapy.dataset.fold import MarketDay
from miso_scrapy.dataset.forecast_error import LeadError, lead_errors
from miso_scrapy.report import words
from miso_scrapy.report.charts import charts
from miso_scrapy.report.day import ReportDay, report_day
from miso_scrapy.report.figures import audit_table, figures, lede


def report(
    days: Sequence[MarketDay],
    audits: Sequence[DayAudit],
    now: datetime,
    *,
    simulated: bool = False,
) -> str:
    """Return the HTML page about *days*, which must be in order, and at least one.

    *audits* are the audits of the same days. A *simulated* page says that its data are simulated.
    """
    shown = [report_day(market, audit) for market, audit in zip(days, audits, strict=True)]
    leads = lead_errors(days)
    result = total(audits)
    plotly, script = _newlines(get_plotlyjs()), _text("page.js")
    first, last = words.on(days[0].day), words.on(days[-1].day)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(_text("page.html")).render(
        period=first if first == last else f"{first} to {last}",
        made=words.at(now),
        simulated=simulated,
        style=_as_it_is(_text("page.css")),
        scripts=[_as_it_is(plotly), _as_it_is(script)],
        hashes=_as_it_is(" ".join(map(_hash, (plotly, script)))),
        lede=lede(result),
        figures=figures(shown, result, now),
        audit=audit_table(audits, result),
        charts=charts(shown, leads),
        rows=len(days),
        data=_as_it_is(_json(_data(shown, leads))),
    )


def _data(days: Sequence[ReportDay], leads: Sequence[LeadError]) -> dict[str, Any]:
    return {
        "days": [str(day.market.day) for day in days],
        "load": [_compact(day.load) for day in days],
        "forecast": [_compact(day.forecast) for day in days],
        "cleared": [_compact(day.cleared) for day in days],
        "error": [_compact(day.error) for day in days],
        "lead": [
            (lead.lead_hours, lead.hours, _short(lead.mean_absolute_mw), _short(lead.bias_mw))
            for lead in leads
        ],
        "state": [day.state for day in days],
        "revisions": [
            [
                (number, _short(value.largest_revision_mw), value.revisions)
                for number, value in day.revised
            ]
            for day in days
        ],
        "age": [_compact(day.age) for day in days],
    }


def _compact(values: Iterable[float | None]) -> list[float | None]:
    """Return *values* with few digits, without the None values at the end."""
    compact = [None if value is None else _short(value) for value in values]
    while compact and compact[-1] is None:
        compact.pop()
    return compact


def _short(value: float) -> float:
    """Return *value* rounded to one decimal, as an integer if it is whole."""
    return int(value) if value == int(value) else round(value, 1)


def _as_it_is(text: str) -> Markup:
    """Mark *text* as safe: the page does not escape it. It must come from this package or be escaped."""
    return Markup(text)  # noqa: S704


def _json(value: Any) -> str:
    """Return *value* as JSON that is safe inside a script element."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _text(name: str) -> str:
    return _newlines(files(__package__).joinpath(name).read_text(encoding="utf-8"))


def _newlines(text: str) -> str:
    """Return *text* with LF newlines, as a browser normalises them before it hashes a script."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
