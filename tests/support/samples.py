"""Write archives of known content, without the project's code."""

import gzip
import json
from datetime import UTC, datetime, timedelta, timezone

EST = timezone(timedelta(hours=-5))
INTERVAL = timedelta(minutes=5)
ROOT = "sourcing/miso_realtime_total_load"


def est(day, clock="00:00"):
    """The instant that it is *clock* on *day* in EST, in UTC: est("2026-05-01", "08:10")."""
    return datetime.fromisoformat(f"{day}T{clock}-05:00").astimezone(UTC)


def grid(day):
    """The 288 intervals of the market day *day*, in UTC."""
    return [est(day) + number * INTERVAL for number in range(288)]


def data(at, load=None, forecast=None, cleared=None, *, documented=False):
    """The snapshot of the interval *at*: load by "HH:MM", forecast and cleared by hour ending.

    Each as a dict, or as a list of pairs, which can name a label twice.
    """

    def pairs(rows):
        return list(rows.items() if isinstance(rows, dict) else rows or ())

    def label(hour, name):
        if not documented or not isinstance(hour, int):
            return str(hour)
        return f"{hour - (name == 'Hour'):02d}:00"

    return {
        "RefId": f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "ClearedMW": [{"Hour": label(hour, "Hour"), "Value": mw} for hour, mw in pairs(cleared)],
        "MediumTermLoadForecast": [
            {"HourEnding": label(hour, "HourEnding"), "LoadForecast": mw}
            for hour, mw in pairs(forecast)
        ],
        "FiveMinTotalLoad": [
            {"Time": f"{time}:00" if documented else time, "Value": mw} for time, mw in pairs(load)
        ],
    }


def path_of(candidate):
    """Where the snapshot of *candidate* is filed."""
    at = candidate.astimezone(UTC)
    return f"{ROOT}/{at:%Y/%m/%d}/realtime_total_load_{at:%Y%m%d_%H%M%S}.json.gz"


def document(snapshot, candidate, collected_at=None):
    """The bytes that file *snapshot* under *candidate*."""
    collected_at = (collected_at or candidate + timedelta(seconds=30)).astimezone(UTC)
    metadata = {
        "collected_at": f"{collected_at:%Y-%m-%dT%H:%M:%S.%fZ}",
        "source_url": "https://public-api.misoenergy.org/api/RealTimeTotalLoad",
        "data_type": "realtime_total_load",
        "source": "miso",
        "date": f"{candidate.astimezone(UTC):%Y-%m-%d}",
        "timestamp": f"{candidate.astimezone(UTC):%Y%m%d_%H%M%S}",
        "source_ref_id": snapshot["RefId"],
        "body_size": 5000,
        "covered": True,
    }
    text = json.dumps({"data": snapshot, "collection_metadata": metadata})
    return gzip.compress(text.encode(), mtime=0)


def put(root, candidate, body):
    """File *body*, any bytes, under *candidate* below *root*; return its path."""
    path = root / path_of(candidate)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


def file(root, day, clock, *args, candidate=None, collected_at=None, **kwargs):
    """File the snapshot of the interval *clock* of *day* (EST), under *candidate* (or itself)."""
    at = est(day, clock)
    candidate = candidate or at
    return put(root, candidate, document(data(at, *args, **kwargs), candidate, collected_at))


def until(clock, mw):
    """The load from 00:00 to *clock*, each *mw* and the number of its interval: 1000, 1001, ..."""
    hours, minutes = map(int, clock.split(":"))
    count = hours * 12 + minutes // 5 + 1
    return {f"{n // 12:02d}:{n % 12 * 5:02d}": mw + n for n in range(count)}
