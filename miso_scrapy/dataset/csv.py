"""Write a table as CSV, for spreadsheets."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.csv

from miso_scrapy.dataset.fold import MarketDay
from miso_scrapy.dataset.tables import SCHEMAS, TIME, arrow_table


def csv_header(name: str) -> bytes:
    """Return the first line of the table *name*: each time is there twice, in UTC and in EST."""
    columns = ["market_day"]
    for field in SCHEMAS[name]:
        zones = ("_utc", "_est") if field.type == TIME else ("",)
        columns += [f"{field.name}{zone}" for zone in zones]
    return ",".join(columns).encode() + b"\n"


def csv_lines(name: str, day: MarketDay) -> bytes:
    """Return the table *name* of a market day as lines without the header."""
    import pyarrow.compute as pc

    # Not at import time: pa.scalar() imports pandas if it is installed, which takes half a second.
    est_behind = pa.scalar(5 * 3600, pa.duration("s"))
    table = arrow_table(name, day)
    columns = [pa.repeat(pa.scalar(day.day), len(table))]
    for field, column in zip(table.schema, table.columns, strict=True):
        if column.type == TIME:
            # Without a zone, because spreadsheets do not read one. The column's name says it.
            # A time of the grid has no fraction of a second; the time of a collection may have one.
            unit = "us" if field.name.endswith("collected") else "s"
            utc = column.cast(pa.timestamp(unit))
            columns += [utc, pc.subtract(utc, est_behind)]
        else:
            columns.append(column)
    out = io.BytesIO()
    options = pa.csv.WriteOptions(include_header=False, quoting_style="needed")
    names = [str(number) for number in range(len(columns))]
    pa.csv.write_csv(pa.table(columns, names=names), out, options)
    return out.getvalue()
