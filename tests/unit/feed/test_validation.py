import json
import math

import jsonschema_rs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from miso_scrapy.archive.document import pack, unpack
from miso_scrapy.feed.fingerprint import fingerprint
from miso_scrapy.feed.shape import NotJSON, decode, normalise
from miso_scrapy.feed.validation import problem, schema

SNAPSHOT = {
    "RefId": "2025-12-05T12:35:00Z",
    "ClearedMW": [{"Hour": str(n), "Value": 90_000 + n} for n in range(1, 25)],
    "MediumTermLoadForecast": [{"HourEnding": f"{n}", "LoadForecast": 9e4} for n in range(1, 25)],
    "FiveMinTotalLoad": [{"Time": f"{n:02d}:00", "Value": 91_000.5 - n} for n in range(8)],
}
# name, label, value
ARRAYS = [
    ("ClearedMW", "Hour", "Value"),
    ("MediumTermLoadForecast", "HourEnding", "LoadForecast"),
    ("FiveMinTotalLoad", "Time", "Value"),
]
each_array = pytest.mark.parametrize(("name", "label", "value"), ARRAYS)
LABELS = {"Hour": "7", "HourEnding": "7", "Time": "07:00"}


def with_row(name, row, index=3):
    """The snapshot, with *row* in place of one row of the array *name*."""
    rows = list(SNAPSHOT[name])
    rows[index] = row
    return {**SNAPSHOT, name: rows}


def without(record, field):
    return {key: value for key, value in record.items() if key != field}


def test_a_snapshot_is_valid():
    assert problem(SNAPSHOT) is None


def test_the_schema_is_json_schema_draft_2020_12():
    assert schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema())


@each_array
def test_an_array_may_be_empty(name, label, value):
    assert problem({**SNAPSHOT, name: []}) is None


def test_all_arrays_may_be_empty():
    assert problem({**SNAPSHOT, **{name: [] for name, *_ in ARRAYS}}) is None


def test_unknown_fields_are_valid():
    assert problem({**SNAPSHOT, "Region": {"Name": None}}) is None
    assert problem(with_row("FiveMinTotalLoad", {"Time": "07:00", "Value": 1, "Q": [1]})) is None


@pytest.mark.parametrize("number", [0, -1, 84172, 84172.5, 1e300, -0.0])
@each_array
def test_a_finite_number_is_valid(name, label, value, number):
    assert problem(with_row(name, {label: LABELS[label], value: number})) is None


@pytest.mark.parametrize(
    ("name", "label", "text"),
    [
        *[("ClearedMW", "Hour", text) for text in ("1", "24", "12:00", "00:00", 1, 24)],
        *[("MediumTermLoadForecast", "HourEnding", text) for text in ("1", "24", "14:00", 1)],
        *[("FiveMinTotalLoad", "Time", text) for text in ("00:00", "23:55", "12:35:00")],
    ],
)
def test_the_labels_of_both_shapes_are_valid(name, label, text):
    value = "LoadForecast" if label == "HourEnding" else "Value"
    assert problem(with_row(name, {label: text, value: 1})) is None


def test_a_failure_says_which_record_and_why():
    snapshot = with_row("FiveMinTotalLoad", {"Time": "00:15", "Value": "abc"})
    assert problem(snapshot) == "FiveMinTotalLoad[3].Value: 'abc' is not a number"


@pytest.mark.parametrize(
    ("wrong", "shown"),
    [
        ("abc", "'abc'"),
        ("", "''"),
        ("NaN", "'NaN'"),
        (True, "True"),
        (False, "False"),
        (None, "null"),
    ],
)
@each_array
def test_a_value_that_is_no_number_is_named(name, label, value, wrong, shown):
    snapshot = with_row(name, {label: LABELS[label], value: wrong})
    assert problem(snapshot) == f"{name}[3].{value}: {shown} is not a number"


@pytest.mark.parametrize("wrong", [[], [1], {}, {"MW": 1}])
@each_array
def test_a_value_that_is_a_list_or_an_object_is_no_number(name, label, value, wrong):
    found = problem(with_row(name, {label: LABELS[label], value: wrong}))
    assert found.startswith(f"{name}[3].{value}: ")
    assert found.endswith(" is not a number")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
@each_array
def test_a_number_of_the_json_text_that_is_not_finite_is_named(name, label, value, number):
    text = json.dumps(with_row(name, {label: LABELS[label], value: "HERE"}))
    snapshot = normalise(decode(text.replace('"HERE"', number).encode()))
    assert problem(snapshot) == f"{name}[3].{value}: '{number}' is not a number"


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@each_array
def test_a_float_that_is_not_finite_is_named(name, label, value, number):
    found = problem(with_row(name, {label: LABELS[label], value: number}))
    assert found.startswith(f"{name}[3].{value}: ")


