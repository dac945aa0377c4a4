import copy
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miso_scrapy.archive.document import pack, unpack
from miso_scrapy.feed.fingerprint import fingerprint
from miso_scrapy.feed.shape import NotJSON, decode, error_in, normalise, source_ref_id
from miso_scrapy.feed.validation import problem

LIVE = {
    "LoadInfo": {
        "RefId": "27-Jul-2026 - Interval 08:10 EST",
        "ClearedMW": [
            {"ClearedMWHourly": {"Hour": "1", "Value": "90916"}},
            {"ClearedMWHourly": {"Hour": "2", "Value": "86,496"}},
        ],
        "MediumTermLoadForecast": [
            {"Forecast": {"HourEnding": "1", "LoadForecast": "89367"}},
            {"Forecast": {"HourEnding": "2", "LoadForecast": "86225.5"}},
        ],
        "FiveMinTotalLoad": [
            {"Load": {"Time": "00:00", "Value": "93419"}},
            {"Load": {"Time": "00:05", "Value": "93087"}},
        ],
    }
}
DOCUMENTED = {
    "RefId": "2026-07-27T13:10:00Z",
    "ClearedMW": [{"Hour": "1", "Value": 90916}, {"Hour": "2", "Value": 86496}],
    "MediumTermLoadForecast": [
        {"HourEnding": "1", "LoadForecast": 89367},
        {"HourEnding": "2", "LoadForecast": 86225.5},
    ],
    "FiveMinTotalLoad": [{"Time": "00:00", "Value": 93419}, {"Time": "00:05", "Value": 93087}],
}
# name, wrapper, label, value
ARRAYS = [
    ("ClearedMW", "ClearedMWHourly", "Hour", "Value"),
    ("MediumTermLoadForecast", "Forecast", "HourEnding", "LoadForecast"),
    ("FiveMinTotalLoad", "Load", "Time", "Value"),
]
each_array = pytest.mark.parametrize(("name", "wrapper", "label", "value"), ARRAYS)

