"""Environments in worker processes behave as they do here."""

import functools
import os
from collections.abc import Iterator

import gymnasium as gym
import numpy as np
import pytest

from gato.evaluation.actors import RandomActor
from gato.evaluation.remote_env import EnvWorkers, RemoteEnv
from gato.evaluation.rollout import EpisodeJob, Rollout, play_jobs

MAKE = functools.partial(gym.make, "Taxi-v4", max_episode_steps=12, render_mode="rgb_array")
LOCAL = MAKE()


@pytest.fixture(scope="module")
def workers() -> Iterator[EnvWorkers]:
    with EnvWorkers(2) as started:
        yield started


def remote(workers: EnvWorkers) -> RemoteEnv:
    return workers.make(MAKE, LOCAL.observation_space, LOCAL.action_space)


def play(make, num_envs: int) -> dict[int, Rollout]:
    jobs = [EpisodeJob(make_env=make, seed=seed, keep_frames=seed == 3) for seed in range(8)]
    return dict(play_jobs(jobs, RandomActor(LOCAL.action_space), num_envs=num_envs, noise=(0.2, 0.6)))


def test_episodes_are_those_of_the_same_environment_here(workers):
    here, there = play(MAKE, 3), play(lambda: remote(workers), 5)
    assert here.keys() == there.keys()
    for index, first in here.items():
        second = there[index]
        np.testing.assert_array_equal(first.episode.observations, second.episode.observations)
        np.testing.assert_array_equal(first.episode.actions, second.episode.actions)
        np.testing.assert_array_equal(first.episode.rewards, second.episode.rewards)
        assert (first.frames is None) == (second.frames is None)
        assert first.info.keys() == second.info.keys()
    np.testing.assert_array_equal(here[3].frames, there[3].frames)


def test_what_is_asked_early_is_answered_in_any_order(workers):
    environments = [remote(workers) for _ in range(5)]
    for seed, env in enumerate(environments):
        env.ask_reset(seed=seed)
    observations = [env.reset(seed=seed)[0] for seed, env in reversed(list(enumerate(environments)))]
    assert observations[::-1] == [LOCAL.reset(seed=seed)[0] for seed in range(5)]
    for env in environments:
        env.close()


def test_environments_have_action_spaces_of_their_own(workers):
    first, second = remote(workers), remote(workers)
    first.action_space.seed(0)
    drawn = [first.action_space.sample() for _ in range(20)]
    second.action_space.seed(0)
    assert drawn == [second.action_space.sample() for _ in range(20)]
    first.close()
    second.close()


def test_failures_over_there_are_told_here(workers):
    env = remote(workers)
    env.reset(seed=0)
    with pytest.raises(RuntimeError, match=r"(?s)in a worker process failed.*step"):
        env.step("no action")
    assert env.reset(seed=1)[0] == LOCAL.reset(seed=1)[0]  # the process goes on
    env.close()


class Suicidal(gym.Env):
    observation_space, action_space = gym.spaces.Discrete(1), gym.spaces.Discrete(1)

    def reset(self, *, seed=None, options=None):
        os._exit(3)


def test_the_death_of_a_process_is_told():
    with EnvWorkers(1) as started:
        env = started.make(Suicidal, Suicidal.observation_space, Suicidal.action_space)
        with pytest.raises(RuntimeError, match="a process that holds environments died"):
            env.reset(seed=0)
        env.close()


def test_there_is_at_least_one_process():
    with pytest.raises(ValueError, match="num_workers is 0"):
        EnvWorkers(0)
