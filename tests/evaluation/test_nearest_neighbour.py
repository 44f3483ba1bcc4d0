import functools
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from gato.config import TokenizerConfig
from gato.data.episode import Episode
from gato.evaluation.nearest_neighbour import Memory, NearestNeighbourActor
from gato.evaluation.rollout import EpisodeJob, play_jobs
from gato.tokenizer.tree import flatten, leaf_spaces

TOKENIZER = TokenizerConfig()
NUMBERS = spaces.Box(-np.inf, np.inf, (2,), np.float32)
MOVES = spaces.Discrete(100)


def episode(observations: Any, actions: Any, mask: list[bool] | None = None) -> Episode:
    return Episode(
        observations=observations,
        actions=np.array(actions),
        rewards=np.zeros(len(actions)),
        terminated=True,
        truncated=False,
        action_mask=None if mask is None else np.array(mask),
    )


def memory(space: gym.Space, *episodes: Episode, actions: gym.Space = MOVES) -> Memory:
    return Memory(space, actions, episodes, TOKENIZER)


def numbers(*rows: tuple[float, float]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_what_was_seen_is_answered_by_what_was_done_there():
    seen = numbers((0, 0), (1, 3), (2, -3), (3, 9))
    found = memory(NUMBERS, episode(seen, [10, 11, 12, 13]))
    assert [found.action(found.nearest(row)) for row in seen] == [10, 11, 12, 13]


def test_numbers_count_in_standard_deviations_of_their_own_token():
    # The first token spreads over thousands, the second over thousandths: unscaled, only the first would count.
    found = memory(NUMBERS, episode(numbers((-1000, 0.001), (1000, -0.001)), [0, 1]))
    assert found.action(found.nearest(np.array([-100, -0.001], np.float32))) == 1
    assert found.action(found.nearest(np.array([-1100, -0.0001], np.float32))) == 0


def test_an_token_that_never_varied_tells_nothing_and_overflows_nothing():
    found = memory(NUMBERS, episode(numbers((5, 0), (5, 1), (5, 2)), [0, 1, 2]))
    assert found.action(found.nearest(np.array([-1e30, 1.1], np.float32))) == 1
    assert found.action(found.nearest(np.array([5, 3e38], np.float32))) == 2


def test_of_equally_near_timesteps_the_next_of_the_replayed_episode_is_taken():
    # Both episodes stand still: four timesteps that look alike, with the actions 0 and 1, then 2 and 3.
    still = numbers((0, 0), (0, 0))
    found = memory(NUMBERS, episode(still, [0, 1]), episode(still, [2, 3]))
    query = np.zeros(2, np.float32)
    assert found.nearest(query) == 0
    assert found.nearest(query, last=0) == 1
    assert found.nearest(query, last=1) == 0  # nothing of that episode is still to come
    assert found.nearest(query, last=2) == 3


def test_a_nearer_timestep_of_another_episode_beats_the_continuation():
    found = memory(NUMBERS, episode(numbers((0, 0), (1, 1)), [0, 1]), episode(numbers((2, 2)), [2]))
    assert found.nearest(np.array([1.9, 1.9], np.float32), last=0) == 2


def test_actions_that_are_not_to_be_imitated_are_never_replayed():
    found = memory(NUMBERS, episode(numbers((0, 0), (1, 1), (2, 2)), [0, 1, 2], [True, False, True]))
    assert len(found) == 2
    assert found.action(found.nearest(np.array([1.1, 1.1], np.float32))) == 2
    assert found.action(found.nearest(np.array([0.9, 0.9], np.float32))) == 0
    with pytest.raises(ValueError, match="no timestep whose action is to be imitated"):
        memory(NUMBERS, episode(numbers((0, 0)), [0], [False]))


def test_discrete_values_are_equal_or_not_and_leaves_weigh_the_same():
    space = spaces.Dict({"grid": spaces.MultiDiscrete([9] * 4), "way": spaces.Discrete(3)})
    seen = {"grid": np.array([[0, 0, 0, 0], [8, 8, 8, 8]]), "way": np.array([0, 1])}
    found = memory(space, episode(seen, [0, 1]))
    # 7 is no nearer to 8 than to 0. Three of four entries say 0, the direction says 1: .25 against .75 + 1.
    assert found.nearest({"grid": np.array([0, 0, 0, 7]), "way": 0}) == 0
    assert found.nearest({"grid": np.array([7, 7, 7, 7]), "way": 1}) == 1
    assert found.nearest({"grid": np.array([0, 0, 0, 8]), "way": 1}) == 1  # .75 against .25 + 1


def test_an_instruction_outweighs_a_picture_that_hardly_differs():
    space = spaces.Dict({"image": spaces.Box(0, 255, (32, 32, 3), np.uint8), "mission": spaces.Text(20)})
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (2, 32, 32, 3)).astype(np.uint8)
    found = memory(space, episode({"image": np.stack([*frames, frames[0]]), "mission": ["a", "b", "b"]}, [0, 1, 2]))
    nearly = frames[0].copy()
    nearly[0, 0] += 9
    assert found.action(found.nearest({"image": nearly, "mission": "a"})) == 0
    assert found.action(found.nearest({"image": nearly, "mission": "b"})) == 2
    assert found.action(found.nearest({"image": nearly, "mission": "never heard"})) == 0


