from typing import Any

import gymnasium as gym
import numpy as np

from gato.evaluation.policy_actor import Interface, PolicyActor
from gato.evaluation.rollout import EpisodeStart
from gato.tokenizer.sequence import TokenSequence


class Recorder:
    """Stands in for a policy and writes down how it is reset."""

    def __init__(self, num_envs: int = 4, pinned: bool = True) -> None:
        self.pinned = pinned
        self.num_envs = num_envs
        self.resets: list[tuple[list[int], list[int], Any]] = []
        self.assigned: list[tuple[list[int], Any, Any, str | None]] = []
        self.deterministic: list[bool] = []

    def reset(self, indices: list[int], *, seeds: list[int], prompt: Any = None, pinned: bool = True) -> None:
        assert pinned == self.pinned
        self.resets.append((indices, seeds, prompt))

    def assign(self, indices: list[int], observation_space: Any, action_space: Any, *, source: str | None) -> None:
        self.assigned.append((indices, observation_space, action_space, source))

    def act(self, observations: list[Any], *, deterministic: bool) -> list[Any]:
        assert len(observations) == self.num_envs
        self.deterministic.append(deterministic)
        return [None if observation is None else observation + 1 for observation in observations]


def prompt() -> TokenSequence:
    empty = np.zeros(0, np.int32)
    return TokenSequence(
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
    PolicyActor(policy, [first, second, first, None].__getitem__).reset(starts((0, 2), (3, 1), (1, 0), (2, 3)))  # type: ignore[arg-type]
    assert len(policy.resets) == 3
    by_prompt = {id(shown): (indices, seeds) for indices, seeds, shown in policy.resets}
    assert by_prompt[id(first)] == ([0, 1], [102, 100])
    assert by_prompt[id(second)] == ([3], [101])
    assert by_prompt[id(None)] == ([2], [103])


def test_without_prompts_all_slots_are_reset_at_once():
    policy = Recorder(num_envs=3)
    actor = PolicyActor(policy)  # type: ignore[arg-type]
    actor.reset(starts((0, 4), (1, 5)))
    assert policy.resets == [([0, 1], [104, 105], None)]
    assert actor.act([1, None, 5]) == [2, None, 6]
    assert policy.assigned == []


def test_a_slot_is_assigned_when_its_task_changes():
    policy = Recorder()
    numbers = Interface(observation_space=gym.spaces.Discrete(2), action_space=gym.spaces.Discrete(3), source="numbers")
    vectors = Interface(observation_space=gym.spaces.Box(0, 1), action_space=gym.spaces.Discrete(5), source="")
    interfaces = [numbers, numbers, vectors, vectors, vectors, numbers]
    actor = PolicyActor(policy, interface_of=interfaces.__getitem__)  # type: ignore[arg-type]
    actor.reset(starts((0, 0), (1, 1), (2, 2)))
    assert [(slots, source) for slots, _, _, source in policy.assigned] == [([0, 1], "numbers"), ([2], "")]
    actor.reset(starts((2, 3), (0, 4)))  # slot 2 keeps its task
    assert policy.assigned[2:] == [([0], vectors.observation_space, vectors.action_space, "")]
    actor.reset(starts((0, 5)))
    assert policy.assigned[3:] == [([0], numbers.observation_space, numbers.action_space, "numbers")]
    actor.reset(starts((2, 4), (1, 1)))
    assert len(policy.assigned) == 4


def test_slots_beyond_the_rollout_idle_and_determinism_is_passed_on():
    policy = Recorder(num_envs=3)
    assert PolicyActor(policy, deterministic=True).act([4]) == [5]  # type: ignore[arg-type]
    assert policy.deterministic == [True]


def test_prompts_are_pinned_or_slide_as_asked():
    policy = Recorder(pinned=False)
    PolicyActor(policy, [prompt()].__getitem__, pinned=False).reset(starts((0, 0)))  # type: ignore[arg-type]
    assert len(policy.resets) == 1
