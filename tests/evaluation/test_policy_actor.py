from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np

from gato.evaluation.policy_actor import PolicyActor
from gato.evaluation.rollout import EpisodeJob, EpisodeStart
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


def prompt(token: int = 0) -> TokenSequence:
    return TokenSequence(
        tokens=np.array([token], np.int32),
        local_positions=np.zeros(1, np.int32),
        loss_mask=np.zeros(1, bool),
        changed_mask=np.zeros(1, bool),
        patches=np.zeros((0, 16, 16, 3), np.uint8),
        patch_indices=np.zeros(0, np.int32),
        patch_intervals=np.zeros((0, 4), np.int32),
        starts=np.array([0, 1]),
    )


def start(slot: int, seed: int = 0, shown: TokenSequence | None = None, task: Any = None) -> EpisodeStart:
    job = EpisodeJob(make_env=gym.Env, seed=seed, task=task, prompt=lambda: shown)
    return EpisodeStart(slot=slot, job=job, env=gym.Env())


def test_each_episode_starts_with_its_own_prompt_and_seed():
    policy, first, second = Recorder(), prompt(1), prompt(2)
    starts = [start(0, 102, first), start(3, 101, second), start(1, 100, first), start(2, 103)]
    PolicyActor(policy).reset(starts)  # type: ignore[arg-type]
    assert policy.resets == [([0, 1], [102, 100], first), ([3], [101], second), ([2], [103], None)]


def test_equal_prompts_are_one_whatever_object_holds_them():
    policy = Recorder()
    PolicyActor(policy).reset([start(slot, slot, prompt(slot % 2)) for slot in range(4)])  # type: ignore[arg-type]
    assert [(slots, int(shown.tokens[0])) for slots, _, shown in policy.resets] == [([0, 2], 0), ([1, 3], 1)]


def test_a_prompt_is_made_when_its_episode_begins():
    made = []
    jobs = [EpisodeJob(make_env=gym.Env, seed=seed, prompt=lambda seed=seed: made.append(seed)) for seed in range(3)]
    actor = PolicyActor(Recorder())  # type: ignore[arg-type]
    assert made == []
    actor.reset([EpisodeStart(slot=1, job=jobs[2], env=gym.Env())])
    assert made == [2]


def test_without_prompts_all_slots_are_reset_at_once():
    policy = Recorder(num_envs=3)
    actor = PolicyActor(policy)  # type: ignore[arg-type]
    jobs = [EpisodeJob(make_env=gym.Env, seed=seed) for seed in (104, 105)]
    actor.reset([EpisodeStart(slot=slot, job=job, env=gym.Env()) for slot, job in enumerate(jobs)])
    assert policy.resets == [([0, 1], [104, 105], None)]
    assert actor.act([1, None, 5]) == [2, None, 6]
    assert policy.assigned == []


def test_a_slot_is_assigned_when_its_task_changes():
    @dataclass(frozen=True, kw_only=True)
    class Named:
        name: str
        observation_space: gym.Space
        action_space: gym.Space
        source: str

    policy = Recorder()
    numbers = Named(
        name="a", observation_space=gym.spaces.Discrete(2), action_space=gym.spaces.Discrete(3), source="numbers"
    )
    vectors = Named(name="b", observation_space=gym.spaces.Box(0, 1), action_space=gym.spaces.Discrete(5), source="")
    actor = PolicyActor(policy)  # type: ignore[arg-type]
    actor.reset([start(0, task=numbers), start(1, task=replace(numbers)), start(2, task=vectors)])
    assert [(slots, source) for slots, _, _, source in policy.assigned] == [([0, 1], "numbers"), ([2], "")]
    actor.reset([start(2, task=vectors), start(0, task=vectors)])  # slot 2 keeps its task
    assert policy.assigned[2:] == [([0], vectors.observation_space, vectors.action_space, "")]
    actor.reset([start(0, task=numbers)])
    assert policy.assigned[3:] == [([0], numbers.observation_space, numbers.action_space, "numbers")]
    actor.reset([start(2, task=vectors), start(1, task=numbers)])
    assert len(policy.assigned) == 4


def test_slots_beyond_the_rollout_idle_and_determinism_is_passed_on():
    policy = Recorder(num_envs=3)
    assert PolicyActor(policy, deterministic=True).act([4]) == [5]  # type: ignore[arg-type]
    assert policy.deterministic == [True]


def test_prompts_are_pinned_or_slide_as_asked():
    policy = Recorder(pinned=False)
    PolicyActor(policy, pinned=False).reset([start(0, shown=prompt())])  # type: ignore[arg-type]
    assert len(policy.resets) == 1
