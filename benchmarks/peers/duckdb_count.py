"""Count the values of each market day in exported tables: `python duckdb_count.py TABLES`."""

from __future__ import annotations

import sys

import duckdb

duckdb.sql(
    "SELECT market_day, count(*), sum(revisions) "
    f"FROM read_parquet('{sys.argv[1]}/load/*/*.parquet', hive_partitioning=true) GROUP BY ALL"
).fetchall()
