"""Spans of continuous numbers: measured on training episodes only, once, and the same for whoever encodes."""

import dataclasses
import json

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Text

from gato.config import DataConfig, FieldScale, SourceConfig
from gato.data.encoded import SequenceCache, encoding_of
from gato.data.episode import Episode
from gato.data.mixture import build_mixture
from gato.data.opened import open_encoded
from gato.data.prepared import write_prepared
from gato.data.scaling import measure, span, with_scales
from gato.data.sources.memory import MemoryControlSource
from gato.data.sources.minari_writer import write_minari
from gato.data.split import split_records

OBSERVATIONS = Dict({"camera": Box(0, 255, (4, 4, 3), np.uint8), "goal": Text(9), "n": Box(-np.inf, np.inf, (2,))})
ACTIONS = Box(-1, 1, (1,))
FIELDS = (FieldScale(path="observation/n", low=(0, 0), high=(1, 1)),)


def make_episode(number, *, length=10, reward=1.0):
    """The first number is that of the episode, the second stays 7; actions go from -0.5 to 0.5."""
    n = np.full((length + 1, 2), 7, np.float32)
    n[:, 0] = number
    n[-1] = 1e6  # what follows the last action is nothing that the agent acts on
    camera = np.zeros((length + 1, 4, 4, 3), np.uint8)
    return Episode(
        observations={"camera": camera, "goal": ["a"] * (length + 1), "n": n},
        actions=np.linspace(-0.5, 0.5, length, dtype=np.float32)[:, None],
        rewards=np.full(length, reward),
        terminated=True,
        truncated=False,
    )


class Watched:
    """Episodes that write down which of them are read."""

    name = "toy"
    observation_space, action_space = OBSERVATIONS, ACTIONS

    def __init__(self, episodes):
        self._episodes, self.read, self.groups = episodes, set(), np.zeros(len(episodes), np.int64)

    def __len__(self):
        return len(self._episodes)

    def __getitem__(self, index):
        self.read.add(index)
        if isinstance(self._episodes[index], str):
            raise ValueError(f"toy: episode {index}: {self._episodes[index]}")
        return self._episodes[index]


def scaled(**more):
    defaults = {"name": "toy", "kind": "minari", "path": "", "scaling": "range", "held_out": 0.25}
    return SourceConfig(**{**defaults, **more})


def test_spans_by_hand():
    values = np.stack([np.arange(101.0), np.full(101, 3.0), np.eye(101)[50] * 5, -np.arange(101.0)], axis=1)
    np.testing.assert_array_equal(span(values, "range"), [[0, 3, 0, -100], [100, 3, 5, 0]])
    # A contact in one of 101 steps lies beyond both quantiles; its range is taken, or it could not be told at all.
    np.testing.assert_allclose(span(values, "quantiles"), [[1, 3, 0, -99], [99, 3, 5, -1]])


def test_extremes_stand_in_for_those_of_a_sample():
    extremes = np.array([[-1.0], [9.0]])
    np.testing.assert_array_equal(span(np.full((5, 1), 2.0), "quantiles", extremes), extremes)


def test_each_continuous_leaf_is_measured_and_nothing_else(config, text):
    numbers, actions = measure(Watched([make_episode(i) for i in range(8)]), scaled(held_out=0), config, text).fields
    assert numbers == FieldScale(path="observation/n", low=(0, 7), high=(7, 7))
    assert actions == FieldScale(path="action", low=(-0.5,), high=(0.5,))


def test_held_out_episodes_are_never_read(config, text):
    episodes = Watched([make_episode(i) for i in range(20)])
    measured = measure(episodes, scaled(), config, text)
    trained = split_records(20, 0.25, held_out=False)
    assert episodes.read == set(trained.tolist())
    assert (measured.fields[0].low[0], measured.fields[0].high[0]) == (trained.min(), trained.max())


def test_episodes_that_min_return_leaves_out_do_not_count(config, text):
    episodes = Watched([make_episode(i, reward=float(i % 2)) for i in range(9)])
    assert measure(episodes, scaled(held_out=0, min_return=0.8), config, text).fields[0].low[0] == 1


def test_of_many_episodes_some_are_read_from_the_first_to_the_last(config, text):
    episodes = Watched([make_episode(i) for i in range(60)])
    measured = measure(episodes, scaled(held_out=0), config, text, max_episodes=4)
    assert episodes.read == {0, 19, 39, 59}
    assert measured.fields[0].high[0] == 59


def test_quantiles_are_those_of_all_timesteps(config, text):
    """Ten of 1,000 timesteps lie far away: within the range, beyond the quantiles."""
    episodes = Watched([make_episode(i if i < 99 else 5000) for i in range(100)])
    by_range, by_quantiles = (
        measure(episodes, scaled(scaling=rule, held_out=0), config, text).fields[0] for rule in ("range", "quantiles")
    )
    assert (by_range.low[0], by_range.high[0]) == (0, 5000)
    every = np.repeat([*range(99), 5000], 10)
    np.testing.assert_allclose([by_quantiles.low[0], by_quantiles.high[0]], np.quantile(every, [0.01, 0.99]))
    assert (by_quantiles.low[1], by_quantiles.high[1]) == (7, 7)


