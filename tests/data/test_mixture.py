"""The mixture: every source its share, every place in the stream a state to return to."""

import dataclasses
import json
from functools import partial

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Text

from gato.config import DataConfig, PromptConfig, SourceConfig
from gato.data.collate import make_batch
from gato.data.encoded import EncodedSource, SequenceCache, encode_episode, timestep_tokenizer
from gato.data.episode import Dialogue, Episode, ImageText
from gato.data.mixture import build_mixture, open_rows
from gato.data.returns import episode_returns, good_episodes
from gato.data.rows import ControlRows
from gato.data.sources.images import write_images
from gato.data.sources.minari import MinariSource
from gato.data.sources.minari_writer import write_minari
from gato.data.split import split_records

NUM_EPISODES = 10


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """One small source of each kind; a control observation names its episode."""
    folder = tmp_path_factory.mktemp("sources")
    episodes = [
        Episode(
            observations=np.full((9, 1), i),
            actions=np.arange(8) % 2,
            rewards=np.full(8, i / 8),
            terminated=True,
            truncated=False,
        )
        for i in range(NUM_EPISODES)
    ]
    numbers = Box(0, NUM_EPISODES - 1, (1,), np.int64)
    write_minari(folder / "control", episodes, numbers, Discrete(2), dataset_id="test/numbers-v0")
    missions = [
        dataclasses.replace(episode, observations={"mission": ["go to the ball"] * 9, "n": episode.observations})
        for episode in episodes
    ]
    rooms = Dict({"mission": Text(30), "n": numbers})
    write_minari(folder / "rooms", missions, rooms, Discrete(2), dataset_id="test/rooms-v0")
    lines = [json.dumps({"text": f"the ball {i} is next to the box {i}"}) for i in range(20)]
    (folder / "prose.jsonl").write_text("\n".join(lines), encoding="utf-8")
    turns = [{"speaker": "user", "text": "where is it?"}, {"speaker": "agent", "text": "next to the door"}]
    (folder / "talk.jsonl").write_text("\n".join([json.dumps({"turns": turns})] * 4), encoding="utf-8")
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)
    write_images(folder / "captions.zip", [ImageText(image=image, text="a red ball") for image in images])
    write_images(
        folder / "questions.zip",
        [Dialogue(image=image, turns=(("user", "what?"), ("agent", "a ball"))) for image in images],
    )
    made = {
        "control": SourceConfig(name="control", kind="minari", path=str(folder / "control"), held_out=0.2),
        "rooms": SourceConfig(name="rooms", kind="minari", path=str(folder / "rooms"), held_out=0.2),
        "prose": SourceConfig(name="prose", kind="text", path=str(folder / "prose.jsonl"), held_out=0.2),
        "talk": SourceConfig(name="talk", kind="dialogue", path=str(folder / "talk.jsonl"), held_out=0.0),
        "captions": SourceConfig(name="captions", kind="captions", path=str(folder / "captions.zip"), held_out=0.2),
        "questions": SourceConfig(name="questions", kind="questions", path=str(folder / "questions.zip"), held_out=0.2),
    }

    def choose(**weights):
        return tuple(dataclasses.replace(made[name], weight=float(weight)) for name, weight in weights.items())

    return choose


def data_config(sources, **sizes):
    return DataConfig(sources=sources, **{"batch_size": 4, "context_length": 48, "max_patches": 24, **sizes})


def take(mixture, count):
    return [next(mixture) for _ in range(count)]


def test_every_source_has_its_share_of_rows(sources, config, text):
    weights = {"control": 4, "prose": 2, "talk": 1, "captions": 2, "questions": 1}
    mixture = build_mixture(data_config(sources(**weights), batch_size=50), config, text, seed=0)
    ids = np.concatenate([batch.source_ids for batch in take(mixture, 10)])
    shares = np.array(list(weights.values())) / 10
    error = np.sqrt(len(ids) * shares * (1 - shares))
    assert (np.abs(np.bincount(ids, minlength=5) - len(ids) * shares) <= 3 * error).all()


def test_shares_hold_in_every_stretch_of_the_stream(sources, config, text):
    mixture = build_mixture(data_config(sources(control=3, prose=1), batch_size=20), config, text, seed=0)
    for batch in take(mixture, 10):
        assert abs((batch.source_ids == 1).sum() - 5) <= 1


def test_batches_are_the_rows_of_the_source_in_order(sources, config, assert_same):
    data = data_config(sources(control=1))
    source = MinariSource(data.sources[0].path, "control")
    timesteps = timestep_tokenizer(source, config, None)
    encode = partial(encode_episode, timesteps=timesteps, terminal_observation=False)
    encoded = EncodedSource(source, encode, SequenceCache(1 << 20))
    rows = ControlRows(encoded, data, config, 0, groups=source.groups, seed=3, held_out=False)
    for b, batch in enumerate(take(build_mixture(data, config, None, seed=3), 3)):
        assert_same(batch, make_batch([rows[4 * b + i] for i in range(4)], data, config))


