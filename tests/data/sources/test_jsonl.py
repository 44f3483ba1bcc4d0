"""JSON Lines: what is read, and errors that name file and line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato.data.sources.jsonl import decode_text, line_or_error, read_jsonl

texts = st.text(st.characters(exclude_categories=["Cs"]))


def read(content, where, fields, **options):
    """Lines as they are, with their places."""
    return read_jsonl(content, where, fields, lambda item, place: (place, item), **options)


@given(st.lists(st.fixed_dictionaries({"text": texts, "n": st.integers() | st.none()})), st.booleans())
def test_objects_come_back_with_their_lines(objects, ensure_ascii):
    # Line and paragraph separators stand unescaped in a JSON string, and end no line.
    content = "\n".join(json.dumps(item, ensure_ascii=ensure_ascii) for item in objects).encode()
    expected = [(f"a.jsonl:{number}", item) for number, item in enumerate(objects, start=1)]
    assert read(content, "a.jsonl", {"text": str}) == expected


def test_blank_lines_are_skipped_but_counted():
    content = b'\n{"a": 1}\n  \n\t\n{"a": 2}\n\n'
    assert read(content, "f", {}) == [("f:2", {"a": 1}), ("f:5", {"a": 2})]


def test_windows_line_ends_and_a_byte_order_mark_are_read():
    content = b'\xef\xbb\xbf{"a": "x"}\r\n{"a": "y"}\r\n'
    assert read(content, "f", {"a": str}) == [("f:1", {"a": "x"}), ("f:2", {"a": "y"})]


def test_an_empty_file_holds_no_objects():
    assert read(b"", "f", {"a": str}) == []


def test_further_fields_are_kept():
    assert read(b'{"a": "x", "b": [1]}', "f", {"a": str}) == [("f:1", {"a": "x", "b": [1]})]


@pytest.mark.parametrize(
    "line, match",
    [
        (b'{"text": "a"', r"^f\.jsonl:2 is not JSON \(.*\), expected one object a line"),
        (b"hello", r"^f\.jsonl:2 is not JSON"),
        (b'{"text": "a"} {"text": "b"}', r"^f\.jsonl:2 is not JSON"),
        (b'"text"', r"^f\.jsonl:2 holds str, expected an object with the fields \['text', 'turns'\]"),
        (b'["text"]', r"^f\.jsonl:2 holds list, expected an object"),
        (b"null", r"^f\.jsonl:2 holds NoneType, expected an object"),
        (b'{"txt": "a", "turns": []}', r"^f\.jsonl:2 lacks the field 'text', found \['txt', 'turns'\]"),
        (b'{"text": "a"}', r"^f\.jsonl:2 lacks the field 'turns', found \['text'\]"),
        (b'{"text": 3, "turns": []}', r"^f\.jsonl:2: field 'text' is int, expected str"),
        (b'{"text": null, "turns": []}', r"^f\.jsonl:2: field 'text' is NoneType, expected str"),
        (b'{"text": "a", "turns": "b"}', r"^f\.jsonl:2: field 'turns' is str, expected list"),
    ],
    ids=["cut", "words", "two", "str", "list", "null", "misspelt", "lacks", "int", "none", "no-list"],
)
def test_a_line_that_is_not_as_expected_is_named(line, match):
    good = b'{"text": "a", "turns": []}'
    with pytest.raises(ValueError, match=match):
        read(b"\n".join([good, line, good]), "f.jsonl", {"text": str, "turns": list})


def test_a_file_that_is_not_utf8_is_named():
    with pytest.raises(ValueError, match=r"^f\.jsonl is not UTF-8 \(.*0xff.*\): convert it first"):
        read(b'{"text": "\xff"}', "f.jsonl", {})


@given(texts)
def test_text_is_decoded_as_it_was_encoded(text):
    text = text.removeprefix("\ufeff")
    assert decode_text(text.encode(), "f") == text
    assert decode_text(text.encode("utf-8-sig"), "f") == text


def test_line_ends_are_left_as_they_are():
    assert decode_text(b"a\r\nb\n", "f") == "a\r\nb\n"


def test_bad_lines_keep_their_place_where_they_are_skipped():
    content = b'{"text": "one"}\nnot json\n\n{"text": 3}\n{"text": "two"}\n'
    first, torn, wrong, last = read(content, "f.jsonl", {"text": str}, skip_bad=True)
    assert (first, last) == (("f.jsonl:1", {"text": "one"}), ("f.jsonl:5", {"text": "two"}))
    for bad, message in ((torn, "f.jsonl:2 is not JSON"), (wrong, "f.jsonl:4: field 'text' is int")):
        with pytest.raises(ValueError, match=message):
            line_or_error(bad)
    assert line_or_error(first) is first
