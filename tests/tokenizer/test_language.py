"""Text formats: layout worked by hand, and prompts that are exact beginnings of what was trained on."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gato.tokenizer.image import image_to_patches, patch_intervals
from gato.tokenizer.language import (
    caption_prompt,
    dialogue_prompt,
    document_prompt,
    encode_caption,
    encode_dialogue,
    encode_document,
    plain_words,
)

IMAGE = np.random.default_rng(0).integers(0, 256, (20, 40, 3), dtype=np.uint8)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def continued(prompt, answer, text, counts):
    """A prompt followed by the answer's tokens and the end mark, as generation appends them."""
    ids = np.array([*text.encode(answer), text.end_id], np.int32)
    n = len(ids)
    last = prompt.local_positions[-1]
    return dataclasses.replace(
        prompt,
        tokens=np.append(prompt.tokens, ids),
        local_positions=np.append(prompt.local_positions, last + np.arange(1, n + 1) if counts else np.full(n, last)),
        starts=np.array([0, len(prompt) + n]),
    )


def assert_same_inputs(a, b):
    for name, left in a.arrays().items():
        if name not in ("loss_mask", "changed_mask"):
            right = b.arrays()[name]
            assert left.shape == right.shape, name
            assert (left == right).all(), name


@settings(deadline=None, max_examples=50)
@given(answer=words)
def test_a_document_prompt_and_its_continuation_are_the_training_encoding(text, config, answer):
    prompt = document_prompt("", text, config)
    assert_same_inputs(continued(prompt, answer, text, counts=False), encode_document(answer, text, config))


@settings(deadline=None, max_examples=50)
@given(question=words, answer=words, image=st.sampled_from([None, IMAGE]))
def test_a_dialogue_prompt_and_its_answer_are_the_training_encoding(text, config, question, answer, image):
    turns = [("user", "go"), ("agent", "ok"), ("user", question)]
    encoded = encode_dialogue([*turns, ("agent", answer)], text, config, image=image)
    prompt = dialogue_prompt(turns, text, config, image=image)
    assert_same_inputs(continued(prompt, f" {answer}", text, counts=image is not None), encoded)


@settings(deadline=None, max_examples=50)
@given(answer=words)
def test_a_caption_prompt_and_its_caption_are_the_training_encoding(text, config, answer):
    encoded = encode_caption(IMAGE, answer, text, config)
    assert_same_inputs(continued(caption_prompt(IMAGE, config), f" {answer}", text, counts=True), encoded)


def test_a_document_starts_and_ends_with_marks_and_has_no_positions(text, config):
    sequence = encode_document("the red ball", text, config)
    assert sequence.tokens.tolist() == [text.start_id, *text.encode("the red ball"), text.end_id]
    assert sequence.loss_mask.tolist() == [False] + [True] * (len(sequence) - 1)
    assert set(sequence.local_positions.tolist()) == {config.no_position}
    assert sequence.num_timesteps == 1
    assert not len(sequence.patches)


def test_a_dialogue_is_laid_out_turn_by_turn(text, config):
    sequence = encode_dialogue([("user", "go"), ("agent", "the ball")], text, config)
    user, agent, go, ball = (text.encode(part).tolist() for part in ("User:", "Agent:", " go", " the ball"))
    assert sequence.tokens.tolist() == [text.start_id, *user, *go, text.end_id, *agent, *ball, text.end_id]
    expected = [False] * (1 + len(user)) + [True] * (len(go) + 1) + [False] * len(agent) + [True] * (len(ball) + 1)
    assert sequence.loss_mask.tolist() == expected
    assert set(sequence.local_positions.tolist()) == {config.no_position}


def test_only_the_agents_turns_are_targets_without_question_loss(text, config):
    turns = [("user", "go"), ("agent", "the ball")]
    sequence = encode_dialogue(turns, text, config, question_loss=False)
    assert sequence.tokens[sequence.loss_mask].tolist() == [*text.encode(" the ball"), text.end_id]


def test_a_caption_follows_the_patches_and_positions_count_up(text, config):
    sequence = encode_caption(IMAGE, "a box", text, config)
    ids = text.encode(" a box").tolist()
    assert sequence.tokens.tolist() == [config.padding_id] * 6 + ids + [text.end_id]
    assert sequence.local_positions.tolist() == list(range(len(sequence)))
    assert sequence.loss_mask.tolist() == [False] * 6 + [True] * (len(ids) + 1)
    assert sequence.patch_indices.tolist() == list(range(6))
    assert (sequence.patches == image_to_patches(IMAGE, 16)).all()
    assert (sequence.patch_intervals == patch_intervals(20, 40, 16, 128)).all()


def test_a_dialogue_about_a_picture_follows_the_patches_and_positions_count_up(text, config):
    turns = [("user", "what colour"), ("agent", "red"), ("user", "how many"), ("agent", "two")]
    sequence = encode_dialogue(turns, text, config, image=IMAGE, question_loss=False)
    expected = [
        text.encode(part).tolist()
        for part in ("User:", " what colour", "Agent:", " red", "User:", " how many", "Agent:", " two")
    ]
    for words in expected[1::2]:
        words.append(text.end_id)
    assert sequence.tokens.tolist() == [config.padding_id] * 6 + [token for part in expected for token in part]
    assert sequence.local_positions.tolist() == list(range(len(sequence)))
    assert sequence.tokens[sequence.loss_mask].tolist() == expected[3] + expected[7]


@settings(deadline=None, max_examples=50)
@given(said=words)
def test_words_come_back_as_they_were(text, config, said):
    sequence = encode_caption(IMAGE, said, text, config)
    assert plain_words(text.decode(sequence.tokens[6:-1])) == said


def test_prompts_carry_no_loss(text, config):
    turns = [("user", "go"), ("agent", "ok")]
    for prompt in (
        document_prompt("go", text, config),
        dialogue_prompt(turns, text, config),
        caption_prompt(IMAGE, config),
        dialogue_prompt(turns, text, config, image=IMAGE),
    ):
        assert not prompt.loss_mask.any()


@pytest.mark.parametrize("shape", [(20, 40), (20, 40, 1), (20, 40, 4)], ids=["grey", "grey-channel", "rgba"])
def test_pictures_of_any_channels_are_taken(text, config, shape):
    assert len(caption_prompt(np.zeros(shape, np.uint8), config).patches) == 6


def test_a_picture_and_text_beyond_the_local_positions_are_refused(text, config):
    with pytest.raises(ValueError, match=r"takes 608 tokens, 6 of them patches, .* local_position_size = 512"):
        encode_caption(IMAGE, "\u0416" * 300, text, config)


def test_an_unknown_speaker_is_refused(text, config):
    with pytest.raises(ValueError, match="spoken by 'robot', expected 'user' or 'agent'"):
        encode_dialogue([("robot", "beep")], text, config)


def test_a_dialogue_without_turns_is_refused(text, config):
    with pytest.raises(ValueError, match="no turns"):
        encode_dialogue([], text, config)
