"""Row 22: the cost of answers from exported tables."""

from __future__ import annotations

import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from benchmarks import servers
from benchmarks.archives import FIRST, simulated
from benchmarks.measure import interleaved, run
from benchmarks.peers import PEERS
from benchmarks.table import Line


def row_22(*, small: bool) -> list[Line]:
    """Measure an audit, a report and a Python call on tables, against DuckDB and Polars."""
    runs = 1 if small else 5
    with simulated(14 if small else 365) as archive, tempfile.TemporaryDirectory() as directory:
        tables = Path(directory) / "tables"
        archive.scrapy("export", "-o", tables)
        cost = interleaved(
            runs,
            {
                "audit": lambda: archive.scrapy("audit", "--tables", tables),
                "report": lambda: archive.scrapy(
                    "report", "--tables", tables, "-o", tables.parent / "report.html"
                ),
                "duckdb": lambda: run(
                    [sys.executable, PEERS / "duckdb_count.py", tables],
                    servers.CLEAN,
                    tables.parent,
                )[0],
            },
        )
        month = [str(day) for day in (FIRST, FIRST + timedelta(days=14 if small else 31))]
        _, printed = run(
            [sys.executable, PEERS / "month.py", tables, *month], servers.PROJECT, tables.parent
        )
    ours, polars = map(float, printed.split())
    days = f"{archive.days} days"
    return [
        Line(
            22,
            f"wall time of `scrapy audit --tables` of {days} that are up to date, start-up included",
            goal=1.5,
            unit="s",
            reached=cost["audit"].wall,
            measured={
                "CPU, s": cost["audit"].cpu,
                "DuckDB, counting the rows, s": cost["duckdb"].wall,
            },
        ),
        Line(
            22,
            f"wall time of `scrapy report --tables` of {days}, start-up included",
            goal=3,
            unit="s",
            reached=cost["report"].wall,
            measured={
                "CPU, s": cost["report"].cpu,
                "DuckDB, counting the rows, s": cost["duckdb"].wall,
            },
        ),
        Line(
            22,
            "wall time of `open_archive(...).load()` of a month of tables, after import; over "
            "`polars.read_parquet` of the same partitions",
            goal=2,
            reached=ours / polars,
            measured={"project, ms": 1000 * ours, "Polars, ms": 1000 * polars},
        ),
    ]
