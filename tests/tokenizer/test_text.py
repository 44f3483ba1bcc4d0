"""Text: lossless for every string, exact vocabulary size, reproducible and quiet training."""

import io
import pickle
import subprocess
import sys

import numpy as np
import pytest
import sentencepiece
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gato.tokenizer.text import TextTokenizer

ODD = "<s> </s> <unk> <0x41> \t tab \u2581 mark \u2585 \0 nul \ufb01 ligature e\u0301 \u65e5\u672c \U0001f600"


@pytest.fixture(scope="module")
def odd(corpus) -> TextTokenizer:
    """A tokenizer trained on text full of what SentencePiece keeps for itself."""
    return TextTokenizer.train([ODD * 3, *corpus] * 10, 400)


@settings(deadline=None, max_examples=200)
@given(string=st.text(st.characters(exclude_categories=["Cs"])))
@example("")
@example(" ")
@example("  a  b \n\n c\t")
@example("\u2581")
@example(" \u2581\u2581 a\u2581")
@example("\0")
@example("a\0b")
@example("\r\n\x7f\x85\u2028")
@example("\U0001f600\ufe0f")
@example("\ufeff\ufffd\u2585")
@example("<s>hello</s><unk><0x41>")
@example(ODD)
@example("x" * 20_000 + " y" * 5_000)
def test_decode_inverts_encode(text, odd, string):
    for tokenizer in (text, odd):
        ids = tokenizer.encode(string)
        assert ids.dtype == np.int32
        assert ids.ndim == 1
        assert tokenizer.decode(ids) == string


def test_every_single_byte_is_a_piece(text):
    decoded = [text.decode(text.encode(chr(code))) for code in range(256)]
    assert decoded == [chr(code) for code in range(256)]
    assert len(text.encode("\u0416")) == 2  # Cyrillic is not in the corpus: two bytes of UTF-8


def test_frequent_words_become_few_pieces(text):
    assert len(text.encode("the red ball")) <= 6 < len("the red ball")


def test_marks_are_never_part_of_an_encoded_text(odd):
    ids = odd.encode(ODD)
    assert not np.isin(ids, [odd.start_id, odd.end_id]).any()


def test_marks_decode_to_nothing(text):
    ids = [text.start_id, *text.encode("red"), text.end_id]
    assert text.decode(ids) == "red"


def test_bytes_that_form_no_character_become_the_replacement_character(text):
    assert text.decode(text.encode("\u0416")[:1]) == "\ufffd"


@pytest.mark.parametrize("vocab_size", [260, 261, 300, 400])
def test_vocab_size_is_exactly_what_was_asked(corpus, vocab_size):
    tokenizer = TextTokenizer.train(corpus, vocab_size)
    assert tokenizer.vocab_size == vocab_size
    assert tokenizer.decode(tokenizer.encode(ODD)) == ODD


def test_a_text_that_supports_only_its_characters_still_fills_the_vocabulary():
    assert TextTokenizer.train(["\u65e5 \u672c \u8a9e x y z"], 266).vocab_size == 266


def test_a_size_that_the_texts_cannot_fill_names_one_that_they_can():
    with pytest.raises(ValueError, match="support at most 263 pieces: give more varied text, or a vocab_size of 263"):
        TextTokenizer.train(["ab"], 1000)
    assert TextTokenizer.train(["ab"], 263).vocab_size == 263


def test_a_size_below_260_is_refused(corpus):
    with pytest.raises(ValueError, match="vocab_size is 259, needs 260"):
        TextTokenizer.train(corpus, 259)


@pytest.mark.parametrize("texts", [[], ["", ""]], ids=["none", "blank"])
def test_texts_without_characters_are_refused(texts):
    with pytest.raises(ValueError, match="no characters to learn pieces from"):
        TextTokenizer.train(texts, 300)


def test_long_texts_are_learned_from():
    # SentencePiece's trainer drops sentences above 4192 bytes unless told otherwise.
    tokenizer = TextTokenizer.train(["zebra quagga " * 1000], 280)
    assert len(tokenizer.encode("zebra")) == 1


def test_words_after_a_line_break_are_learned_from():
    tokenizer = TextTokenizer.train(["\n".join(["x", *["zebra"] * 50])], 275)
    assert len(tokenizer.encode("zebra")) == 1


def test_a_corpus_without_spaces_still_encodes_them():
    tokenizer = TextTokenizer.train(["abcabd"], 265)
    assert tokenizer.decode(tokenizer.encode(" a \u2581 b ")) == " a \u2581 b "


def test_training_is_quiet(corpus, capfd):
    TextTokenizer.train(corpus, 300)
    assert capfd.readouterr() == ("", "")


def test_training_in_another_process_gives_the_same_model(corpus, text):
    program = (
        "import sys; from gato.tokenizer.text import TextTokenizer; "
        f"sys.stdout.buffer.write(TextTokenizer.train({corpus!r}, 320).to_bytes())"
    )
    other = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, env={"PYTHONHASHSEED": "7"}
    )
    assert other.stdout == text.to_bytes()
    assert other.stderr == b""


@pytest.mark.parametrize("string", ["\ud800", "ok \udfff"])
def test_a_lone_surrogate_is_refused(text, string):
    with pytest.raises(ValueError, match="lone surrogate"):
        text.encode(string)
    with pytest.raises(ValueError, match="text 1 holds the lone surrogate"):
        TextTokenizer.train(["fine", string], 300)


@pytest.mark.parametrize("ids", [[320], [-1]])
def test_ids_outside_the_vocabulary_are_refused(text, ids):
    with pytest.raises(ValueError, match=r"expected \[0, 320\)"):
        text.decode(ids)


def test_what_is_no_str_is_refused(text):
    with pytest.raises(TypeError, match="is bytes, expected str"):
        text.encode(b"red")


def test_bytes_files_and_pickles_keep_the_tokenizer(text, tmp_path):
    text.save(tmp_path / "text.model")
    for copy in (
        TextTokenizer.from_bytes(text.to_bytes()),
        TextTokenizer.load(tmp_path / "text.model"),
        pickle.loads(pickle.dumps(text)),
    ):
        assert copy.to_bytes() == text.to_bytes()
        assert copy.encode(ODD).tolist() == text.encode(ODD).tolist()
        assert (copy.vocab_size, copy.start_id, copy.end_id) == (320, text.start_id, text.end_id)


@pytest.mark.parametrize("model", [b"", b"no model"], ids=["empty", "garbage"])
def test_bytes_that_are_no_model_are_refused(model, capfd):
    with pytest.raises(ValueError, match="no SentencePiece model"):
        TextTokenizer.from_bytes(model)
    assert capfd.readouterr() == ("", "")


def test_a_model_that_alters_texts_is_refused(corpus):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus), model_writer=model, vocab_size=40, hard_vocab_limit=False, minloglevel=2
    )
    with pytest.raises(ValueError, match="alters texts"):
        TextTokenizer.from_bytes(model.getvalue())
