"""Encoded records: kept within a number of bytes, encoded as the config says, refused by name."""

import threading
from functools import partial

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Graph, Text

from gato.config import DataConfig, SourceConfig
from gato.data.encoded import EncodedSource, SequenceCache, encode_episode, encode_language, timestep_tokenizer
from gato.data.episode import Dialogue, Document, Episode, ImageText
from gato.data.opened import open_encoded
from gato.tokenizer.language import encode_caption, encode_dialogue, encode_document
from gato.tokenizer.spaces import TimestepTokenizer

IMAGE = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
DATA = DataConfig()


def size_bytes(sequence):
    return sum(array.nbytes for array in sequence.arrays().values())


@pytest.fixture
def made(make_tokens):
    """Makes tokens by key and counts how often."""

    class Made:
        def __init__(self):
            self.calls = []

        def __call__(self, key, size=10):
            self.calls.append(key)
            return make_tokens([size])

        def from_cache(self, cache, key, size=10):
            return cache.get(key, lambda: self(key, size))

    return Made()


def test_what_is_kept_is_the_same_object(made):
    cache = SequenceCache(1 << 20)
    first = made.from_cache(cache, "a")
    assert made.from_cache(cache, "a") is first
    assert made.from_cache(cache, "b") is not first
    assert made.calls == ["a", "b"]


def test_the_least_recently_used_leave_first(made, make_tokens):
    cache = SequenceCache(3 * size_bytes(make_tokens([10])))
    for key in "abc":
        made.from_cache(cache, key)
    made.from_cache(cache, "a")
    made.from_cache(cache, "d")  # b leaves
    for key in "acd":
        made.from_cache(cache, key)
    assert made.calls == ["a", "b", "c", "d"]
    made.from_cache(cache, "b")
    assert made.calls == ["a", "b", "c", "d", "b"]


def test_the_cache_counts_bytes_and_not_records(made, make_tokens):
    # Room for three records of ten tokens; one of about twenty takes the place of two of them.
    cache = SequenceCache(3 * size_bytes(make_tokens([10])))
    for key in "abc":
        made.from_cache(cache, key)
    made.from_cache(cache, "large", 18)
    made.calls.clear()
    for key in ("large", "c", "a"):
        made.from_cache(cache, key)
    assert made.calls == ["a"]


def test_one_byte_less_keeps_one_record_less(made, make_tokens):
    cache = SequenceCache(2 * size_bytes(make_tokens([10])) - 1)
    for key in "aba":
        made.from_cache(cache, key)
    assert made.calls == ["a", "b", "a"]


def test_a_record_larger_than_the_cache_is_made_every_time(made):
    cache = SequenceCache(10)
    for _ in range(2):
        assert len(made.from_cache(cache, "a")) == 10
    assert made.calls == ["a", "a"]


def test_room_is_given_back_when_a_record_leaves(made, make_tokens):
    cache = SequenceCache(size_bytes(make_tokens([10])))
    for _ in range(20):
        made.from_cache(cache, "a")
        made.from_cache(cache, "b")
    made.calls.clear()
    made.from_cache(cache, "b")
    assert made.calls == []


def test_nothing_is_kept_of_what_failed(made):
    cache = SequenceCache(1 << 20)

    def fail():
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        cache.get("a", fail)
    made.from_cache(cache, "a")
    assert made.calls == ["a"]


def test_threads_share_a_cache_without_losing_count(made, make_tokens):
    cache = SequenceCache(4 * size_bytes(make_tokens([10])))
    lengths = []

    def use(seed):
        for key in np.random.default_rng(seed).integers(8, size=200):
            lengths.append(len(made.from_cache(cache, int(key))))

    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lengths == [10] * 800
    for key in range(4):
        made.from_cache(cache, key)
    made.calls.clear()
    for key in range(4):
        made.from_cache(cache, key)
    assert made.calls == []


def test_sources_share_a_cache_without_mixing_their_records(listed, make_tokens):
    cache = SequenceCache(1 << 20)
    three, five = (
        EncodedSource(listed(name, [size]), lambda size: make_tokens([size]), cache)
        for name, size in (("three", 3), ("five", 5))
    )
    assert [len(three[0]), len(five[0]), len(three[0]), len(five[0])] == [3, 5, 3, 5]


def test_a_source_encodes_each_record_once(listed, made):
    source = EncodedSource(listed("numbers", [4, 5]), lambda size: made(size, size), SequenceCache(1 << 20))
    assert len(source) == 2
    assert source[1] is source[1]
    assert [len(source[0]), len(source[1])] == [4, 5]
    assert made.calls == [5, 4]


def test_a_record_that_cannot_be_encoded_is_named(listed, config):
    episode = Episode(
        observations=np.zeros(2), actions=np.array([0, 7]), rewards=np.zeros(2), terminated=True, truncated=False
    )
    source = listed("rooms", [episode] * 4)
    source.observation_space, source.action_space = Box(-1, 1, ()), Discrete(3)
    timesteps = timestep_tokenizer(source, config, None)
    encode = partial(encode_episode, timesteps=timesteps, terminal_observation=False)
    with pytest.raises(ValueError, match=r"^rooms: episode 3: action .*7"):
        EncodedSource(source, encode, SequenceCache(1 << 20))[3]