def test_a_thinned_sample_gives_about_the_quantiles_and_every_value_counts_for_the_range(config, text):
    plain, spiked = make_episode(1, length=40_000), make_episode(1, length=40_000)
    spiked.observations["n"][[123, 456], 0] = 50, -50
    episodes = Watched([plain] * 9 + [spiked])
    by_range = measure(episodes, scaled(held_out=0), config, text).fields
    assert (by_range[0].low[0], by_range[0].high[0]) == (-50, 50)
    first, again = (measure(episodes, scaled(scaling="quantiles", held_out=0), config, text).fields for _ in range(2))
    assert first == again
    assert (first[0].low, first[0].high) == ((-50, 7), (50, 7))  # nearly always 1: the range stands in
    np.testing.assert_allclose([first[1].low[0], first[1].high[0]], [-0.49, 0.49], atol=0.002)


def test_what_is_measured_already_or_asks_for_nothing_is_left_alone(config, text):
    for source in (SourceConfig(name="a", kind="minari", path="nowhere"), scaled(path="nowhere", fields=FIELDS)):
        assert with_scales(DataConfig(sources=(source,)), config, text).sources == (source,)


def test_bad_episodes_stop_the_measurement_or_are_skipped(config, text):
    broken = make_episode(3)
    broken.observations["n"][2, 0] = np.nan
    for bad, message in (("torn", "toy: episode 3: torn"), (broken, "episode 3: observation/n holds numbers that are")):
        episodes = Watched([make_episode(i) if i != 3 else bad for i in range(5)])
        with pytest.raises(ValueError, match=message):
            measure(episodes, scaled(held_out=0), config, text)
        kept = measure(episodes, scaled(held_out=0, bad_records="skip"), config, text)
        assert (kept.fields[0].low[0], kept.fields[0].high[0]) == (0, 4)
    with pytest.raises(ValueError, match="none of its episodes can be used"):
        measure(Watched(["torn", "torn"]), scaled(bad_records="skip"), config, text)


def test_sources_that_cannot_be_scaled_are_refused(config, text, tmp_path):
    discrete = MemoryControlSource(
        [
            Episode(
                observations=np.zeros(3, int),
                actions=np.zeros(2, int),
                rewards=np.zeros(2),
                terminated=True,
                truncated=False,
            )
        ],
        "moves",
        observation_space=Discrete(2),
        action_space=Discrete(2),
    )
    with pytest.raises(ValueError, match="scaling is 'range', but its spaces hold no continuous numbers"):
        measure(discrete, scaled(), config, text)
    (tmp_path / "prose.txt").write_text("a ball")
    for kind, message in (("text", "holds no episodes: leave scaling out"), ("prepared", "no numbers left to measure")):
        source = scaled(kind=kind, path=str(tmp_path / "prose.txt"))
        with pytest.raises(ValueError, match=message):
            with_scales(DataConfig(sources=(source,)), config, text)
    with pytest.raises(ValueError, match="toy holds no episodes: leave scaling and fields out"):
        opened(dataclasses.replace(source, kind="text", fields=FIELDS), config, None)


def opened(source, config, text):
    return open_encoded(source, DataConfig(sources=(source,)), config, text, SequenceCache(0), with_returns=False)


@pytest.fixture
def source(tmp_path):
    episodes = [make_episode(i / 10) for i in range(12)]
    write_minari(tmp_path / "toy", episodes, OBSERVATIONS, ACTIONS, dataset_id="test/toy-v0")
    return scaled(path=str(tmp_path / "toy"))


def test_measured_spans_decide_the_tokens(source, config, text):
    data = with_scales(DataConfig(sources=(source,)), config, text)
    scales = {scale.path: scale for scale in data.sources[0].fields}
    encoded, _ = opened(data.sources[0], config, text)
    low, high = scales["observation/n"].low[0], scales["observation/n"].high[0]
    for index, first in enumerate(np.float32(i / 10) for i in range(12)):
        start = len(text.encode("a")) + 1  # a patch, the text, then the numbers
        bins = encoded[index].tokens[start : start + 2] - config.continuous_ids.start
        expected = min(max(int((first - low) / (high - low) * config.num_bins), 0), config.num_bins - 1)
        assert bins.tolist() == [expected, 512]


def test_a_source_that_was_not_measured_is_refused(source, config, text):
    with pytest.raises(ValueError, match="toy: scaling is 'range', but its fields were not measured"):
        opened(source, config, text)


