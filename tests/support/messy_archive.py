"""Invent archives with everything that can be wrong with one, the same for the same seed."""

import gzip
import json
import random
from datetime import timedelta

from tests.support import samples
from tests.support.samples import INTERVAL, est

BROKEN = [
    b"", b"<html>", gzip.compress(b"<html>"), gzip.compress(b"[]"), gzip.compress(b'{"data": {}}'),
]  # fmt: skip
NO_TIMES = [None, "", "yesterday", "2026-05-01T06:00:30"]
"""Values of `collected_at` that name no instant. None stands for a field that is absent."""
BAD_LOAD = [
    {"Time": "24:00", "Value": 1}, {"Time": "00:03", "Value": 1}, {"Time": "noon", "Value": 1},
    {"Time": "00:00"}, {"Time": "00:00", "Value": "abc"}, {"Time": "00:00", "Value": None},
    {"Time": "00:00", "Value": 1e12}, {"Time": "00:00", "Value": -1e9},
]  # fmt: skip
BAD_FORECAST = [
    {"HourEnding": "0", "LoadForecast": 1}, {"HourEnding": 25, "LoadForecast": 1},
    {"HourEnding": "14:30", "LoadForecast": 1}, {"HourEnding": "2", "LoadForecast": 1e9},
    {"LoadForecast": 1},
]  # fmt: skip
BAD_CLEARED = [
    {"Hour": "24:00", "Value": 1}, {"Hour": "-1", "Value": 1}, {"Hour": "1", "Value": None},
]  # fmt: skip


def documents(seed, days, per_day=14):
    """Return [(key, bytes), ...] of an archive of *days*, in an order in which it may have grown.

    It has gaps, revisions to and fro, three styles of labels, duplicates, several snapshots of one
    interval, snapshots across midnight, of another day, without a time of collection, damaged files
    and bad rows.
    """
    dice = random.Random(seed)
    found = {}
    for day in days:
        for number in sorted(
            {0, *dice.sample(range(288), per_day), *dice.sample((285, 286, 287), 1)}
        ):
            at = est(day) + number * INTERVAL
            _file(dice, found, at, at, _snapshot(dice, at, number))
            if dice.random() < 0.25:  # the same interval again, with other values
                again = _snapshot(dice, at, number)
                _file(dice, found, at, at + INTERVAL, again)
            if dice.random() < 0.2:  # and filed where it still counts
                again = _snapshot(dice, at, number)
                _file(dice, found, at, at + 3 * INTERVAL, again)
            if dice.random() < 0.1:  # and where it does not
                other = est(day, "12:00") + dice.choice((-2, 3)) * timedelta(days=1)
                _file(dice, found, at, other + number % 60 * INTERVAL, None)
            if dice.random() < 0.15:
                candidate = at + 2 * INTERVAL
                found.setdefault(samples.path_of(candidate), _damaged(dice, at, candidate))
        # The same content under two candidates, collected at two times.
        at = est(day, "13:00")
        data = _snapshot(dice, at, 156)
        for candidate in (at + INTERVAL, at):
            found[samples.path_of(candidate)] = samples.document(data, candidate)
    grown = list(found.items())
    dice.shuffle(grown)
    return grown


def _snapshot(dice, at, number):
    """The snapshot of *at*, the interval *number* of its day: mostly the values of all others."""
    style = dice.choice(("live", "live", "documented", "UTC"))
    stamp = {"live": "%H:%M", "documented": "%H:%M:00", "UTC": "%H:%M:00"}[style]
    zone = samples.UTC if style == "UTC" else samples.EST
    midnight = at - number * INTERVAL
    load = [
        {
            "Time": f"{(midnight + n * INTERVAL).astimezone(zone):{stamp}}",
            "Value": _mw(dice, 70000 + n),
        }
        for n in range(number + 1)
        if n == number or dice.random() < 0.95
    ]

    def hour(number, ends):
        if style == "live":
            return dice.choice((number, str(number)))
        start = midnight + timedelta(hours=number - 1 + ends)
        return f"{start.astimezone(zone):%H:%M}"

    forecast = [
        {"HourEnding": hour(n, ends=True), "LoadForecast": _mw(dice, 80000 + n)}
        for n in range(1, 25)
        if dice.random() < 0.97
    ]
    cleared = [
        {"Hour": hour(n, ends=False), "Value": _mw(dice, 90000 + n)}
        for n in range(1, 25)
        if dice.random() < 0.5
    ]
    if dice.random() < 0.3:  # a label twice, and rows that cannot be used; the last row stays last
        again = dice.choice(load)
        load.insert(0, {**again, "Value": again["Value"] + 3})
        for rows, bad in [(load, BAD_LOAD), (forecast, BAD_FORECAST), (cleared, BAD_CLEARED)]:
            for row in dice.sample(bad, dice.randint(0, 2)):
                rows.insert(dice.randrange(len(rows)) if rows else 0, row)
        if number < 280:
            later = at + dice.choice((1, 5)) * INTERVAL
            load.insert(-1, {"Time": f"{later.astimezone(zone):{stamp}}", "Value": 7})
    return {
        "RefId": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "ClearedMW": cleared,
        "MediumTermLoadForecast": forecast,
        "FiveMinTotalLoad": load,
    }


def _mw(dice, usual):
    """Mostly *usual*, else one of few others: so that values go to and fro."""
    return usual if dice.random() < 0.9 else usual + dice.choice((-20, -0.5, 12, 250))


def _file(dice, found, at, candidate, data):
    if data is None:
        data = samples.data(at, {"00:00": 1}, {1: 1}, {1: 1})
    # Collected soon or hours later, but no two snapshots of one interval at the same instant.
    late = dice.choice((30, 47.25, 3600)) + (candidate - at) / timedelta(seconds=1000)
    body = samples.document(data, candidate, at + timedelta(seconds=max(late, 1)))
    if dice.random() < 0.15:
        document = json.loads(gzip.decompress(body))
        document["collection_metadata"]["collected_at"] = dice.choice(NO_TIMES)
        if document["collection_metadata"]["collected_at"] is None:
            del document["collection_metadata"]["collected_at"]
        body = gzip.compress(json.dumps(document).encode(), mtime=0)
    found.setdefault(samples.path_of(candidate), body)


def _damaged(dice, at, candidate):
    whole = samples.document(_snapshot(dice, at, 0), candidate)
    no_interval = samples.document({**samples.data(at), "RefId": "tomorrow"}, candidate)
    return dice.choice([*BROKEN, whole[:-30], whole[:60] + bytes(8) + whole[68:], no_interval])
