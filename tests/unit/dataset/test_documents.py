"""Parsing the documents of a day, one after the other."""

import gzip
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from miso_scrapy.archive.document import UnreadableDocument, pack, unpack
from miso_scrapy.dataset.documents import DocumentReader
from miso_scrapy.feed.shape import ARRAYS

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, 3)
    | st.sampled_from([0.5, "a", "a,b", "é", "]", '"']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=4,
)
ROWS = st.fixed_dictionaries({"Time": st.sampled_from(["00:00", "00:05"]), "Value": VALUES})
METADATA = {"collected_at": "2026-06-01T00:01:15Z", "covered": True}


@st.composite
def days(draw):
    """Documents whose arrays mostly grow, as those of a market day do."""
    arrays, documents = {}, []
    for _ in range(draw(st.integers(1, 6))):
        for name in ARRAYS:
            change = draw(st.sampled_from(["same", "grow", "grow", "another", "none"]))
            before = arrays.pop(name, [])
            if change == "grow" and isinstance(before, list):
                arrays[name] = before + draw(st.lists(ROWS, min_size=1, max_size=2))
            elif change == "same":
                arrays[name] = before
            elif change == "another":
                arrays[name] = draw(VALUES)
        documents.append({"RefId": "2026-06-01T12:35:00Z", **arrays})
    return documents


def loads(*values):
    return [{"RefId": "2026-06-01T12:35:00Z", "FiveMinTotalLoad": value} for value in values]


@given(days())
@example(loads("a", "a,b"))
@example(loads({"a": 1}, {"a": 1, "b": 2}))
@example(loads([], [1], [1, 2], [12]))
def test_documents_of_a_day_are_read_as_if_each_was_the_only_one(documents):
    reader = DocumentReader()
    for data in documents:
        assert reader.read(pack(data, METADATA)) == (data, METADATA)


@given(days(), st.integers(0, 3))
def test_white_space_between_rows_makes_no_difference(documents, indent):
    reader = DocumentReader()
    for data in documents:
        text = json.dumps({"data": data, "collection_metadata": METADATA}, indent=indent)
        assert reader.read(gzip.compress(text.encode())) == (data, METADATA)


def test_rows_that_are_known_are_not_parsed_again():
    reader = DocumentReader()
    rows = [{"Time": f"00:{minute:02d}", "Value": 80_000.5 + minute} for minute in range(0, 60, 5)]
    read = [
        reader.read(pack({"RefId": "", "FiveMinTotalLoad": rows[:number]}, METADATA))[0]
        for number in (11, 12, 12)
    ]
    first, second, third = (data["FiveMinTotalLoad"] for data in read)
    assert [id(row) for row in first] == [id(row) for row in second[:11]]
    assert second is third


@pytest.mark.parametrize(
    "array",
    [b'[1,"\xff"]', b'[1,"\\ud800"]', b"[1,]", b"[1,2 3]", b"[1,NaN]", b"[1,1e999]", b"[1,2"],
)
def test_a_row_that_was_added_and_is_not_json_makes_the_document_unreadable(array):
    document = b'{"data": {"RefId": "", "FiveMinTotalLoad": %b}, "collection_metadata": {}}'
    reader = DocumentReader()
    reader.read(gzip.compress(document % b"[1]"))
    with pytest.raises(UnreadableDocument, match="it is not JSON"):
        reader.read(gzip.compress(document % array))
    assert reader.read(gzip.compress(document % b"[1,2]"))[0]["FiveMinTotalLoad"] == [1, 2]


@pytest.mark.parametrize(
    ("number", "fault"),
    [(b"1e999", "Number"), (b"1" * 5000, "Integer value")],
    ids=["1e999", "5000 digits"],
)
def test_the_message_names_a_number_out_of_range_by_its_place_in_the_file(number, fault):
    document = b'{"data": {"RefId": "", "FiveMinTotalLoad": [1%b]}, "collection_metadata": {}}'
    reader = DocumentReader()
    reader.read(gzip.compress(document % b""))
    with pytest.raises(UnreadableDocument) as caught:
        reader.read(gzip.compress(document % (b",2," + number)))
    assert str(caught.value) == f"it is not JSON ({fault} out of range - at `$[...][...][2]`)"


@given(st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_a_text_is_a_document_for_this_reader_if_it_is_one_for_the_archive(text):
    body = gzip.compress(text)
    with pytest.raises(UnreadableDocument):
        unpack(body)
    with pytest.raises(UnreadableDocument):
        DocumentReader().read(body)