def test_prepared_sources_keep_their_spans_and_refuse_others(source, config, text, tmp_path, assert_same):
    data = with_scales(DataConfig(sources=(source,), batch_size=2, context_length=40, max_patches=16), config, text)
    (measured,) = data.sources
    encoded, facts = opened(measured, config, text)
    encoding = encoding_of(data, config, text, terminal_observation=False, fields=measured.fields)
    write_prepared(tmp_path / "kept", encoded, facts, encoding)
    kept = dataclasses.replace(measured, kind="prepared", path=str(tmp_path / "kept"))
    fresh = build_mixture(data, config, text, seed=0)
    cached = build_mixture(dataclasses.replace(data, sources=(kept,)), config, text, seed=0)
    for _ in range(3):
        assert_same(next(cached), next(fresh))
    other = dataclasses.replace(measured.fields[0], high=(50.0, 51.0))
    unscaled = dataclasses.replace(kept, scaling="mu-law", fields=())
    for wrong in (dataclasses.replace(kept, fields=(other, *measured.fields[1:])), unscaled):
        with pytest.raises(ValueError, match=r"toy was prepared with fields \[\{'path': .* instead of \["):
            opened(wrong, config, text)
    assert json.loads((tmp_path / "kept" / "manifest.json").read_text())["encoding"]["fields"][0]["high"] != [50, 51]


def write_numbers(folder, name, values):
    """A source whose only number takes these values, in one episode of each; its actions span -0.5 to 0.5."""
    space = Box(-np.inf, np.inf, (1,), np.float32)
    episodes = [
        Episode(
            observations=np.full((4, 1), value, np.float32),
            actions=np.array([[-0.5], [0], [0.5]], np.float32),
            rewards=np.ones(3),
            terminated=True,
            truncated=False,
        )
        for value in values
    ]
    write_minari(folder / name, episodes, space, ACTIONS, dataset_id="test/numbers-v0")
    return SourceConfig(
        name=name, kind="minari", path=str(folder / name), scaling="range", scaled_with="arm", held_out=0.0
    )


def test_sources_that_share_a_scale_have_the_span_of_them_all(tmp_path, config):
    low, high = write_numbers(tmp_path, "low", [-3, 1]), write_numbers(tmp_path, "high", [0, 5])
    alone = dataclasses.replace(low, name="alone", scaled_with="")
    data = with_scales(DataConfig(sources=(low, alone, high)), config, None)
    fields = {source.name: {scale.path: (scale.low, scale.high) for scale in source.fields} for source in data.sources}
    assert fields["low"] == fields["high"] == {"observation": ((-3.0,), (5.0,)), "action": ((-0.5,), (0.5,))}
    assert fields["alone"]["observation"] == ((-3.0,), (1.0,))
    assert [source.name for source in data.sources] == ["low", "alone", "high"]
    named = dataclasses.replace(high, scaled_with="alone")  # after a source, which needs to say nothing
    pair = with_scales(DataConfig(sources=(alone, named)), config, None).sources
    assert pair[0].fields == pair[1].fields == data.sources[0].fields
    # One that joins them later takes what they brought, whatever it holds.
    later = write_numbers(tmp_path, "later", [100])
    joined = with_scales(DataConfig(sources=(*data.sources, later)), config, None)
    assert joined.sources[-1].fields == data.sources[0].fields


def test_sources_that_cannot_share_a_scale_are_refused(tmp_path, config):
    one, other = write_numbers(tmp_path, "one", [0, 1]), write_numbers(tmp_path, "other", [2, 3])
    measured = [
        with_scales(DataConfig(sources=(dataclasses.replace(source, scaled_with=""),)), config, None).sources[0]
        for source in (one, other)
    ]
    brought = tuple(dataclasses.replace(source, scaled_with="arm") for source in measured)
    with pytest.raises(ValueError, match="sources one and other share the scale 'arm', but bring different fields"):
        with_scales(DataConfig(sources=brought), config, None)
    with pytest.raises(ValueError, match=r"share the scale 'arm' have the scalings \['quantiles', 'range'\]"):
        DataConfig(sources=(one, dataclasses.replace(other, scaling="quantiles")))
    with pytest.raises(ValueError, match="scaled_with is 'arm', but scaling is 'mu-law'"):
        dataclasses.replace(one, scaling="mu-law")
    wider = tmp_path / "wider"
    episode = Episode(
        observations=np.zeros((2, 2), np.float32),
        actions=np.zeros((1, 1), np.float32),
        rewards=np.ones(1),
        terminated=True,
        truncated=False,
    )
    write_minari(wider, [episode], Box(-1, 1, (2,), np.float32), ACTIONS, dataset_id="test/wider-v0")
    third = dataclasses.replace(one, name="wider", path=str(wider))
    with pytest.raises(ValueError, match="'one' and 'wider' share the scale 'arm', but hold different numbers"):
        with_scales(DataConfig(sources=(one, third)), config, None)
