"""Read a range of load from tables, with the project and with Polars, in turn: the medians, in seconds.

`python month.py TABLES START END`
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import polars

import miso_scrapy

tables, start, end = sys.argv[1:]
files = [
    path
    for path in sorted(Path(tables).glob("load/market_day=*/load.parquet"))
    if start <= path.parent.name.removeprefix("market_day=") < end
]
miso_scrapy.open_archive  # noqa: B018 - imports the interface


def seconds(call: Callable[[], object]) -> float:
    """Return how long *call* takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


ours, theirs = [], []
for _ in range(31):
    ours.append(seconds(lambda: miso_scrapy.open_archive(tables).load(start, end)))
    theirs.append(seconds(lambda: polars.read_parquet(files, hive_partitioning=True)))
print(median(ours), median(theirs))
