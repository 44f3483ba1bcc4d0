"""Documents of .txt and .jsonl files: how prose is cut, and that nothing is lost."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato.data.sources.text import DOCUMENT_CHARS, TextSource, split_documents


def documents(path):
    source = TextSource(path, "prose")
    return [source[i].text for i in range(len(source))]


@pytest.mark.parametrize(
    "text, min_chars, expected",
    [
        ("a\n\nb\n\nc", 3, ["a\n\n", "b\n\n", "c"]),
        ("a\n\nb\n\nc", 4, ["a\n\nb\n\n", "c"]),
        ("a\n\nb\n\nc", 99, ["a\n\nb\n\nc"]),
        ("a\nb\nc", 1, ["a\nb\nc"]),
        ("a\n \t\nb", 1, ["a\n \t\n", "b"]),
        ("a\n\n\n\nb", 1, ["a\n\n\n\n", "b"]),
        ("a\r\n\r\nb", 1, ["a\r\n\r\n", "b"]),
        ("one two three", 5, ["one two three"]),
        ("a\n\n", 1, ["a\n\n"]),
        ("", 1, []),
        (" \n\n\t\n", 1, []),
    ],
)
def test_prose_is_cut_after_the_first_blank_line_past_a_size(text, min_chars, expected):
    assert split_documents(text, min_chars) == expected


@given(st.text(st.sampled_from("ab \n\t\r"), max_size=60), st.integers(1, 12))
def test_documents_joined_are_the_text_less_white_space(text, min_chars):
    pieces = split_documents(text, min_chars)
    assert all(piece.strip() for piece in pieces)
    rest = text
    for piece in pieces:
        lost, found, rest = rest.partition(piece)
        assert found == piece
        assert not lost.strip()
    assert not rest.strip()


@given(st.text(st.sampled_from("ab \n"), max_size=60), st.integers(1, 12))
def test_documents_are_long_enough_and_end_at_blank_lines(text, min_chars):
    for piece in split_documents(text, min_chars)[:-1]:
        assert len(piece) >= min_chars
        last_line = piece.rstrip("\n").rpartition("\n")[2]
        assert piece.endswith("\n\n") or not last_line.strip()


def test_a_long_file_becomes_documents_of_about_the_same_size(tmp_path):
    paragraph = "word " * 200 + "\n\n"
    path = tmp_path / "book.txt"
    path.write_bytes((paragraph * 100).encode())
    found = documents(path)
    assert "".join(found) == paragraph * 100
    assert all(DOCUMENT_CHARS <= len(text) < DOCUMENT_CHARS + len(paragraph) for text in found[:-1])
    assert len(found) == 6


def test_a_short_file_is_one_document(tmp_path):
    (tmp_path / "a.txt").write_bytes("one\n\ntwo é\r\n".encode())
    assert documents(tmp_path / "a.txt") == ["one\n\ntwo é\r\n"]


def test_a_json_line_is_one_document_whatever_its_length(tmp_path):
    texts = ["one\n\ntwo", "x\n\n" * DOCUMENT_CHARS, " "]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    assert documents(str(tmp_path / "a.jsonl")) == texts


def test_a_folder_is_read_file_by_file_in_a_fixed_order(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.txt", "deep/a.txt", "a.txt"):
        (tmp_path / name).write_text(name)
    (tmp_path / "0.jsonl").write_text('{"text": "line"}')
    (tmp_path / "notes.md").write_text("something else")
    assert documents(tmp_path) == ["a.txt", "b.txt", "deep/a.txt", "line"]


def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfhello")
    assert documents(tmp_path) == ["hello"]


def test_a_path_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^prose: .*gone does not exist, expected a \.txt or \.jsonl file"):
        TextSource(tmp_path / "gone", "prose")


def test_files_of_other_kinds_are_refused(tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    for path in (tmp_path / "a.pdf", tmp_path):
        with pytest.raises(ValueError, match=r"^prose: .* is not text, expected a \.txt or \.jsonl file or a folder"):
            TextSource(path, "prose")


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_files_without_text_are_refused(tmp_path, name):
    (tmp_path / name).write_text("\n \n")
    with pytest.raises(ValueError, match=r"^prose: .* holds no text, expected at least one document"):
        TextSource(tmp_path / name, "prose")


def test_an_empty_document_is_refused_by_line(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": ""}\n')
    with pytest.raises(ValueError, match=r"^prose: .*a\.jsonl:2: the document is empty"):
        TextSource(tmp_path, "prose")


def test_a_line_without_text_is_refused_by_line(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"txt": "b"}\n')
    with pytest.raises(ValueError, match=r"^prose: .*a\.jsonl:2 lacks the field 'text'"):
        TextSource(tmp_path, "prose")


def test_a_file_that_is_not_utf8_is_refused_by_name(tmp_path):
    (tmp_path / "a.txt").write_bytes("é".encode("latin-1"))
    with pytest.raises(ValueError, match=r"^prose: .*a\.txt is not UTF-8"):
        TextSource(tmp_path, "prose")


def test_a_text_file_of_another_encoding_is_read_when_it_is_named(tmp_path):
    (tmp_path / "a.txt").write_bytes("café".encode("latin-1"))
    source = TextSource(tmp_path, "prose", encoding="latin-1")
    assert source[0].text == "café"
    with pytest.raises(ValueError, match=r'a\.txt is not UTF-8 .* such as {"encoding": "latin-1"}'):
        TextSource(tmp_path, "prose")
    with pytest.raises(ValueError, match=r"a\.txt is not ascii "):
        TextSource(tmp_path, "prose", encoding="ascii")


def test_an_encoding_that_does_not_exist_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(ValueError, match=r"^prose: there is no encoding 'latin-9000'"):
        TextSource(tmp_path, "prose", encoding="latin-9000")
