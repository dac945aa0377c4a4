"""An independent reader of the tables of an export."""

from datetime import date

import pyarrow.parquet as pq


def rows(target, table, day):
    """The rows of *table* of the market day *day*, in the file's order, as tuples."""
    path = target / table / f"market_day={day}" / f"{table}.parquet"
    return [tuple(row.values()) for row in pq.ParquetFile(path).read().to_pylist()]


def tables(target):
    """All the tables that are there, by their path below *target*."""
    found = sorted(target.glob("*/market_day=*/*"))
    return {str(path.relative_to(target)): pq.ParquetFile(path).read() for path in found}


def days(target, table="load"):
    """The market days that *table* has a partition of."""
    found = (target / table).glob("market_day=*")
    return sorted(date.fromisoformat(path.name.removeprefix("market_day=")) for path in found)