def test_pictures_are_compared_by_block_averages_whatever_their_size():
    # 33 rows and 20 columns of blocks of 3: the last block is cut off.
    space = spaces.Box(0, 255, (33, 20, 1), np.uint8)
    dark, light = np.zeros((33, 20, 1), np.uint8), np.zeros((33, 20, 1), np.uint8)
    light[30:, 18:] = 200
    found = memory(space, episode(np.stack([dark, light]), [0, 1]))
    assert [found.nearest(dark), found.nearest(light)] == [0, 1]
    swapped = np.zeros((33, 20, 1), np.uint8)
    swapped[0:3, 0:3] = 200  # the first block does not vary in the demonstrations, but the query is as far from both
    assert found.nearest(swapped) == 0
    within = dark.copy()
    within[30:, 18] = 250  # an average of 125 over the block: nearer to 200 than to 0
    assert found.nearest(within) == 1


def test_a_block_that_hardly_changes_is_not_magnified():
    space = spaces.Box(0, 255, (16, 16, 1), np.uint8)
    frames = np.zeros((3, 16, 16, 1), np.uint8)
    frames[:, 0, 0, 0] = 0, 200, 60
    frames[:, 9, 9, 0] = 0, 1, 1  # of its own spread, this is all that there can be
    found = memory(space, episode(frames[:2], [0, 1]))
    assert found.action(found.nearest(frames[2])) == 0


def test_the_nearest_is_the_one_that_a_plain_computation_finds():
    rng = np.random.default_rng(1)
    space = spaces.Dict({"a": spaces.Box(-np.inf, np.inf, (3,)), "b": spaces.Box(-np.inf, np.inf, (2, 2))})
    seen = {"a": rng.normal(3, 7, (400, 3)), "b": rng.normal(0, 0.01, (400, 2, 2))}
    found = memory(space, episode(seen, np.arange(400) % 100))
    for _ in range(50):
        query = {"a": rng.normal(3, 7, 3), "b": rng.normal(0, 0.01, (2, 2))}
        distance = sum(
            (((query[key] - seen[key]) / seen[key].std(axis=0)) ** 2).reshape(400, -1).mean(axis=1) for key in seen
        )
        assert found.nearest(query) == int(np.argmin(distance))


def test_actions_come_back_as_members_of_their_space():
    space = spaces.Dict({"arm": spaces.Box(-1, 1, (2,), np.float32), "say": spaces.Text(5), "grip": spaces.Discrete(2)})
    done = {"arm": np.array([[0.5, 1.0]], np.float32), "say": ["hello"], "grip": np.array([1])}
    one = Episode(observations=numbers((0, 0)), actions=done, rewards=np.zeros(1), terminated=True, truncated=False)
    action = Memory(NUMBERS, space, [one], TOKENIZER).action(0)
    assert action in space
    assert [path for path, _ in leaf_spaces(space, "x")] == ["x/arm", "x/grip", "x/say"]
    assert flatten(space, action, "x")[1:] == [1, "hello"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(value):
    with pytest.raises(ValueError, match="observation holds numbers that are not finite"):
        memory(NUMBERS, episode(numbers((0, value)), [0]))
    with pytest.raises(ValueError, match="not finite"):
        memory(NUMBERS, episode(numbers((0, 0)), [0])).nearest(np.array([0, value], np.float32))


def test_a_space_that_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="observation is Sequence, expected Discrete"):
        memory(spaces.Sequence(spaces.Discrete(2)), episode(np.zeros(1), [0]))


class Corridor(gym.Env):
    """Ten cells, seen by their number; left and right. The start depends on the seed, the end is cell 9."""

    observation_space = spaces.Discrete(10)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.cell = int(self.np_random.integers(9))
        return self.cell, {}

    def step(self, action: Any):
        self.cell = min(max(self.cell + (1 if action == 1 else -1), 0), 9)
        return self.cell, float(self.cell == 9), self.cell == 9, False, {}


@pytest.mark.parametrize("num_envs", [1, 3])
def test_replay_solves_what_its_demonstrations_cover_whatever_is_played_beside_it(num_envs):
    right = memory(Corridor.observation_space, episode(np.arange(10), [1] * 9), actions=Corridor.action_space)
    asked = []

    def prompt(seed: int) -> Memory:
        asked.append(seed)
        return right

    jobs = [EpisodeJob(make_env=Corridor, seed=seed, prompt=functools.partial(prompt, seed)) for seed in range(6)]
    played = [done for _, done in play_jobs(jobs, NearestNeighbourActor(), num_envs=num_envs)]
    assert [len(done.episode) for done in played] == [9 - int(done.episode.observations[0]) for done in played]
    assert sorted(asked) == list(range(6))
