import hashlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miso_scrapy.feed.fingerprint import canonical_json, fingerprint

SNAPSHOT = {
    "RefId": "2025-12-05T12:35:00Z",
    "ClearedMW": [{"Hour": "1", "Value": 90916}, {"Hour": "2", "Value": 86496.5}],
    "MediumTermLoadForecast": [{"HourEnding": "1", "LoadForecast": 89367}],
    "FiveMinTotalLoad": [{"Time": "00:00", "Value": 93419}],
}
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=15,
)


def reversed_keys(value):
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return [reversed_keys(element) for element in value]
    return value


def test_the_fingerprint_is_the_md5_of_sorted_keys_without_white_space():
    canonical = (
        '{"ClearedMW":[{"Hour":"1","Value":90916},{"Hour":"2","Value":86496.5}],'
        '"FiveMinTotalLoad":[{"Time":"00:00","Value":93419}],'
        '"MediumTermLoadForecast":[{"HourEnding":"1","LoadForecast":89367}],'
        '"RefId":"2025-12-05T12:35:00Z"}'
    )
    assert canonical_json(SNAPSHOT) == canonical.encode()
    assert fingerprint(SNAPSHOT) == hashlib.md5(canonical.encode()).hexdigest()


@given(JSON)
def test_the_fingerprint_can_be_computed_by_anyone(data):
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    assert fingerprint(data) == hashlib.md5(text.encode()).hexdigest()


@given(JSON)
def test_the_order_of_keys_does_not_matter(data):
    assert fingerprint(reversed_keys(data)) == fingerprint(data)


@pytest.mark.parametrize(
    "change",
    [
        {"RefId": "2025-12-05T12:40:00Z"},
        {"ClearedMW": []},
        {"ClearedMW": SNAPSHOT["ClearedMW"][::-1]},
        {"FiveMinTotalLoad": [{"Time": "00:00", "Value": 93420}]},
        {"FiveMinTotalLoad": [{"Time": "00:05", "Value": 93419}]},
        {"Unknown": None},
    ],
)
def test_any_other_content_has_another_fingerprint(change):
    assert fingerprint({**SNAPSHOT, **change}) != fingerprint(SNAPSHOT)


def test_the_fingerprint_is_32_hex_digits():
    assert re.fullmatch("[0-9a-f]{32}", fingerprint(SNAPSHOT))


@given(JSON)
def test_the_canonical_json_is_the_same_data(data):
    assert json.loads(canonical_json(data)) == data


def test_the_canonical_json_is_ascii():
    assert canonical_json({"ü": "日"}) == b'{"\\u00fc":"\\u65e5"}'
