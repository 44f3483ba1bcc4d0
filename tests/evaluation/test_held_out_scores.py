import math

import numpy as np
import pytest

from gato.batch import Batch
from gato.config import TokenizerConfig
from gato.evaluation.held_out_scores import HeldOutScore, held_out_section, language_section, piece_bytes, text_bytes
from gato.evaluation.language_scores import LanguageScore
from gato.evaluation.statistics import wilson_interval
from gato.reports.held_out_tables import held_out_markdown, held_out_table
from gato.tokenizer.text import TextTokenizer

SUMS = {"loss_sum": 40.0, "count": 20.0, "correct": 5.0, "changed_count": 4.0, "changed_correct": 1.0, "num_rows": 3}


@pytest.fixture(scope="module")
def text() -> TextTokenizer:
    return TextTokenizer.train(["the cat and the hat, the mat", "naïve \ufffd question \ufffd"], 275)


def test_a_score_of_hand_worked_sums():
    score = HeldOutScore.from_sums(**SUMS, num_bytes=50)
    assert (score.loss_nats, score.accuracy, score.targets, score.rows, score.accuracy_changed) == (
        2,
        0.25,
        20,
        3,
        0.25,
    )
    assert score.bits_per_byte == pytest.approx(40 / math.log(2) / 50)


def test_bits_per_byte_of_a_uniform_model_are_the_bits_of_its_tokens_over_the_bytes_they_spell():
    # Each of 12 tokens costs log2(256) = 8 bits, and they spell 24 bytes.
    nats = 12 * math.log(256)
    sums = {**SUMS, "loss_sum": nats, "count": 12.0}
    assert HeldOutScore.from_sums(**sums, num_bytes=24).bits_per_byte == pytest.approx(8 * 12 / 24)


def test_what_there_is_none_of_is_left_out_of_the_file():
    score = HeldOutScore.from_sums(**{**SUMS, "changed_count": 0.0, "changed_correct": 0.0}, num_bytes=0)
    section = held_out_section({"cartpole": {"action": score}})
    assert section == {"cartpole": {"action": {"loss_nats": 2, "accuracy": 0.25, "targets": 20, "rows": 3}}}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"loss_sum": np.nan}, "loss_nats is nan"),
        ({"correct": 21.0}, r"accuracy is 1\.05"),
        ({"num_rows": 0}, "20 targets in 0 rows"),
    ],
)
def test_sums_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        HeldOutScore.from_sums(**{**SUMS, **changes}, num_bytes=0)


@pytest.mark.parametrize("words", ["the cat", "naïve", "\ufffd twice \ufffd", "日本 \U0001f600", "\u2581", "", " \n\0"])
def test_the_bytes_of_its_pieces_are_the_bytes_of_a_text(text, words):
    assert piece_bytes(text)[text.encode(words)].sum() == len(words.encode())


def test_marks_spell_nothing(text):
    sizes = piece_bytes(text)
    assert sizes[text.start_id] == sizes[text.end_id] == 0
    assert sizes.shape == (text.vocab_size,)


def test_only_text_targets_count(text):
    tokenizer = TokenizerConfig(text_vocab_size=text.vocab_size)
    ids = text.encode("the cat")
    length = len(ids) + 2
    tokens = np.array([[*ids, text.end_id, tokenizer.continuous_ids.start]], np.int32)
    positions = np.full((1, length), tokenizer.no_position)
    positions[0, -1] = tokenizer.action_position
    mask = np.ones((1, length), bool)
    mask[0, 0] = False  # a row's first token is no target
    nothing = np.zeros(1)
    batch = Batch(
        tokens=tokens,
        local_positions=positions,
        loss_mask=mask,
        changed_mask=mask,
        row_weights=nothing,
        source_ids=nothing,
        lengths=nothing,
        patches=nothing,
        patch_indices=nothing,
        patch_intervals=nothing,
    )
    first = len(text.decode(ids[:1]).encode())
    assert text_bytes(batch, piece_bytes(text), tokenizer) == len(b"the cat") - first


def test_tables_and_sections():
    score = HeldOutScore.from_sums(**SUMS, num_bytes=50)
    scores = {"books": {"text": score}}
    (row,) = held_out_table(scores).rows
    assert row == ("books", "text", "20", "2.000", "25.0%", "25.0%", "1.154")
    language = {"scenes": LanguageScore(kind="caption", num_trials=4, accuracy=wilson_interval(1, 4))}
    assert language_section(language)["scenes"]["caption"]["exact_match"] == 0.25
    told = held_out_markdown(scores, language, {"quiet": "it keeps no records from training"})
    assert "| books | text | 20 |" in told
    assert "| scenes | caption | 4 | 0.25 |" in told
    assert "Not measured on held-out data: quiet: it keeps no records from training." in told
