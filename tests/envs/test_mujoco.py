import math

import numpy as np
import pytest
from gymnasium import Env

from gato.envs import Task, get_task
from gato.envs.mujoco import mujoco_step, two_link_poses

FIRST_SEED = 41_000


def play(task: Task, env: Env, seed: int, noise: float = 0.0) -> tuple[float, dict]:
    rng = np.random.default_rng(seed)
    env.action_space.seed(seed)
    expert = task.make_expert(env, rng)
    observation, info = env.reset(seed=seed)
    expert.reset()
    total, ended = 0.0, False
    while not ended:
        action = expert.act(observation)
        if rng.random() < noise:
            action = env.action_space.sample()
        observation, reward, terminated, truncated, info = env.step(action)
        total += float(reward)
        ended = terminated or truncated
    return total, info


@pytest.mark.parametrize(
    "name, lowest, num_episodes",
    [
        ("mujoco-inverted-pendulum", 1000, 10),
        ("mujoco-inverted-double-pendulum", 9350, 10),
        ("mujoco-reacher", -8, 20),
        ("mujoco-swimmer", 345, 4),
    ],
)
def test_expert_succeeds_from_every_start(name: str, lowest: float, num_episodes: int):
    task = get_task(name)
    env = task.make()
    for seed in range(FIRST_SEED, FIRST_SEED + num_episodes):
        total, info = play(task, env, seed)
        assert total >= lowest
        assert task.success(total, info)


def test_reacher_is_above_the_threshold_on_average():
    task = get_task("mujoco-reacher")
    env = task.make()
    assert np.mean([play(task, env, seed)[0] for seed in range(FIRST_SEED, FIRST_SEED + 40)]) > -3.75


@pytest.mark.parametrize("name, lowest", [("mujoco-reacher", -25), ("mujoco-swimmer", 200)])
def test_expert_bears_disturbance(name: str, lowest: float):
    task = get_task(name)
    assert play(task, task.make(), FIRST_SEED, noise=0.1)[0] > lowest


@pytest.mark.parametrize("place", [(0.15, 0.05), (-0.1, 0.12), (0.0, -0.2)])
def test_both_poses_of_the_arm_touch_the_place(place: tuple[float, float]):
    for shoulder, elbow in two_link_poses(0.1, 0.11, *place):
        tip = 0.1 * np.exp(1j * shoulder) + 0.11 * np.exp(1j * (shoulder + elbow))
        assert tip == pytest.approx(complex(*place), abs=1e-12)


def test_place_out_of_reach_is_pointed_at():
    poses = two_link_poses(0.1, 0.11, 0.0, 0.5)
    np.testing.assert_allclose(poses, [(math.pi / 2, 0)] * 2, atol=1e-12)


def test_predicted_step_is_the_step_of_the_environment():
    env = get_task("mujoco-inverted-double-pendulum").make()
    env.reset(seed=FIRST_SEED)
    world = env.unwrapped
    step = mujoco_step(world.model, world.frame_skip)
    state = np.concatenate([world.data.qpos, world.data.qvel])
    action = np.array([0.3], np.float32)
    predicted = step(state, action)
    untouched = np.concatenate([world.data.qpos, world.data.qvel])
    np.testing.assert_array_equal(untouched, state)
    env.step(action)
    np.testing.assert_allclose(predicted, np.concatenate([world.data.qpos, world.data.qvel]), atol=1e-12)


def test_episode_does_not_depend_on_those_before():
    task = get_task("mujoco-hopper")
    env = task.make()
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(15)]

    def episode() -> list[np.ndarray]:
        observations = [env.reset(seed=FIRST_SEED)[0]]
        return observations + [env.step(action)[0] for action in actions]

    first = episode()
    env.reset(seed=FIRST_SEED + 1)
    for action in reversed(actions):
        env.step(action)
    np.testing.assert_array_equal(episode(), first)


def test_task_without_an_expert_says_what_counts():
    for name in ("half-cheetah", "hopper", "walker2d", "ant", "humanoid", "humanoid-standup"):
        task = get_task(f"mujoco-{name}")
        assert task.make_expert is None
        assert not task.success(0.0, {})