def test_a_document_that_cannot_be_encoded_is_named(listed, config, text):
    source = EncodedSource(
        listed("prose", [Document(text="fine"), Document(text="\ud800")]),
        lambda record: encode_language(record, DATA, config, text),
        SequenceCache(1 << 20),
    )
    with pytest.raises(ValueError, match=r"^prose: document 1: .*lone surrogate"):
        source[1]


@pytest.fixture
def rooms(listed):
    """One episode of three timesteps with a mission, and the observation after the last action."""
    episode = Episode(
        observations={"mission": ["go to the ball"] * 4, "view": np.arange(4)},
        actions=np.array([2, 0, 1]),
        rewards=np.zeros(3),
        terminated=True,
        truncated=False,
        action_mask=np.array([True, False, True]),
    )
    source = listed("rooms", [episode])
    source.observation_space = Dict({"mission": Text(50), "view": Discrete(4)})
    source.action_space = Discrete(3)
    return source


@pytest.mark.parametrize("terminal_observation", [False, True])
@pytest.mark.parametrize("text_loss", [False, True])
def test_episodes_are_encoded_as_the_timestep_tokenizer_does(
    rooms, config, text, assert_same, terminal_observation, text_loss
):
    timesteps = timestep_tokenizer(rooms, config, text, text_loss=text_loss)
    sequence = encode_episode(rooms[0], timesteps, terminal_observation=terminal_observation)
    tokenizer = TimestepTokenizer(rooms.observation_space, rooms.action_space, config, text, text_loss=text_loss)
    expected = tokenizer.encode_episode(
        rooms[0].observations,
        rooms[0].actions,
        action_mask=rooms[0].action_mask,
        terminal_observation=terminal_observation,
    )
    assert_same(sequence, expected)
    assert sequence.num_timesteps == 3 + terminal_observation


@pytest.mark.parametrize("text_loss", [False, True])
def test_the_config_says_whether_observed_text_is_a_target(rooms, config, text, monkeypatch, text_loss):
    rooms.groups = np.zeros(1, np.int64)
    monkeypatch.setattr("gato.data.opened.open_source", lambda source: rooms)
    source, data = SourceConfig(name="rooms", kind="minari", path=""), DataConfig(text_observation_loss=text_loss)
    encoded, _ = open_encoded(source, data, config, text, SequenceCache(0), with_returns=False)
    assert bool(encoded[0].loss_mask[0]) is text_loss


def test_masked_actions_are_shown_but_are_no_targets(rooms, config, text):
    timesteps = timestep_tokenizer(rooms, config, text, text_loss=False)
    sequence = encode_episode(rooms[0], timesteps, terminal_observation=False)
    is_action = sequence.local_positions == config.action_position
    assert sequence.tokens[is_action].tolist() == [config.discrete_ids.start + action for action in (2, 0, 1)]
    assert sequence.loss_mask[is_action].tolist() == [True, False, True]
    assert sequence.loss_mask.sum() == 2


def test_spaces_that_cannot_be_represented_are_refused_by_source(listed, config):
    source = listed("molecules", [])
    source.observation_space, source.action_space = Graph(Discrete(2), None), Discrete(2)
    with pytest.raises(ValueError, match=r"^molecules: observation is Graph"):
        timestep_tokenizer(source, config, None)


def test_missions_without_a_text_tokenizer_are_refused_by_source(rooms, config):
    with pytest.raises(ValueError, match=r"^rooms: observation/mission is Text, but there is no text tokenizer"):
        timestep_tokenizer(rooms, config, None)


TURNS = (("user", "what is it?"), ("agent", "a ball"))


def test_each_kind_of_language_has_its_encoding(config, text, assert_same):
    def encoded(record):
        return encode_language(record, DATA, config, text)

    assert_same(encoded(Document(text="go to")), encode_document("go to", text, config))
    assert_same(encoded(ImageText(image=IMAGE, text="a ball")), encode_caption(IMAGE, "a ball", text, config))
    assert_same(encoded(Dialogue(turns=TURNS)), encode_dialogue(TURNS, text, config))
    assert_same(encoded(Dialogue(turns=TURNS, image=IMAGE)), encode_dialogue(TURNS, text, config, image=IMAGE))


@pytest.mark.parametrize("image", [None, IMAGE], ids=["words", "picture"])
def test_questions_are_targets_only_if_the_config_says_so(config, text, image):
    record = Dialogue(turns=TURNS, image=image)
    with_loss, without = (
        encode_language(record, DataConfig(question_loss=loss), config, text) for loss in (True, False)
    )
    assert with_loss.tokens.tolist() == without.tokens.tolist()
    question, answer = (len(text.encode(f" {words}")) + 1 for _, words in TURNS)
    assert with_loss.loss_mask.sum() == question + answer
    assert without.loss_mask.sum() == answer
    assert without.loss_mask[-answer:].all()
