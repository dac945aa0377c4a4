"""Convert market days to the tables of an export and back; see docs/data/tables.md."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from miso_scrapy.archive.identity import Kind
from miso_scrapy.dataset import TABLES
from miso_scrapy.dataset.faults import DamagedTable, WrongTables
from miso_scrapy.dataset.fold import FiledFile, LoadValue, MarketDay, Vintage
from miso_scrapy.feed.candidate import INTERVAL

TIME = pa.timestamp("us", "UTC")
HOUR = timedelta(hours=1)

SCHEMAS = {
    "load": pa.schema(
        {
            "interval_start": TIME,
            "load_mw": pa.float64(),
            "first_published": TIME,
            "last_published": TIME,
            "revisions": pa.int32(),
            "first_load_mw": pa.float64(),
            "first_collected": TIME,
            "collected": TIME,
            "largest_revision_mw": pa.float64(),
            "interval_end": TIME,
        }
    ),
    "load_vintages": pa.schema(
        {"interval_start": TIME, "load_mw": pa.float64(), "published": TIME, "collected": TIME}
    ),
    "forecast": pa.schema(
        {
            "hour_start": TIME,
            "forecast_mw": pa.float64(),
            "published": TIME,
            "collected": TIME,
            "hour_end": TIME,
        }
    ),
    "cleared": pa.schema(
        {
            "hour_start": TIME,
            "cleared_mw": pa.float64(),
            "published": TIME,
            "collected": TIME,
            "hour_end": TIME,
        }
    ),
    "snapshots": pa.schema(
        {
            "key": pa.string(),
            "candidate": TIME,
            "interval": TIME,
            "collected": TIME,
            "rows": pa.int32(),
            "dropped_rows": pa.int32(),
            "dropped_why": pa.string(),
            "fault": pa.string(),
            "filed_under_another_day": pa.bool_(),
        }
    ),
}

_LENGTH = {"load": INTERVAL, "forecast": HOUR, "cleared": HOUR}
"""The length of an interval, for the tables whose last column is its end."""
_ROWS: Mapping[str, Callable[[Iterable[Any]], Any]] = {
    "load": LoadValue._make,
    "load_vintages": Vintage._make,
    "forecast": Vintage._make,
    "cleared": Vintage._make,
    "snapshots": FiledFile._make,
}
_CODES = {TIME: "q", pa.float64(): "d", pa.int32(): "i"}
_EPOCH, _MICROSECOND = datetime.fromtimestamp(0, UTC), timedelta(microseconds=1)
_VERSION, _KIND = b"miso_scrapy.version", b"miso_scrapy.kind"


def arrow_table(name: str, day: MarketDay) -> pa.Table:
    """Return the table *name* of a market day."""
    rows: Sequence[Any] = getattr(day, name)
    schema = SCHEMAS[name]
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) or [()] * len(schema)
    if rows and name in _LENGTH:
        columns.append([start + _LENGTH[name] for start in columns[0]])
    arrays = [_array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema=schema)


def parquet_files(day: MarketDay, version: str, kind: Kind) -> dict[str, bytes]:
    """Return the Parquet file of each table, with *version* and *kind* in its metadata."""
    metadata = {_VERSION: version.encode(), _KIND: kind.encode()}
    return {name: _parquet(arrow_table(name, day), metadata) for name in TABLES}


def kind_in(body: bytes) -> Kind | None:
    """Return the kind of the snapshots that a table was made from; None if *body* is no table."""
    try:
        metadata = pq.read_metadata(pa.BufferReader(body)).metadata or {}
    except (OSError, pa.ArrowException):
        return None
    return Kind(metadata.get(_KIND, b"real").decode())


def read_parquet(
    name: str, day: date, body: bytes, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return the *columns*, or all, of the table *name* of *day* in the Parquet file *body*.

    Raises DamagedTable, and WrongTables for a table with other columns.
    """
    try:
        # Without Arrow's threads: they can abort a process that ends at the same time.
        file = pq.ParquetFile(pa.BufferReader(body), pre_buffer=False)
        table = file.read(columns=columns, use_threads=False)
        schema = table.schema if columns is None else file.schema_arrow  # which takes longer
    except (OSError, pa.ArrowException):
        raise DamagedTable(f"the table {name} of {day} is damaged: export the day again") from None
    if not schema.equals(SCHEMAS[name]):
        raise WrongTables(
            f"the table {name} of {day} was exported by another version: it has other columns; choose "
            "another place for the tables of this version"
        )
    return table


def version_in(table: pa.Table) -> bytes | None:
    """Return the version of the files that *table* was made from."""
    return (table.schema.metadata or {}).get(_VERSION)


def market_day_of(day: date, tables: Mapping[str, pa.Table]) -> MarketDay:
    """Return the market day in *tables*. A table that is not there counts as empty."""
    return MarketDay(
        day, *(rows_of(name, tables[name]) if name in tables else [] for name in TABLES)
    )


def rows_of(name: str, table: pa.Table) -> list[Any]:
    """Return the rows of the table *name*, as the fold gives them."""
    fields = SCHEMAS[name].names[: -1 if name in _LENGTH else None]
    columns, times = [], _Times({None: None})
    for column in (table[field] for field in fields):
        # Convert times as integers: to_pylist() of timestamps imports pandas if it is installed.
        if column.type == TIME:
            columns.append(list(map(times.__getitem__, column.cast(pa.int64()).to_pylist())))
        else:
            columns.append(column.to_pylist())
    return list(map(_ROWS[name], zip(*columns, strict=True)))


class _Times(dict[int | None, datetime | None]):
    """The times by their microseconds since 1970. Most occur often, so each is made once."""

    def __missing__(self, microseconds: int | None) -> datetime:
        assert microseconds is not None
        time = self[microseconds] = _EPOCH + microseconds * _MICROSECOND
        return time


class _Microseconds(dict[datetime | None, int]):
    """The microseconds since 1970 of times: the inverse of _Times."""

    def __missing__(self, time: datetime | None) -> int:
        assert time is not None
        microseconds = self[time] = (time - _EPOCH) // _MICROSECOND
        return microseconds


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Return *values*, in which None is allowed, as an Arrow array that is made from buffers.

    pa.array() would import pandas if it is installed, which takes longer than reading a day.
    """
    size = len(values)
    there = None
    if None in values:
        there = _bitmap([value is not None for value in values])
    if kind == pa.bool_():
        return pa.Array.from_buffers(kind, size, [there, _bitmap(values)])
    if kind == pa.string():
        texts = [(value or "").encode() for value in values]
        ends = array("i", [0, *accumulate(map(len, texts))])
        buffers = [there, pa.py_buffer(ends), pa.py_buffer(b"".join(texts))]
        return pa.Array.from_buffers(kind, size, buffers)
    if kind == TIME:
        values = list(map(_Microseconds({None: 0}).__getitem__, values))
    return pa.Array.from_buffers(kind, size, [there, pa.py_buffer(array(_CODES[kind], values))])


def _bitmap(values: Sequence[bool]) -> pa.Buffer:
    bits = sum(1 << number for number, value in enumerate(values) if value)
    return pa.py_buffer(bits.to_bytes((len(values) + 7) // 8, "little"))


def _parquet(table: pa.Table, metadata: dict[bytes, bytes]) -> bytes:
    out = pa.BufferOutputStream()
    # In tables of a day, dictionaries take more space and time than they save.
    table = table.replace_schema_metadata(metadata)
    pq.write_table(table, out, compression="zstd", use_dictionary=False)
    body: bytes = out.getvalue().to_pybytes()
    return body
