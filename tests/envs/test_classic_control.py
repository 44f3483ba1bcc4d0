"""The controllers of classic control, beyond what every expert is tested for."""

import numpy as np
import pytest

from gato.envs import get_task


def expert_of(name: str):
    task = get_task(name)
    return task.make_expert(task.make(), np.random.default_rng(0))


def test_cartpole_stays_up_from_every_start():
    task = get_task("cartpole")
    env, expert = task.make(), expert_of("cartpole")
    for seed in range(20):
        observation, _ = env.reset(seed=seed)
        for _ in range(task.max_episode_steps):
            observation, _, terminated, truncated, _ = env.step(expert.act(observation))
            assert not terminated
        assert truncated


@pytest.mark.parametrize(
    "angle, velocity, sign",
    [(0.1, 0.0, -1), (-0.1, 0.0, 1), (np.pi, 1.0, 1), (np.pi, -1.0, -1), (1.5, 8.0, -1)],
    ids=["leans left", "leans right", "hangs swinging left", "hangs swinging right", "swings too fast"],
)
def test_pendulum_pumps_below_and_rights_above(angle: float, velocity: float, sign: int):
    observation = np.array([np.cos(angle), np.sin(angle), velocity], np.float32)
    assert np.sign(expert_of("pendulum").act(observation)) == sign


def test_pendulum_mirrors():
    rng = np.random.default_rng(0)
    expert = expert_of("pendulum")
    for angle, velocity in rng.uniform((-np.pi, -8), (np.pi, 8), size=(50, 2)):
        torque = expert.act(np.array([np.cos(angle), np.sin(angle), velocity]))
        mirrored = expert.act(np.array([np.cos(angle), -np.sin(angle), -velocity]))
        assert mirrored == pytest.approx(-torque)
