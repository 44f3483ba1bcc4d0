from typing import Any

import gymnasium as gym
import numpy as np

from gato.evaluation.policy_actor import PolicyActor
from gato.evaluation.rollout import EpisodeStart
from gato.tokenizer.elements import Elements


class Recorder:
    """Stands in for a policy and writes down how it is reset."""

    def __init__(self) -> None:
        self.resets: list[tuple[list[int], list[int], Any]] = []

    def reset(self, indices: list[int], *, seeds: list[int], prompt: Any = None) -> None:
        self.resets.append((indices, seeds, prompt))

    def act(self, observations: list[Any]) -> list[Any]:
        return [None if observation is None else observation + 1 for observation in observations]


def prompt() -> Elements:
    empty = np.zeros(0, np.int32)
    return Elements(
        tokens=empty,
        local_positions=empty,
        loss_mask=empty.astype(bool),
        changed_mask=empty.astype(bool),
        patches=np.zeros((0, 16, 16, 3), np.uint8),
        patch_indices=empty,
        patch_intervals=np.zeros((0, 4), np.int32),
        starts=np.zeros(1, np.int64),
    )


def starts(*slots_and_episodes: tuple[int, int]) -> list[EpisodeStart]:
    env: gym.Env = gym.Env()
    return [
        EpisodeStart(slot=slot, episode=episode, seed=100 + episode, env=env) for slot, episode in slots_and_episodes
    ]


def test_each_episode_starts_with_its_own_prompt_and_seed():
    policy, first, second = Recorder(), prompt(), prompt()
    PolicyActor(policy, [first, second, first, None]).reset(starts((0, 2), (3, 1), (1, 0), (2, 3)))  # type: ignore[arg-type]
    assert len(policy.resets) == 3
    by_prompt = {id(shown): (indices, seeds) for indices, seeds, shown in policy.resets}
    assert by_prompt[id(first)] == ([0, 1], [102, 100])
    assert by_prompt[id(second)] == ([3], [101])
    assert by_prompt[id(None)] == ([2], [103])


def test_without_prompts_all_slots_are_reset_at_once():
    policy = Recorder()
    actor = PolicyActor(policy)  # type: ignore[arg-type]
    actor.reset(starts((0, 4), (1, 5)))
    assert policy.resets == [([0, 1], [104, 105], None)]
    assert actor.act([1, None, 5]) == [2, None, 6]
