"""Texts for a SentencePiece model: each once, in order, from the first records only."""

import numpy as np
import pytest

from gato.data.corpus import corpus
from gato.data.episode import Dialogue, Document, Episode, ImageText

IMAGE = np.zeros((4, 4, 3), np.uint8)


def mission(*texts, actions=None):
    return Episode(
        observations={"mission": list(texts), "view": (np.zeros(len(texts)), np.zeros((len(texts), 2)))},
        actions=np.zeros(len(texts) - 1, np.int64) if actions is None else actions,
        rewards=np.zeros(len(texts) - 1),
        terminated=True,
        truncated=False,
    )


def test_texts_come_in_the_order_of_records_and_each_once(listed):
    source = listed("prose", [Document(text=text) for text in ("one", "two", "one", "three", "two")])
    assert list(corpus([source], 99)) == ["one", "two", "three"]


def test_all_turns_of_a_dialogue_are_texts(listed):
    turns = (("user", "who?"), ("agent", "me"), ("user", "who?"), ("agent", "you"))
    assert list(corpus([listed("talk", [Dialogue(turns=turns)])], 99)) == ["who?", "me", "you"]


def test_captions_and_questions_about_pictures_are_texts(listed):
    captions = listed("captions", [ImageText(image=IMAGE, text="a ball"), ImageText(image=IMAGE, text="a box")])
    questions = listed("questions", [Dialogue(turns=(("user", "what?"), ("agent", "a key")), image=IMAGE)])
    assert list(corpus([captions, questions], 99)) == ["a ball", "a box", "what?", "a key"]


def test_missions_of_episodes_are_texts(listed):
    source = listed("rooms", [mission("go", "go", "go"), mission("open", "open"), mission("go", "then stop")])
    assert list(corpus([source], 99)) == ["go", "open", "then stop"]


def test_text_actions_are_texts(listed):
    source = listed("talker", [mission("go", "go", "go", actions=["left", "right"])])
    assert list(corpus([source], 99)) == ["go", "left", "right"]


def test_empty_texts_are_left_out(listed):
    assert list(corpus([listed("rooms", [mission("go", "", "go")])], 99)) == ["go"]


def test_only_the_first_records_of_each_source_are_read(listed):
    prose = listed("prose", [Document(text=text) for text in ("one", "two", "three")])
    more = listed("more", [Document(text=text) for text in ("four", "five", "six")])
    assert list(corpus([prose, more], 2)) == ["one", "two", "four", "five"]


def test_repeated_texts_count_as_records(listed):
    source = listed("prose", [Document(text=text) for text in ("one", "one", "two")])
    assert list(corpus([source], 2)) == ["one"]


def test_a_source_without_text_is_passed_over_after_its_first_record(listed):
    class Counted(listed):
        read = 0

        def __getitem__(self, index):
            self.read += 1
            return super().__getitem__(index)

    numbers = Episode(
        observations=np.zeros((3, 2)), actions=np.zeros(2), rewards=np.zeros(2), terminated=True, truncated=False
    )
    source = Counted("control", [numbers] * 50)
    assert list(corpus([source, listed("prose", [Document(text="one")])], 99)) == ["one"]
    assert source.read == 1


def test_a_source_without_records_is_passed_over(listed):
    assert list(corpus([listed("empty", []), listed("prose", [Document(text="one")])], 99)) == ["one"]


def test_unreadable_records_are_passed_over_only_where_they_may_be(listed):
    class Torn:
        name = "torn"

        def __len__(self):
            return 3

        def __getitem__(self, index):
            if index == 0:
                raise ValueError("torn: record 0 cannot be read")
            return Document(text=f"text {index}")

    assert list(corpus([Torn()], 99, skip_bad={"torn"})) == ["text 1", "text 2"]
    with pytest.raises(ValueError, match="record 0 cannot be read"):
        list(corpus([Torn()], 99, skip_bad={"other"}))
