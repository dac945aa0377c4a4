"""Malformed bodies by the thousand: none is filed, none crashes a run, each is kept in quarantine."""

import copy
import gzip
import hashlib
import json
import random
import re
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from miso_scrapy.archive.document import pack, unpack
from miso_scrapy.feed.fingerprint import fingerprint
from miso_scrapy.feed.shape import NotJSON, decode, error_in, normalise, source_ref_id
from miso_scrapy.feed.validation import problem
from miso_scrapy.simulator.load import snapshot
from tests.support.crawl import Run
from tests.support.scripted_server import Scripted
from tests.support.stores import filed, place_of, quarantined

many = settings(
    max_examples=500,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

# --- Mutations --------------------------------------------------------------------------------

NAMES = ("ClearedMW", "MediumTermLoadForecast", "FiveMinTotalLoad")
LABELS = ("Hour", "HourEnding", "Time")
# Texts that the JSON of a body cannot be dumped with: written as a string, then put in plainly.
PLAIN = re.compile(r'"plain<([^>]*)>"')
AGAIN = "<again>"  # a key with it at its end is dumped without it: the same key a second time
NO_NUMBERS = [
    "plain<NaN>", "plain<Infinity>", "plain<-Infinity>", "plain<1e999>", "plain<-1e400>",
    f"plain<{'9' * 5000}>", f"plain<-1{'0' * 100_000}>",
]  # fmt: skip
NO_JSON = [
    "plain<01>",
    "plain<+1>",
    "plain<.5>",
    "plain<0x1F>",
    "plain<nan>",
    "plain<>",
    "plain<'1'>",
]
NO_TEXTS = ["", " ", "abc", "None", "12abc", "0x1F", "1e999", "nan", "Infinity", "1.2.3", "\ud800",
    "\udfff9", "1\x00", "\x1b[31m", "a\nb\r\n", "\u2028", "ü" * 3000, "x" * 100_000,
    "9" * 5000]  # fmt: skip
NO_VALUES = [None, True, False, [], [1], {}, {"Value": 1}, *NO_TEXTS, *NO_NUMBERS, *NO_JSON]
# What is wrong at a place, by the place's name.
WRONG = {
    "object": [None, True, 0, 1.5, "", "abc", [], [{}], {}, *NO_NUMBERS, *NO_JSON],
    "array": [None, True, 0, "", "abc", {}, {"0": 1}, [None], [1], ["a"], [[]], [{}], *NO_JSON],
    "RefId": [
        *NO_VALUES, 0, 20251205, "2025-12-05", "2025-13-45T99:99:99Z", "2025-12-05T12:00:00Zz",
        "31-Feb-2026 - Interval 08:10 EST", "05-Dec-2025 - Interval 25:10 EST",
        "31-Dec-9999 - Interval 23:55 EST", "05-Dec-2025 - Interval 08:10 EST EST",
        "00-Xxx-0000 - Interval 00:00 EST", "05-Dec-2025",
    ],
    "label": [*NO_VALUES, -1, 25, 1.5, "25", "24:60", "-1", "1 "],
    "value": NO_VALUES,
}  # fmt: skip


def small(documented):
    """A snapshot of three rows an array."""
    found = snapshot(0, datetime(2025, 12, 5, 12, 35, tzinfo=UTC), documented=documented)
    inner = found if documented else found["LoadInfo"]
    for name in NAMES:
        inner[name] = inner[name][:3]
    return found


def paths(value, path=()):
    """Yield the path of every place in *value*, from the root on."""
    yield path
    inner = value.items() if isinstance(value, dict) else ()
    for key, element in enumerate(value) if isinstance(value, list) else inner:
        yield from paths(element, (*path, key))


def at(value, path):
    for key in path:
        value = value[key]
    return value


def place_name(value, path):
    """Return what stands at *path*: a key of WRONG."""
    if path and path[-1] == "RefId":
        return "RefId"
    found = at(value, path)
    if isinstance(found, (dict, list)):
        return "object" if isinstance(found, dict) else "array"
    return "label" if path[-1] in LABELS else "value"


def replaced(value, path, new):
    if not path:
        return new
    value = copy.deepcopy(value)
    at(value, path[:-1])[path[-1]] = new
    return value


def deleted(value, path):
    value = copy.deepcopy(value)
    del at(value, path[:-1])[path[-1]]
    return value


def again(value, path, new):
    """Return *value* with the key at *path* a second time, which is the one that counts."""
    return replaced(value, (*path[:-1], path[-1] + AGAIN), new)


def dump(value, **options):
    text = json.dumps(value, **options).replace(AGAIN, "")
    return PLAIN.sub(r"\1", text).encode("utf-8", "surrogatepass")


def single_faults(documented):
    """Yield every snapshot with one thing wrong, as text of JSON or nearly."""
    good = small(documented)
    for path in paths(good):
        for wrong in WRONG[place_name(good, path)]:
            yield dump(replaced(good, path, wrong))
            if path and isinstance(path[-1], str):
                yield dump(again(good, path, wrong))
        if path and isinstance(path[-1], str):
            yield dump(deleted(good, path))
            yield dump(
                replaced(deleted(good, path), (*path[:-1], path[-1].lower()), at(good, path))
            )


def compact(documented):
    return json.dumps(small(documented), separators=(",", ":")).encode()


def nested(levels, opening=b"[", closing=b"]"):
    return opening * levels + closing * levels


# --- In process -------------------------------------------------------------------------------


def reject_constant(name):
    raise AssertionError(f"{name} is no JSON")


def is_snapshot(data):
    """Whether *data* is what the archive promises to hold. Shares no code with the validation."""
    assert isinstance(data, dict)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", data["RefId"])
    assert datetime.fromisoformat(data["RefId"]).tzinfo
    for name, label in zip(NAMES, LABELS, strict=True):
        assert isinstance(data[name], list)
        for row in data[name]:
            # JSON knows no integers: 14.0 is a whole number, too.
            assert isinstance(row[label], str) or row[label] == int(row[label])
            assert not isinstance(row[label], bool)
            mw = row["LoadForecast" if label == "HourEnding" else "Value"]
            assert isinstance(mw, (int, float))
            assert not isinstance(mw, bool)
            assert abs(mw) <= sys.float_info.max  # which a NaN is not, either
    return True


def one_line(text):
    assert len(text.splitlines()) == 1


def accepted(body):
    """Return whether *body* is accepted, having tried all that is done to it on the way."""
    assert error_in(body) is None or error_in(body)
    try:
        payload = decode(body)
    except NotJSON as error:
        one_line(str(error))
        return False
    ref_id = source_ref_id(payload)
    assert ref_id is None or isinstance(ref_id, str)
    data = normalise(payload)
    fault = problem(data)
    if fault is not None:
        one_line(fault)
        return False
    assert is_snapshot(data)
    packed = pack(data, {"source": "miso"})
    json.loads(gzip.decompress(packed), parse_constant=reject_constant)
    assert unpack(packed) == {"data": data, "collection_metadata": {"source": "miso"}}
    assert fingerprint(unpack(packed)["data"]) == fingerprint(data)
    return True


@pytest.mark.parametrize("documented", [False, True], ids=["live", "documented"])
def test_one_thing_wrong_anywhere_is_never_accepted(documented):
    assert accepted(compact(documented))
    bodies = set(single_faults(documented))
    assert len(bodies) > 1000
    assert [body[:200] for body in sorted(bodies) if accepted(body)] == []


@pytest.mark.parametrize("digits", [309, 400, 4300, 4301, 100_000])
@pytest.mark.parametrize("form", ["{}", "-{}", '"{}"', "{}.0", '"-{}.5"', "1e{}", '"1e{}"'])
@pytest.mark.parametrize("name", NAMES)
def test_a_number_too_large_for_a_float_is_never_accepted(name, form, digits):
    for documented in (False, True):
        good = small(documented)
        row = (name, 1) if documented else ("LoadInfo", name, 1)
        if not documented:
            row = (*row, next(iter(at(good, row))))
        value = "LoadForecast" if name == "MediumTermLoadForecast" else "Value"
        body = dump(replaced(good, (*row, value), "HERE"))
        assert not accepted(body.replace(b'"HERE"', form.format("9" * digits).encode()))


@pytest.mark.parametrize("documented", [False, True], ids=["live", "documented"])
def test_what_is_wrong_is_told_in_a_line_of_bounded_length(documented):
    good = small(documented)
    for path in paths(good):
        for wrong in ("x" * 100_000, "9" * 5000, ["x" * 100_000], {"x" * 100_000: 1}):
            fault = problem(normalise(replaced(good, path, wrong)))
            assert fault is None or len(fault) < 500, (path, fault[:200])


SHAPES = [small(False), small(True)]
KEYS = st.sampled_from(["LoadInfo", "RefId", "error", "ClearedMWHourly", "Forecast", "Load",
    *NAMES, *LABELS, "Value", "LoadForecast"])  # fmt: skip
TEXTS = st.text(st.characters(), max_size=8) | st.sampled_from(
    ["84,172", "1.5", "-0", "\ud800", "\x00"]
)
NUMBERS = st.integers() | st.floats() | st.sampled_from(NO_NUMBERS)
JUNK = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | TEXTS, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def mutants(draw):
    """A snapshot with one to four things changed, for better or worse."""
    value = draw(st.sampled_from(SHAPES))
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(list(paths(value))))
        within = at(value, path[:-1]) if path else None
        change = draw(st.sampled_from(["delete", "replace", "retype", "duplicate", "move", "add"]))
        if change == "delete" and path:
            value = deleted(value, path)
        elif change == "retype":
            found = at(value, path)
            value = replaced(
                value, path, draw(st.sampled_from([[found], {"0": found}, str(found)]))
            )
        elif change == "duplicate" and isinstance(within, list):
            value = replaced(value, path[:-1], [*within, at(value, path)])
        elif change == "duplicate" and path:
            value = again(value, path, draw(JUNK))
        elif change == "move":
            value = replaced(value, path, at(value, draw(st.sampled_from(list(paths(value))))))
        elif change == "add" and isinstance(at(value, path), dict):
            value = replaced(value, (*path, draw(KEYS | TEXTS)), draw(JUNK))
        else:
            value = replaced(value, path, draw(JUNK))
    return dump(value, ensure_ascii=draw(st.booleans()))


