"""Read all tables of an export, in a directory or a bucket, as rows to compare with naive_fold's."""

import io
import re

import pyarrow.parquet as pq

PATH = re.compile(r"([a-z_]+)/market_day=(\d{4}-\d\d-\d\d)/([a-z_]+)\.parquet")


def in_directory(target):
    """Return {path below *target*: bytes} of every Parquet file."""
    return {
        str(path.relative_to(target)): path.read_bytes() for path in target.glob("*/*/*.parquet")
    }


def in_bucket(client, bucket, prefix):
    """Return {key below *prefix*: bytes} of every Parquet file."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    return {
        key.removeprefix(f"{prefix}/"): client.get_object(Bucket=bucket, Key=key)["Body"].read()
        for page in pages
        for key in (entry["Key"] for entry in page.get("Contents", ()))
        if key.endswith(".parquet")
    }


def rows(body, table):
    """Return the rows of a Parquet file of *table*, as dicts, in their order."""
    found = pq.read_table(io.BytesIO(body)).to_pylist()
    if table == "snapshots":
        for row in found:
            row["fault"], row["dropped_why"] = bool(row["fault"]), bool(row["dropped_why"])
    return found


def tables(files):
    """Return {table: {market day: rows}} of *files*, {path: bytes}. Days without rows are left out."""
    found = {}
    for path, body in files.items():
        table, day, name = PATH.fullmatch(path).groups()
        assert table == name, path
        if read := rows(body, table):
            found.setdefault(table, {})[day] = read
    return found


def without_empty_days(folded):
    """Return what naive_fold.fold gave, without the days that have no rows of a table."""
    return {
        table: kept
        for table, days in folded.items()
        if (kept := {day: found for day, found in days.items() if found})
    }


def differences(found, expected):
    """Return what differs, in lines to read: at most a few per table and day."""
    lines = []
    for table in sorted({*found, *expected}):
        ours, theirs = found.get(table, {}), expected.get(table, {})
        for day in sorted({*ours, *theirs}):
            left, right = ours.get(day, []), theirs.get(day, [])
            if left != right:
                lines.append(f"{table} {day}: {len(left)} rows, expected {len(right)}")
                lines += [f"  only exported: {row}" for row in left if row not in right][:3]
                lines += [f"  only expected: {row}" for row in right if row not in left][:3]
    return lines