KEYS = st.sampled_from(
    ["LoadInfo", "RefId", "error", *{part for array in ARRAYS for part in array}]
) | st.text(max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5)
    | st.sampled_from(["84,172", "1.5", "27-Jul-2026 - Interval 08:10 EST"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)  # fmt: skip
MEGAWATTS = st.integers(-200_000, 200_000) | st.decimals(-200_000, 200_000, places=2)


def live_row(name, row):
    """A live snapshot whose array *name* holds *row* alone."""
    return {"LoadInfo": {**LIVE["LoadInfo"], name: [row]}}


def read(name, row):
    """What becomes of *row*, as the only one of the live array *name*."""
    (normalised,) = normalise(live_row(name, row))[name]
    return normalised


def same(one, other):
    """Equal, in the types too: 1 is not 1.0 and not True."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def test_the_live_shape_becomes_the_documented_one():
    assert same(normalise(LIVE), DOCUMENTED)


def test_the_documented_shape_stays_as_it_is():
    assert same(normalise(DOCUMENTED), DOCUMENTED)


@given(st.lists(st.tuples(st.sampled_from(ARRAYS), st.text(), MEGAWATTS), max_size=8))
def test_both_shapes_give_the_same_data(rows):
    live = {"RefId": "27-Jul-2026 - Interval 08:10 EST", **{name: [] for name, *_ in ARRAYS}}
    documented = {"RefId": "2026-07-27T13:10:00Z", **{name: [] for name, *_ in ARRAYS}}
    for (name, wrapper, label, value), text, mw in rows:
        live[name].append({wrapper: {label: text, value: f"{mw}"}})
        number = float(mw) if isinstance(mw, Decimal) else mw
        documented[name].append({label: text, value: number})
    assert same(normalise({"LoadInfo": live}), documented)
    assert same(normalise(documented), documented)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("84172", 84172),
        ("84,172", 84172),
        ("1,084,172", 1084172),
        ("84,172.25", 84172.25),
        ("0", 0),
        ("-250", -250),
        ("90916.5", 90916.5),
    ],
)
@each_array
def test_a_number_in_a_string_becomes_a_number(name, wrapper, label, value, text, number):
    assert same(read(name, {wrapper: {label: "1", value: text}}), {label: "1", value: number})
    bare = normalise({**DOCUMENTED, name: [{label: "1", value: text}]})
    assert same(bare[name], [{label: "1", value: number}])


@pytest.mark.parametrize(
    "value",
    ["abc", "", " ", "NaN", "Infinity", "-inf", "8,41,72", "84,17", "1_000", "0x10", "٣", "12 MW"],
)
def test_text_that_is_no_number_stays_for_validation_to_name(value):
    assert read("FiveMinTotalLoad", {"Load": {"Time": "00:00", "Value": value}}) == {
        "Time": "00:00",
        "Value": value,
    }


@pytest.mark.parametrize("value", [None, True, False, [], {}, 84172, 84172.5])
def test_a_value_that_is_no_text_stays_as_it_came(value):
    row = read("FiveMinTotalLoad", {"Load": {"Time": "00:00", "Value": value}})
    assert same(row["Value"], value)


@pytest.mark.parametrize("label_text", ["1", "01", "24", "14:00", "00:05", "12:35:00", 1, " 1 "])
@each_array
def test_labels_are_kept_as_they_came(name, wrapper, label, value, label_text):
    row = read(name, {wrapper: {label: label_text, value: "5"}})
    assert same(row, {label: label_text, value: 5})


def test_the_same_hour_twice_is_kept_twice():
    rows = [{"ClearedMWHourly": {"Hour": "1", "Value": value}} for value in ("5", "6")]
    snapshot = normalise({"LoadInfo": {**LIVE["LoadInfo"], "ClearedMW": rows}})
    assert [row["Value"] for row in snapshot["ClearedMW"]] == [5, 6]


def test_unknown_fields_of_the_snapshot_pass_through():
    inside = {"LoadInfo": {**LIVE["LoadInfo"], "Region": {"Name": "Central", "Load": "1,234"}}}
    assert normalise(inside) == {**DOCUMENTED, "Region": {"Name": "Central", "Load": "1,234"}}
    beside = {**LIVE, "Version": "2"}
    assert normalise(beside) == {**DOCUMENTED, "Version": "2"}
    assert normalise({**DOCUMENTED, "Version": "2"}) == {**DOCUMENTED, "Version": "2"}


@each_array
def test_unknown_fields_of_a_row_pass_through(name, wrapper, label, value):
    inside = {wrapper: {label: "1", value: "5", "Quality": "84,172"}}
    beside = {wrapper: {label: "1", value: "5"}, "Quality": "84,172"}
    bare = {label: "1", value: "5", "Quality": "84,172"}
    for row in (inside, beside, bare):
        assert read(name, row) == {label: "1", value: 5, "Quality": "84,172"}


def test_a_malformed_ref_id_stays_as_it_came():
    assert normalise({**DOCUMENTED, "RefId": "today"})["RefId"] == "today"


@pytest.mark.parametrize("payload", [None, [], "text", 5, {}, {"LoadInfo": None}, {"LoadInfo": []}])
def test_what_is_no_snapshot_stays_as_it_came(payload):
    assert normalise(payload) == payload


def test_the_payload_itself_is_not_changed():
    payload = copy.deepcopy(LIVE)
    normalise(payload)
    assert payload == LIVE


@given(JSON)
def test_any_json_is_normalised_without_an_exception(payload):
    once = normalise(payload)
    assert isinstance(once, type(payload))
    source_ref_id(payload)


@given(st.fixed_dictionaries({name: JSON for name, *_ in ARRAYS}, optional={"RefId": JSON}))
def test_no_field_of_a_snapshot_is_lost(snapshot):
    assert normalise({"LoadInfo": snapshot}).keys() == snapshot.keys()


@pytest.mark.parametrize(
    ("payload", "ref_id"),
    [
        (LIVE, "27-Jul-2026 - Interval 08:10 EST"),
        (DOCUMENTED, "2026-07-27T13:10:00Z"),
        ({"RefId": "today"}, "today"),
        ({"RefId": 5}, None),
        ({}, None),
        ([], None),
        (None, None),
    ],
)
def test_the_source_ref_id_is_as_the_source_wrote_it(payload, ref_id):
    assert source_ref_id(payload) == ref_id


def test_a_json_body_is_decoded():
    assert decode(json.dumps(LIVE).encode()) == LIVE
    assert decode(json.dumps(LIVE, indent=2).encode()) == LIVE


def test_a_byte_order_mark_is_no_obstacle():
    assert decode(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


def test_text_of_any_script_is_decoded():
    assert decode('["ü", "日", "😀"]'.encode()) == decode(b'["\\u00fc","\\u65e5","\\uD83D\\ude00"]')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"LoadInfo": {"RefId": "27-Jul-20',
        b"{} {}",
        b"<html></html>",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'"\t"',
        b"\xff\xfe{\x00}\x00",
        b'{"a": "\xe9"}',
        b'"\xed\xa0\x80"',
        b'"\\ud800"',
        b'{"\\uDC00": 1}',
        b'"\\udE00\\uD83D"',
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    ],
)
def test_a_body_that_is_no_json_is_told_in_one_line(body):
    with pytest.raises(NotJSON, match=r"\A.+\Z"):
        decode(body)


@given(st.integers(0, len(json.dumps(LIVE)) - 1))
def test_a_cut_off_body_is_no_json(length):
    with pytest.raises(NotJSON):
        decode(json.dumps(LIVE).encode()[:length])


@given(st.binary() | st.text().map(lambda text: json.dumps(text).encode()))
def test_any_bytes_are_json_or_not_json(body):
    try:
        decode(body)
    except NotJSON as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017


@given(JSON)
def test_what_can_be_decoded_is_the_same_data(payload):
    assert same(decode(json.dumps(payload).encode()), payload)


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1" + "0" * 400]
)
def test_a_number_that_is_not_finite_comes_out_as_text(number):
    assert decode(f'{{"Value": {number}}}'.encode()) == {"Value": number}


@pytest.mark.parametrize("depth", [10, 100, 250])
def test_whatever_decodes_can_be_filed(depth):
    deep = b"[" * depth + b"]" * depth
    snapshot = normalise(decode(json.dumps({**DOCUMENTED, "Deep": 0}).encode()[:-2] + deep + b"}"))
    assert problem(snapshot) is None
    assert fingerprint(snapshot)
    assert unpack(pack(snapshot, {}))["data"] == snapshot


@pytest.mark.parametrize("body", [b"", b" \r\n\t", b"\xef\xbb\xbf"])
def test_an_empty_body_is_an_error(body):
    assert "empty" in error_in(body)


@pytest.mark.parametrize(
    "body",
    [
        b"<html><body>Service unavailable</body></html>",
        b"\r\n <!DOCTYPE html>\n<html></html>",
        b'\xef\xbb\xbf<?xml version="1.0"?><html/>',
        b"<html>" + b"x" * 100_000,
    ],
)
def test_an_html_page_is_an_error(body):
    assert "HTML" in error_in(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": "no data"}',
        b' {"error": "no data", "status": 500}',
        b'\xef\xbb\xbf{"error": "no data"}',
        json.dumps({"error": "no data", "trace": ["at some.place.in.a.server"] * 200}).encode(),
    ],
)
def test_an_error_body_is_an_error_and_says_which(body):
    assert "no data" in error_in(body)


def test_an_error_of_several_lines_is_told_in_one():
    assert len(error_in(b'{"error": "no data\\nat all"}').splitlines()) == 1


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(LIVE).encode(),
        json.dumps(DOCUMENTED).encode(),
        json.dumps({**DOCUMENTED, "error": None}).encode(),
        b"[]",
        b"null",
        b"{}",
        b'{"LoadInfo": ',
        b'["error"]',
        b"\xff",
    ],
)
def test_a_snapshot_or_a_wrong_shape_is_no_error_body(body):
    assert error_in(body) is None


@given(st.binary() | JSON.map(lambda payload: json.dumps(payload).encode()))
def test_any_body_is_looked_at_without_an_exception(body):
    found = error_in(body)
    assert found is None or len(found.splitlines()) == 1


@pytest.mark.parametrize("text", [" 84172", "84172 ", "\t84,172\n", "  84172.0"])
@each_array
def test_a_number_that_is_padded_becomes_a_number(name, wrapper, label, value, text):
    row = read(name, {wrapper: {label: "1", value: text}})
    assert row[value] == 84172
    assert not isinstance(row[value], str)
