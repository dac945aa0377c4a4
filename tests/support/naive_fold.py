"""Fold the raw files of an archive into the rows of the tables, the slow and obvious way.

It follows the documentation (docs/data/archive.md, docs/data/tables.md, docs/explanation/feed.md), and
shares no code with the project: standard library only.
"""

import gzip
import json
import re
import zlib
from collections import defaultdict
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

EST = timezone(timedelta(hours=-5))
FIVE_MINUTES, HOUR, DAY = timedelta(minutes=5), timedelta(hours=1), timedelta(days=1)
NEAR = timedelta(minutes=15)
KEY = re.compile(
    r"sourcing/miso_realtime_total_load/\d{4}/\d\d/\d\d/realtime_total_load_(\d{8}_\d{6})\.json\.gz"
)
TABLES = ("load", "load_vintages", "forecast", "cleared", "snapshots")
HOURLY = {"MediumTermLoadForecast": ("HourEnding", "LoadForecast"), "ClearedMW": ("Hour", "Value")}


def fold(files):
    """Return {table: {market day: rows}} of *files*, {key: bytes}. A row is a dict of its columns.

    Of `fault` and `dropped_why`, which are text for people, a row only says whether they are there.
    """
    snapshots, listed = [], defaultdict(list)
    for key in sorted(files):
        if match := KEY.fullmatch(key):
            candidate = datetime.strptime(match[1], "%Y%m%d_%H%M%S").replace(tzinfo=UTC)
            day, row, snapshot = _file(key, candidate, files[key])
            listed[day].append(row)
            if snapshot:
                snapshots.append((day, snapshot))
    # In the order of publication, and of collection where the same interval was collected twice.
    snapshots.sort(
        key=lambda each: (each[1]["at"], each[1]["collected"] or each[1]["at"], each[1]["key"])
    )
    tables = {name: defaultdict(list) for name in TABLES}
    for day in sorted(listed):
        of_day = [snapshot for its_day, snapshot in snapshots if its_day == day]
        load = _said(of_day, "load")
        for start in sorted(load):
            said = load[start]
            changes = _changes(said)
            steps = [abs(after - before) for (before, _, _), (after, _, _) in pairwise(changes)]
            tables["load"][day].append(
                {
                    "interval_start": start,
                    "load_mw": said[-1][0],
                    "first_published": said[0][1],
                    "last_published": said[-1][1],
                    "revisions": len(steps),
                    "first_load_mw": said[0][0],
                    "first_collected": said[0][2],
                    "collected": changes[-1][2],
                    "largest_revision_mw": max(steps, default=0.0),
                    "interval_end": start + FIVE_MINUTES,
                }
            )
            for mw, published, collected in changes:
                tables["load_vintages"][day].append(
                    {
                        "interval_start": start, "load_mw": mw, "published": published,
                        "collected": collected,
                    }
                )  # fmt: skip
        for table in ("forecast", "cleared"):
            hours = _said(of_day, table)
            tables[table][day] = [
                {
                    "hour_start": start, f"{table}_mw": mw, "published": published,
                    "collected": collected, "hour_end": start + HOUR,
                }
                for start in sorted(hours)
                for mw, published, collected in _changes(hours[start])
            ]  # fmt: skip
        tables["snapshots"][day] = listed[day]
    return {name: dict(days) for name, days in tables.items()}


def _said(snapshots, table):
    """Return {start: [(mw, published, collected), ...]}, all that *snapshots* say, in their order."""
    said = defaultdict(list)
    for snapshot in snapshots:
        for start, mw in snapshot[table].items():
            said[start].append((mw, snapshot["at"], snapshot["collected"]))
    return said


def _changes(said):
    """Return what differs from what was said before it."""
    return [
        each for number, each in enumerate(said) if number == 0 or said[number - 1][0] != each[0]
    ]


def _file(key, candidate, body):
    """Return the market day, the row of the table `snapshots` and, if it counts, the snapshot."""
    row = {
        "key": key, "candidate": candidate, "interval": None, "collected": None, "rows": 0,
        "dropped_rows": 0, "dropped_why": False, "fault": True, "filed_under_another_day": False,
    }  # fmt: skip
    day = _market_day(candidate)
    try:
        document = json.loads(gzip.decompress(body))
        data, metadata = document["data"], document["collection_metadata"]
        at = datetime.strptime(data["RefId"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error):
        return day, row, None
    collected = _time(metadata.get("collected_at"))
    snapshot, used, dropped = _rows(data, at)
    row |= {
        "interval": at, "collected": collected, "rows": used, "dropped_rows": dropped,
        "dropped_why": dropped > 0, "fault": False,
    }  # fmt: skip
    if _market_day(at) != day and abs(at - candidate) > NEAR:
        return day, row | {"filed_under_another_day": True}, None
    return _market_day(at), row, {"key": key, "at": at, "collected": collected, **snapshot}


def _rows(data, at):
    """Return the MW of each array by the start of the interval or hour; how many; how many not."""
    midnight = at.astimezone(EST).replace(hour=0, minute=0)
    found = {"load": {}, "forecast": {}, "cleared": {}}
    dropped, last = 0, None
    for row in data["FiveMinTotalLoad"]:
        try:
            minute, mw = _minute(row["Time"]), _mw(row["Value"])
            if minute % 5 or minute >= 24 * 60:
                raise ValueError
        except (ValueError, KeyError, TypeError):
            dropped += 1
            continue
        found["load"][minute] = mw
        last = row["Time"]
    for table, array in [("forecast", "MediumTermLoadForecast"), ("cleared", "ClearedMW")]:
        label, value = HOURLY[array]
        for row in data[array]:
            try:
                minute, mw = _hour(label, row[label]), _mw(row[value])
            except (ValueError, KeyError, TypeError):
                dropped += 1
                continue
            found[table][minute] = mw
    # The labels are in UTC if they have seconds and the last one is the RefId's time in UTC.
    if last and last == f"{at:%H:%M}:00":
        found = {
            table: {(minute - 5 * 60) % (24 * 60): mw for minute, mw in mw_of.items()}
            for table, mw_of in found.items()
        }
    found = {
        table: {midnight + timedelta(minutes=minute): mw for minute, mw in mw_of.items()}
        for table, mw_of in found.items()
    }
    late = [start for start in found["load"] if start > at]
    for start in late:
        del found["load"][start]
    return found, sum(map(len, found.values())), dropped + len(late)


def _mw(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) >= 1e9:
        raise ValueError(value)
    return float(value)


def _minute(label):
    hours, minutes, *seconds = map(int, label.split(":"))
    if seconds not in ([], [0]) or not 0 <= minutes < 60:
        raise ValueError(label)
    return hours * 60 + minutes


def _hour(name, label):
    """Return the minute at which the hour starts: a number is an hour's end, and so is HourEnding."""
    if ":" not in str(label):
        start = (int(label) - 1) * 60
    elif name == "HourEnding":
        start = (_minute(label) or 24 * 60) - 60
    else:
        start = _minute(label)
    if start % 60 or not 0 <= start < 24 * 60:
        raise ValueError(label)
    return start


def _time(text):
    """Return *text*, ISO 8601 with an offset, in UTC; None if it is anything else."""
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return at.astimezone(UTC) if at.tzinfo else None


def _market_day(at):
    return f"{at.astimezone(EST):%Y-%m-%d}"