@given(mutants())
@many
def test_a_mutant_is_refused_or_a_whole_snapshot(body):
    accepted(body)


@given(st.one_of(st.binary(), st.binary().map(lambda raw: b'{"LoadInfo":' + raw), TEXTS.map(dump)))
@example(b"\xef\xbb\xbf{}")
@example("{}".encode("utf-16"))
@example(b"\xff\xfe")
@example(b"\x00\x00\x00{")
@many
def test_raw_bytes_are_never_accepted(body):
    assert not accepted(body)


@pytest.mark.parametrize("documented", [False, True], ids=["live", "documented"])
def test_a_body_that_is_cut_off_at_any_byte_is_never_accepted(documented):
    whole = compact(documented)
    assert [size for size in range(len(whole)) if accepted(whole[:size])] == []


@pytest.mark.parametrize("documented", [False, True], ids=["live", "documented"])
def test_bytes_that_are_no_utf_8_are_never_accepted_at_any_place(documented):
    whole = compact(documented)
    for bad in (b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xc0\x80", b"\x00", b"\x1f"):
        assert [n for n in range(len(whole)) if accepted(whole[:n] + bad + whole[n:])] == []


DEPTHS = [10, 100, 250, 500, 700, 800, 900, 950, 990, 1000, 1500, 5000, 20_000, 200_000]


@pytest.mark.parametrize("levels", DEPTHS)
@pytest.mark.parametrize(
    ("opening", "closing"),
    [(b"[", b"]"), (b'{"LoadInfo":', b"}"), (b'{"RefId":', b"}"), (b"[", b""), (b'{"a":[', b"]}")],
)
def test_deep_nesting_is_never_accepted(levels, opening, closing):
    assert not accepted(nested(levels, opening, closing))
    whole = compact(False)
    for place in (b'"00:00"', b'"1"', b'"05-Dec-2025 - Interval 07:35 EST"'):
        assert whole.count(place)
        assert not accepted(whole.replace(place, nested(levels, opening, closing), 1))


@pytest.mark.parametrize("levels", DEPTHS)
def test_deep_nesting_in_an_unknown_field_is_refused_or_packed(levels):
    # From the top of the stack, as far down as it is here: whatever is accepted can be packed.
    accepted(b'{"Unknown":' + nested(levels) + b"," + compact(False)[1:])
    accepted(b'{"Unknown":' + nested(levels, b'{"a":', b"}") + b"," + compact(True)[1:])


# --- Through the whole program ----------------------------------------------------------------

FAILING = [b"", b'{"error": "no data"}', b"<!DOCTYPE html><html><body>down</body></html>", b"  \n"]
AWKWARD = ["ü" * 3000, "a\nb\r\nc", "\ud800", "\x00\x1b[31m\x7f", "\u2028\u2029", "  ", "x" * 100_000,
    "日本", "=?utf-8?q?a?=", "%s %d {0}", "'\"\\"]  # fmt: skip


def awkward_bodies():
    """Bodies that are hard to log, or to put into the metadata of an object."""
    good = small(False)
    row = ("LoadInfo", "FiveMinTotalLoad", 1, "Load")
    for text in AWKWARD:
        yield dump(replaced(good, (*row, "Value"), text))
        yield dump(replaced(good, (*row, "Time"), text))
        yield dump(replaced(good, ("LoadInfo", "RefId"), text))
        yield dump(replaced(good, ("LoadInfo", text), 1) | {"RefId": text})
        yield dump([text])


def bodies_of_all_kinds(chance):
    """Some 320 malformed bodies, for a seeded *chance*."""
    faults = [*sorted(set(single_faults(False))), *sorted(set(single_faults(True)))]
    yield from chance.sample(faults, 130)
    yield from awkward_bodies()
    whole = compact(False)
    for _ in range(30):
        yield whole[: chance.randrange(1, len(whole))]
        place = chance.randrange(len(whole))
        bad = chance.choice([b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\x00", b"\r\n\x1b"])
        yield whole[:place] + bad + whole[place:]
        yield b"{" + chance.randbytes(chance.randrange(1, 200))
    for levels in DEPTHS:
        yield nested(levels)
        yield nested(levels, b'{"LoadInfo":', b"}")
        yield whole.replace(b'"00:00"', nested(levels))
    # The same body twice is kept once.
    yield whole[:-1]
    yield whole[:-1]


@pytest.fixture
def crawl_bodies(scrapy, tmp_path):
    """Run a crawl in which each candidate is answered with the next of *bodies*, logging to a file."""

    def run(bodies, env):
        left = iter(bodies)
        headers = {"Content-Type": "application/json"}
        with Scripted(lambda request: (200, headers, next(left))) as server:
            first = datetime(2025, 12, 5, 6, tzinfo=UTC)
            last = first + (len(bodies) - 1) * timedelta(minutes=5)
            done = scrapy(
                "crawl", "miso_rtload",
                "-a", f"start={first.isoformat()}", "-a", f"end={last.isoformat()}",
                "-s", "MISO_MIN_INTERVAL=0", "-s", "LOG_FILE=run.log",
                env={**env, "MISO_API_URL": server.url, "RETRY_TIMES": "0"},
                timeout=300,
            )  # fmt: skip
            assert len(server.requests) == len(bodies)
        # Anything here would be an error in logging, or after it.
        assert done.stdout + done.stderr == ""
        return Run(done.returncode, (tmp_path / "run.log").read_text(errors="strict"))

    return run


@pytest.mark.parametrize("kind", ["directory", "S3"])
def test_no_malformed_body_is_filed_or_crashes_a_run_and_each_is_kept(kind, request, crawl_bodies):
    place = place_of(request, kind)
    chance = random.Random(20251205)
    bodies = list(awkward_bodies() if kind == "S3" else bodies_of_all_kinds(chance))
    failing = FAILING * (len(bodies) // 40)
    mixed = bodies + failing
    chance.shuffle(mixed)
    run = crawl_bodies(mixed, place.env)

    assert run.status == 1
    assert "Traceback" not in run.log
    assert run.outcomes == {"invalid": len(bodies), "failed": len(failing)}
    assert len(run.lines("ERROR")) == len(mixed)
    assert filed(place) == {}
    kept = quarantined(place)
    assert sorted(kept.values()) == sorted(set(bodies))
    assert run.stats["miso/quarantined"] == len(kept)
    for key, body in kept.items():
        assert key.endswith(f"/{hashlib.md5(body).hexdigest()}.gz")
        note = place.note(key)
        assert note["reason"].strip()
        assert len(note["reason"].splitlines()) == 1
        assert note["identifier"].startswith("realtime_total_load_2025120")
        # S3 refuses an object with more than 2 KB of metadata.
        assert sum(len(part.encode()) for item in note.items() for part in item) <= 2048


def test_deep_nesting_beside_a_snapshot_is_filed_or_kept_but_crashes_no_run(
    request, crawl_bodies, scrapy
):
    place = place_of(request, "directory")
    bodies = []
    for number, levels in enumerate(DEPTHS):
        good = snapshot(number, datetime(2025, 12, 5, 12, 35, tzinfo=UTC))
        bodies.append(b'{"Unknown":' + nested(levels) + b"," + json.dumps(good).encode()[1:])
    run = crawl_bodies(bodies, place.env)
    assert "Traceback" not in run.log
    assert set(run.outcomes) <= {"stored", "invalid"}
    assert len(filed(place)) == run.outcomes["stored"] >= 2
    assert len(quarantined(place)) == run.outcomes["invalid"]
    # What is stored can be read again.
    again = scrapy("reindex")
    assert again.returncode == 0, again.stdout + again.stderr
