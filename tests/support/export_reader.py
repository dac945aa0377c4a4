"""An independent reader of the tables of an export."""

from datetime import date

import pyarrow.parquet as pq

COLUMNS = {
    "load": ["interval_start", "load_mw", "first_published", "last_published", "revisions"],
    "forecast": ["hour_start", "forecast_mw", "published"],
    "cleared": ["hour_start", "cleared_mw", "published"],
}


def rows(target, table, day, columns=None):
    """The values of *columns*, by default the first ones, of the market day *day* in *table*."""
    path = target / table / f"market_day={day}" / f"{table}.parquet"
    read = pq.ParquetFile(path).read(columns=columns or COLUMNS[table])
    return [tuple(row.values()) for row in read.to_pylist()]


def tables(target):
    """All the tables that are there, by their path below *target*."""
    found = sorted(target.glob("*/market_day=*/*"))
    return {str(path.relative_to(target)): pq.ParquetFile(path).read() for path in found}


def days(target, table="load"):
    """The market days that *table* has a partition of."""
    found = (target / table).glob("market_day=*")
    return sorted(date.fromisoformat(path.name.removeprefix("market_day=")) for path in found)