@pytest.mark.parametrize("index", [0, 7])
@each_array
def test_every_record_is_validated_not_a_sample(name, label, value, index):
    snapshot = with_row(name, {label: LABELS[label], value: "abc"}, index)
    assert problem(snapshot) == f"{name}[{index}].{value}: 'abc' is not a number"


@each_array
def test_the_last_of_288_records_is_validated(name, label, value):
    rows = [{label: LABELS[label], value: 1}] * 287 + [{label: LABELS[label], value: None}]
    found = problem({**SNAPSHOT, name: rows})
    assert found == f"{name}[287].{value}: null is not a number"


@each_array
def test_a_missing_field_of_a_record_is_named(name, label, value):
    row = {label: LABELS[label], value: 1}
    for field in (label, value):
        found = problem(with_row(name, without(row, field)))
        assert f"{name}[3].{field}" in found
        assert "missing" in found


@pytest.mark.parametrize("wrong", [None, True, [], {}, 1.5, ""])
@each_array
def test_a_label_that_is_none_is_named(name, label, value, wrong):
    found = problem(with_row(name, {label: wrong, value: 1}))
    assert found.startswith(f"{name}[3].{label}: ")


@pytest.mark.parametrize("row", [None, 5, "text", True, []])
@each_array
def test_a_record_that_is_no_object_is_named(name, label, value, row):
    found = problem(with_row(name, row))
    assert found.startswith(f"{name}[3]: ")
    assert found.endswith(" is not an object")


@pytest.mark.parametrize("wrong", [None, 5, "text", True, {}, {"0": {}}])
@each_array
def test_an_array_that_is_no_list_is_named(name, label, value, wrong):
    found = problem({**SNAPSHOT, name: wrong})
    assert found.startswith(f"{name}: ")
    assert found.endswith(" is not a list")


@pytest.mark.parametrize("field", ["RefId", *[name for name, *_ in ARRAYS]])
def test_a_missing_field_of_the_snapshot_is_named(field):
    found = problem(without(SNAPSHOT, field))
    assert found.startswith(field)
    assert "missing" in found


@pytest.mark.parametrize(
    "ref_id",
    [
        None,
        5,
        True,
        [],
        "",
        "today",
        "2025-12-05",
        "2025-02-31T12:00:00Z",
        "2025-12-05T25:00:00Z",
        "2025-12-05T12:35:00Z\n",
        "27-Foo-2026 - Interval 08:10 EST",
    ],
)
def test_a_ref_id_that_names_no_interval_is_named(ref_id):
    found = problem({**SNAPSHOT, "RefId": ref_id})
    assert found.startswith("RefId")
    assert len(found.splitlines()) == 1


@pytest.mark.parametrize("snapshot", [None, [], "text", 5, True, [SNAPSHOT]])
def test_what_is_no_object_is_no_snapshot(snapshot):
    assert problem(snapshot).endswith(" is not an object")


def test_the_live_shape_is_valid_only_when_normalised():
    row = {"Load": {"Time": "00:00", "Value": "93,419"}}
    inside = {"RefId": "27-Jul-2026 - Interval 08:10 EST", "FiveMinTotalLoad": [row]}
    live = {"LoadInfo": {**inside, "ClearedMW": [], "MediumTermLoadForecast": []}}
    assert problem(live) is not None
    assert problem(normalise(live)) is None


@pytest.mark.parametrize("value", ["x" * 100_000, "a\nb", [0] * 100_000])
def test_a_large_or_broken_value_is_still_told_in_one_short_line(value):
    found = problem(with_row("FiveMinTotalLoad", {"Time": "00:15", "Value": value}))
    assert len(found.splitlines()) == 1
    assert len(found) < 200


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    | st.sampled_from(["1", "24", "25", "1\n", "07:00", "07:00\n", "12:35:00", 24.0, 10**400])
)
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=2), SCALARS)


def rows(label, value):
    """Strategy: good rows, rows with something wrong, and what is no list of rows."""
    row = st.fixed_dictionaries({}, optional={label: VALUES, value: VALUES, "Else": VALUES})
    good = st.fixed_dictionaries({label: st.just(LABELS[label]), value: st.integers()})
    return st.lists(good | row | VALUES, max_size=4) | VALUES