def test_the_seed_decides_every_batch(sources, config, text, assert_same):
    data = data_config(sources(control=1, prose=1))
    first, second, other = (take(build_mixture(data, config, text, seed=seed), 5) for seed in (0, 0, 1))
    for a, b in zip(first, second, strict=True):
        assert_same(a, b)
    assert any((a.tokens != b.tokens).any() for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("num_before", [0, 1, 2, 7])
def test_a_restored_mixture_continues_as_the_unbroken_one(sources, config, text, assert_same, num_before):
    data = data_config(sources(control=2, prose=1, captions=1))
    unbroken = build_mixture(data, config, text, seed=0)
    take(unbroken, num_before)
    state = json.loads(json.dumps(unbroken.get_state()))
    expected = take(unbroken, 4)

    fresh = build_mixture(data, config, text, seed=0)
    fresh.set_state(state)
    for a, b in zip(take(fresh, 4), expected, strict=True):
        assert_same(a, b)
    # The state does not depend on how it was reached.
    assert fresh.get_state() == unbroken.get_state()


def test_a_mixture_returns_to_an_earlier_state(sources, config, text, assert_same):
    mixture = build_mixture(data_config(sources(control=1, prose=1)), config, text, seed=0)
    start = mixture.get_state()
    first = take(mixture, 2)
    later = mixture.get_state()
    second = take(mixture, 3)
    mixture.set_state(later)
    for a, b in zip(take(mixture, 3), second, strict=True):
        assert_same(a, b)
    mixture.set_state(start)
    for a, b in zip(take(mixture, 2), first, strict=True):
        assert_same(a, b)


def test_asking_for_the_state_does_not_move_the_stream(sources, config, assert_same):
    data = data_config(sources(control=1))
    asked, left_alone = (build_mixture(data, config, None, seed=0) for _ in range(2))
    for _ in range(4):
        asked.get_state()
        assert_same(next(asked), next(left_alone))


@pytest.mark.parametrize(
    "change, match",
    [
        (
            {"sources": {"prose": 1, "control": 1}},
            r"the state's sources are \['control', 'prose'\], but .*'prose', 'cont",
        ),
        ({"sources": {"control": 1}}, r"the state's sources are .* mixture \['control'\]: resume unchanged"),
        ({"batch_size": 8}, "the state's batch_size are 4, but those of this mixture 8: resume unchanged"),
        ({"seed": 5}, "the state's seed are 0, but those of this mixture 5: resume unchanged"),
    ],
    ids=["order", "fewer", "batch-size", "seed"],
)
def test_the_state_of_another_mixture_is_refused(sources, config, text, change, match):
    state = build_mixture(data_config(sources(control=1, prose=1)), config, text, seed=0).get_state()
    chosen = sources(**change.get("sources", {"control": 1, "prose": 1}))
    data = data_config(chosen, batch_size=change.get("batch_size", 4))
    other = build_mixture(data, config, text, seed=change.get("seed", 0))
    before = other.get_state()
    with pytest.raises(ValueError, match=match):
        other.set_state(state)
    assert other.get_state() == before


def test_a_state_that_says_nothing_is_refused(sources, config):
    with pytest.raises(ValueError, match="the state's sources are None"):
        build_mixture(data_config(sources(control=1)), config, None, seed=0).set_state({})


@pytest.mark.parametrize("name", ["prose", "talk", "captions", "questions"])
def test_a_source_of_text_without_a_tokenizer_is_refused(sources, config, name):
    with pytest.raises(ValueError, match=f"{name} holds text, but no text tokenizer was given"):
        build_mixture(data_config(sources(**{name: 1})), config, None, seed=0)


def test_missions_without_a_tokenizer_are_refused(sources, config):
    with pytest.raises(ValueError, match="rooms: observation/mission is Text, but there is no text tokenizer"):
        build_mixture(data_config(sources(rooms=1)), config, None, seed=0)


def test_a_config_without_sources_is_refused(config):
    with pytest.raises(ValueError, match="the data config has no sources"):
        build_mixture(DataConfig(), config, None, seed=0)


def test_a_source_that_does_not_exist_is_refused(config, tmp_path):
    source = SourceConfig(name="gone", kind="minari", path=str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError, match="gone"):
        build_mixture(data_config((source,)), config, None, seed=0)


def episodes_of(batches, config):
    """Which episodes of the control source the batches show."""
    tokens = np.concatenate([batch.tokens[batch.local_positions == 0] for batch in batches])
    return set((tokens - config.discrete_ids.start).tolist())


def test_each_side_of_the_split_shows_its_own_episodes(sources, config):
    (source,) = sources(control=1)
    never = dataclasses.replace(source, prompt=PromptConfig(probability=0.0))
    data = data_config((never,), batch_size=16)
    for held_out in (False, True):
        shown = episodes_of(take(build_mixture(data, config, None, seed=0, held_out=held_out), 12), config)
        assert shown == set(split_records(NUM_EPISODES, 0.2, held_out=held_out).tolist())


def test_training_prompts_show_no_held_out_episode(sources, config):
    (source,) = sources(control=1)
    always = dataclasses.replace(source, prompt=PromptConfig(probability=1.0))
    shown = episodes_of(take(build_mixture(data_config((always,)), config, None, seed=0), 40), config)
    assert shown == set(split_records(NUM_EPISODES, 0.2, held_out=False).tolist())


def test_a_source_with_nothing_held_out_is_left_out_but_keeps_its_place(sources, config, text):
    chosen = sources(talk=5, control=1, prose=1)
    mixture = build_mixture(data_config(chosen), config, text, seed=0, held_out=True)
    assert mixture.source_names == ("talk", "control", "prose")
    assert {int(i) for batch in take(mixture, 10) for i in batch.source_ids} == {1, 2}


def test_held_out_rows_of_nothing_held_out_are_refused(sources, config, text):
    with pytest.raises(ValueError, match="no source holds anything out: set held_out above 0"):
        build_mixture(data_config(sources(talk=1)), config, text, seed=0, held_out=True)


def test_a_terminal_observation_is_shown_in_prompts_only(sources, config):
    (source,) = sources(control=1)
    prompt = PromptConfig(probability=1.0, end_share=1.0, max_tokens=12, terminal_observation=True)
    data = data_config((dataclasses.replace(source, prompt=prompt),))
    for batch in take(build_mixture(data, config, None, seed=0), 5):
        for tokens in batch.tokens:
            # Observation, separator, action: only where the action is missing do separators follow at a distance of 2.
            # Prompts are three timesteps and the last observation, 11 tokens.
            distances = np.diff(np.flatnonzero(tokens == config.separator_id))
            assert np.flatnonzero(distances == 2).tolist() == [3]


def test_poor_episodes_are_left_out_by_the_paper_s_rule(sources, config):
    source = dataclasses.replace(sources(control=1)[0], held_out=0.0)
    opened = MinariSource(source.path, "control")
    returns = np.array([opened[index].episode_return for index in range(len(opened))])
    assert np.allclose(opened.episode_returns(), returns)
    assert np.allclose(episode_returns(opened), returns)
    expected = good_episodes(returns, 0.5)
    assert 0 < expected.sum() < len(opened)
    data = data_config((dataclasses.replace(source, min_return=0.5),))
    rows = open_rows(data, 0, config, None, SequenceCache(1 << 20), 0, False)
    assert rows.records.tolist() == np.flatnonzero(expected).tolist()


def test_text_has_no_returns_to_filter_by(sources, config, text):
    (source,) = sources(prose=1)
    with pytest.raises(ValueError, match="prose holds no episodes: leave min_return out"):
        build_mixture(data_config((dataclasses.replace(source, min_return=0.8),)), config, text, seed=0)


@pytest.mark.parametrize("count", [2, 4])
def test_processes_share_what_one_would_have_read(sources, config, text, assert_same, count):
    """Row for row, in order, and also where the stream is taken up by another number of processes."""
    data = data_config(sources(control=2, prose=1, captions=1))
    alone = build_mixture(data, config, text, seed=0)
    take(alone, 2)
    state = alone.get_state()
    together = [
        build_mixture(data, config, text, seed=0, process_index=index, process_count=count) for index in range(count)
    ]
    for mixture in together:
        mixture.set_state(state)
    for whole in take(alone, 3):
        parts = [next(mixture) for mixture in together]
        for row in range(data.batch_size):
            part = parts[row % count]
            assert np.array_equal(part.tokens[row // count], whole.tokens[row])
            assert part.source_ids[row // count] == whole.source_ids[row]
    assert all(mixture.get_state() == alone.get_state() for mixture in together)


@pytest.mark.parametrize("index, count", [(0, 3), (2, 2), (-1, 2)])
def test_a_batch_that_cannot_be_shared_is_refused(sources, config, index, count):
    with pytest.raises(ValueError, match=f"process {index} of {count} cannot share a batch of 4 rows"):
        build_mixture(data_config(sources(control=1)), config, None, seed=0, process_index=index, process_count=count)


def test_a_high_temperature_evens_the_shares_out(sources, config, text):
    """Weights 9 and 1 at temperature 2 are 3 and 1."""
    data = data_config(sources(control=9, prose=1), batch_size=40, weight_temperature=2.0)
    ids = np.concatenate([batch.source_ids for batch in take(build_mixture(data, config, text, seed=0), 10)])
    assert abs(ids.mean() - 0.25) < 0.01
