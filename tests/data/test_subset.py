"""Few-shot subsets: which episodes are drawn, and that no others reach a row."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from gato.config import DataConfig, PromptConfig, SourceConfig
from gato.data.episode import Episode
from gato.data.mixture import build_mixture
from gato.data.sources.minari_writer import write_minari
from gato.data.split import split_records
from gato.data.subset import best_episodes, draw_subset, open_pool

NUM_EPISODES = 20
POOL = np.arange(100, 160)
RETURNS = np.random.default_rng(0).permutation(NUM_EPISODES).astype(float)  # of the episodes below


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, SourceConfig]:
    """Two sources whose observations name their episode, of known returns, and one of text."""
    folder = tmp_path_factory.mktemp("sources")
    for name, first in (("few", 0), ("whole", 100)):
        episodes = [
            Episode(
                observations=np.full((9, 1), first + index),
                actions=np.arange(8) % 2,
                rewards=np.full(8, RETURNS[index] / 8),
                terminated=True,
                truncated=False,
            )
            for index in range(NUM_EPISODES)
        ]
        write_minari(folder / name, episodes, Box(0, 200, (1,), np.int64), Discrete(2), dataset_id=f"test/{name}-v0")
    lines = [json.dumps({"text": f"the ball {number} is red"}) for number in range(4)]
    (folder / "prose.jsonl").write_text("\n".join(lines), encoding="utf-8")
    prompt = PromptConfig(probability=1.0, max_tokens=16)
    made = {
        name: SourceConfig(name=name, kind="minari", path=str(folder / name), held_out=0.2, prompt=prompt)
        for name in ("few", "whole")
    }
    return {**made, "prose": SourceConfig(name="prose", kind="text", path=str(folder / "prose.jsonl"))}


def data_config(*sources) -> DataConfig:
    return DataConfig(sources=sources, batch_size=4, context_length=48, max_patches=4)


def episodes_in(mixture, config, num_batches: int) -> set[int]:
    """Which episodes the rows show, prompts included."""
    found = set()
    for _ in range(num_batches):
        batch = next(mixture)
        first = batch.local_positions == 0  # the observation of each timestep
        found |= set((batch.tokens[first] - config.discrete_ids.start).tolist())
    return found


def test_smaller_subsets_are_part_of_larger_ones():
    subsets = [draw_subset(POOL, count, cascade=4) for count in (1, 3, 10, 60)]
    for small, large in itertools.pairwise(subsets):
        assert np.array_equal(large[: len(small)], small)
    assert sorted(subsets[-1]) == list(POOL)
    assert np.array_equal(draw_subset(POOL, 0, cascade=4), subsets[-1])


def test_cascades_are_draws_of_their_own_and_always_the_same():
    orders = [tuple(draw_subset(POOL, 10, cascade).tolist()) for cascade in range(20)]
    assert len(set(orders)) == 20
    assert [tuple(draw_subset(POOL, 10, cascade).tolist()) for cascade in range(20)] == orders
    # Every episode is as likely: 200 draws of 60, so about 3.3 each; none is drawn by more than half of the cascades.
    counts = np.bincount(np.concatenate(orders) - 100, minlength=60)
    assert (counts > 0).sum() > 50
    assert counts.max() <= 10


def test_the_best_episodes_are_those_of_highest_return_and_of_equal_ones_the_first():
    returns = np.array([3.0, 1.0, 5.0, 3.0, 4.0, 3.0])
    assert best_episodes(returns, np.arange(6), 3).tolist() == [0, 2, 4]
    assert best_episodes(returns, np.arange(6), 4).tolist() == [0, 2, 3, 4]
    assert best_episodes(returns, np.array([1, 3, 5]), 2).tolist() == [3, 5]
    assert best_episodes(returns, np.array([1, 3]), 9).tolist() == [1, 3]


def test_a_pool_holds_the_best_of_what_is_not_held_out(sources, config):
    few = sources["few"]
    trained = split_records(NUM_EPISODES, 0.2, held_out=False)
    pool = open_pool(few, data_config(few), config, None, best=5)
    expected = sorted(trained, key=lambda index: -RETURNS[index])[:5]
    assert pool.tolist() == sorted(expected)
    assert open_pool(few, data_config(few), config, None, best=2000).tolist() == trained.tolist()


def test_a_pool_keeps_to_the_filter_of_its_source(sources, config):
    few = dataclasses.replace(sources["few"], min_return=0.5)
    pool = open_pool(few, data_config(few), config, None, best=2000)
    # The expert's return is the best mean of a tenth of the episodes: two neighbours.
    limit = 0.5 * max((left + right) / 2 for left, right in itertools.pairwise(RETURNS))
    assert set(pool.tolist()) == set(split_records(NUM_EPISODES, 0.2, held_out=False)) & set(
        np.flatnonzero(limit <= RETURNS)
    )


def test_rows_show_the_subset_alone_and_other_sources_whole(sources, config):
    data = data_config(sources["few"], sources["whole"])
    chosen = draw_subset(open_pool(sources["few"], data, config, None, best=2000), 3, cascade=0)
    mixture = build_mixture(data, config, None, seed=1, episodes={"few": chosen.tolist()})
    shown = episodes_in(mixture, config, 60)
    assert {index for index in shown if index < 100} == set(chosen.tolist())
    trained = split_records(NUM_EPISODES, 0.2, held_out=False)
    assert {index - 100 for index in shown if index >= 100} == set(trained.tolist())


def test_one_episode_has_nothing_to_prompt_it(sources, config):
    data = data_config(sources["few"])
    (chosen,) = draw_subset(open_pool(sources["few"], data, config, None, best=2000), 1, cascade=0)
    mixture = build_mixture(data, config, None, seed=1, episodes={"few": [int(chosen)]})
    batch = next(mixture)
    assert batch.lengths.tolist() == [3 * 8] * 4  # the episode itself and no demonstration
    assert episodes_in(mixture, config, 5) == {chosen}


def test_all_episodes_are_the_mixture_that_training_has(sources, config, assert_same):
    data = data_config(sources["few"], sources["whole"])
    everything = split_records(NUM_EPISODES, 0.2, held_out=False).tolist()
    few = build_mixture(data, config, None, seed=3, episodes={"few": everything})
    plain = build_mixture(data, config, None, seed=3)
    for _ in range(3):
        assert_same(next(few), next(plain))


def test_more_episodes_than_there_are_is_an_error():
    with pytest.raises(ValueError, match="a subset of 61 episodes was asked for, but there are 60"):
        draw_subset(POOL, 61, cascade=0)


def test_a_source_of_text_has_no_episodes_to_draw(sources, config, text):
    with pytest.raises(ValueError, match="prose holds no episodes"):
        open_pool(sources["prose"], data_config(sources["prose"]), config, text, best=3)
