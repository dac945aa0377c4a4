"""Write and read the three tables of a market day, as Parquet or CSV; see docs/data/tables.md."""

from __future__ import annotations

import io
from array import array
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from miso_scrapy.archive.identity import Kind
from miso_scrapy.dataset.fold import LoadValue, MarketDay, Vintage

_TIME = pa.timestamp("us", "UTC")
SCHEMAS = {
    "load": pa.schema(
        {
            "interval_start": _TIME,
            "load_mw": pa.float64(),
            "first_published": _TIME,
            "last_published": _TIME,
            "revisions": pa.int32(),
        }
    ),
    "forecast": pa.schema({"hour_start": _TIME, "forecast_mw": pa.float64(), "published": _TIME}),
    "cleared": pa.schema({"hour_start": _TIME, "cleared_mw": pa.float64(), "published": _TIME}),
}
_CODES = {_TIME: "q", pa.float64(): "d", pa.int32(): "i"}
_EPOCH, _MICROSECOND = datetime.fromtimestamp(0, UTC), timedelta(microseconds=1)
_SPREADSHEET = pa.timestamp("s")  # UTC, but unmarked: spreadsheets do not read time zones
CSV_HEADER = ",".join(["market_day", *SCHEMAS["load"].names]).encode() + b"\n"
_VERSION, _KIND = b"miso_scrapy.version", b"miso_scrapy.kind"


def parquet_files(day: MarketDay, version: str, kind: Kind) -> dict[str, bytes]:
    """Return the Parquet file of each table, with *version* and *kind* in its metadata."""
    metadata = {_VERSION: version.encode(), _KIND: kind.encode()}
    return {name: _parquet(table, metadata) for name, table in _tables(day).items()}


def version_of(file: Path | bytes) -> str | None:
    """Return the version in the metadata of *file*; None if it is not a Parquet file."""
    metadata = _metadata(file)
    return None if metadata is None else metadata.get(_VERSION, b"").decode()


def tables_kind(target: Path) -> Kind | None:
    """Return the kind of snapshots, real or simulated, that the tables below *target* were made from;
    None if there are no tables.
    """
    for path in target.glob("*/market_day=*/*.parquet"):
        if (metadata := _metadata(path)) is not None:
            return Kind(metadata.get(_KIND, b"real").decode())
    return None


def _metadata(file: Path | bytes) -> dict[bytes, bytes] | None:
    try:
        source = pa.BufferReader(file) if isinstance(file, bytes) else str(file)
        return pq.read_metadata(source).metadata or {}
    except (OSError, pa.ArrowException):
        return None


def market_day_of(day: date, tables: Mapping[str, bytes]) -> MarketDay:
    """Return the market day in the Parquet files *tables*. A damaged table is read as empty."""
    return MarketDay(
        day,
        [LoadValue._make((*row, 0)) for row in _rows("load", tables)],
        [Vintage._make(row) for row in _rows("forecast", tables)],
        [Vintage._make(row) for row in _rows("cleared", tables)],
    )


def _rows(name: str, tables: Mapping[str, bytes]) -> Iterable[tuple[Any, ...]]:
    try:
        # Without Arrow's threads: they can abort a process that ends at the same time.
        file = pq.ParquetFile(pa.BufferReader(tables[name]), pre_buffer=False)
        table = file.read(use_threads=False)
        if not table.schema.equals(SCHEMAS[name]):
            return ()
    except (KeyError, OSError, pa.ArrowException):
        return ()
    columns = []
    for column in table.columns:
        # Convert times as integers: to_pylist() of timestamps imports pandas if it is installed.
        values = column.cast(pa.int64() if column.type == _TIME else column.type).to_pylist()
        if column.type == _TIME:
            values = [_EPOCH + value * _MICROSECOND for value in values]
        columns.append(values)
    return zip(*columns, strict=True)


def load_csv(day: MarketDay) -> bytes:
    """Return the load as CSV lines without the header. Times are in UTC, to the second."""
    table = _tables(day)["load"]
    columns = {"market_day": pa.repeat(pa.scalar(day.day), len(table))}
    for name in table.column_names:
        column = table[name]
        columns[name] = column.cast(_SPREADSHEET) if column.type == _TIME else column
    out = io.BytesIO()
    options = pa.csv.WriteOptions(include_header=False, quoting_style="needed")
    pa.csv.write_csv(pa.table(columns), out, options)
    return out.getvalue()


def _tables(day: MarketDay) -> dict[str, pa.Table]:
    rows: dict[str, Sequence[LoadValue | Vintage]] = {
        "load": day.load,
        "forecast": day.forecast,
        "cleared": day.cleared,
    }
    return {name: _table(schema, rows[name]) for name, schema in SCHEMAS.items()}


def _table(schema: pa.Schema, rows: Sequence[LoadValue | Vintage]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    # A LoadValue has one more field at its end than the table: only the audit uses it.
    arrays = [_array(column, field.type) for column, field in zip(columns, schema, strict=False)]
    return pa.table(arrays, schema=schema)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Return *values* as an Arrow array, made from a buffer.

    pa.array() would import pandas if it is installed, which takes longer than reading a day.
    """
    if kind == _TIME:
        values = [(value - _EPOCH) // _MICROSECOND for value in values]
    numbers = array(_CODES[kind], values)
    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(numbers)])


def _parquet(table: pa.Table, metadata: dict[bytes, bytes]) -> bytes:
    out = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), out, compression="zstd")
    return out.getvalue()