SNAPSHOTS = st.fixed_dictionaries(
    {},
    optional={
        "RefId": st.just("2025-12-05T12:35:00Z") | st.sampled_from(["2025-12-05T12:35:00Z\n"]) | VALUES,
        **{name: rows(label, value) for name, label, value in ARRAYS},
        "Else": VALUES,
    },
)  # fmt: skip
GOOD = st.fixed_dictionaries(
    {
        "RefId": st.just("2025-12-05T12:35:00Z"),
        **{
            name: st.lists(
                st.fixed_dictionaries(
                    {
                        label: st.just(LABELS[label]),
                        value: st.integers(-(10**6), 10**6)
                        | st.floats(allow_nan=False, allow_infinity=False),
                    },
                    optional={"Else": VALUES},
                ),
                max_size=5,
            )
            for name, label, value in ARRAYS
        },
    },
    optional={"Else": VALUES},
)


def finite(value):
    return type(value) is int or (type(value) is float and math.isfinite(value))


@given(SNAPSHOTS)
@example({**SNAPSHOT, "RefId": "2025-12-05T12:35:00Z\n"})
@example({**SNAPSHOT, "ClearedMW": [{"Hour": "1\n", "Value": 1}]})
@example({**SNAPSHOT, "FiveMinTotalLoad": [{"Time": "00:05\n", "Value": 1}]})
@example({**SNAPSHOT, "ClearedMW": [{"Hour": 1.0, "Value": 1}]})
@example({**SNAPSHOT, "ClearedMW": [{"Hour": 10**400, "Value": 10**400}]})
def test_both_validators_agree_on_every_snapshot(snapshot):
    fast = jsonschema_rs.validator_for(schema()).is_valid(snapshot)
    assert fast == Draft202012Validator(schema()).is_valid(snapshot)


@given(SNAPSHOTS | VALUES)
@example({**SNAPSHOT, "ClearedMW": [{"Hour": "1\n", "Value": 1}]})
def test_a_problem_is_one_line_and_never_an_exception(snapshot):
    found = problem(snapshot)
    assert found is None or len(found.splitlines()) == 1


@given(SNAPSHOTS)
def test_what_is_valid_has_finite_numbers_and_labels_in_every_record(snapshot):
    if problem(snapshot) is None:
        for name, label, value in ARRAYS:
            assert all(label in row and finite(row[value]) for row in snapshot[name])


@given(GOOD)
def test_every_good_snapshot_is_valid(snapshot):
    assert problem(snapshot) is None


@given(GOOD, st.sampled_from(ARRAYS), st.sampled_from(["abc", "", True, None]), st.integers(0, 5))
def test_one_bad_value_anywhere_is_found_where_it_is(snapshot, array, wrong, position):
    name, label, value = array
    position = min(position, len(snapshot[name]))
    snapshot[name].insert(position, {label: LABELS[label], value: wrong})
    shown = "null" if wrong is None else repr(wrong)
    assert problem(snapshot) == f"{name}[{position}].{value}: {shown} is not a number"


def read_at(frames, body):
    """What becomes of *body* where the caller's stack is *frames* deep."""
    if frames:
        return read_at(frames - 1, body)
    try:
        data = normalise(decode(body))
    except NotJSON as error:
        return str(error)
    if reason := problem(data):
        return reason
    assert unpack(pack(data, {}))["data"] == data
    return fingerprint(data)


@pytest.mark.parametrize("levels", [100, 240, 260, *range(800, 1000, 10)])
def test_how_deep_a_body_may_be_nested_does_not_hang_on_the_callers_stack(levels):
    inside = "[" * levels + "]" * levels
    for body in (
        json.dumps({**SNAPSHOT, "Else": "HERE"}),
        json.dumps({**SNAPSHOT, "Else": "HERE", "Large": 10**30}),
        json.dumps(with_row("FiveMinTotalLoad", {"Time": "00:15", "Value": "HERE"})),
        '"HERE"',
    ):
        found = {read_at(frames, body.replace('"HERE"', inside).encode()) for frames in (0, 30, 60)}
        assert len(found) == 1
        assert (levels > 250) == ("nested too deeply" in found.pop())


def test_how_many_faults_there_are_is_told_and_counted_to_a_hundred():
    def told(count):
        wrong = [{"Time": "00:00", "Value": None}] * count
        return problem({**SNAPSHOT, "FiveMinTotalLoad": wrong})

    first = "FiveMinTotalLoad[0].Value: null is not a number"
    assert told(1) == first
    assert told(2) == f"{first} (and 1 more)"
    assert told(99) == f"{first} (and 98 more)"
    assert told(1000) == f"{first} (and at least 99 more)"
    missing = problem({**SNAPSHOT, "ClearedMW": [{}, {}]})
    assert missing == "ClearedMW[0].Hour is missing (and 3 more)"
