"""Hands and the kitchen: episodes that follow from their seed, pictures that change nothing, and what success is."""

import copy

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

from gato.envs import Task
from gato.envs.dexterous import TASKS

FIRST_SEED = 63_000
SINGLE_CHORES = {task.name: task for task in TASKS if task.name.startswith("franka") and "complete" not in task.name}


def task_of(name: str) -> Task:
    return next(task for task in TASKS if task.name == name)


def play(env: gymnasium.Env, seed: int, *, look: bool = False) -> list:
    """What an episode of random actions returned, first the observation and info of its reset."""
    env.action_space.seed(seed)
    steps: list = [env.reset(seed=seed)]
    for index in range(25):
        if look and index % 5 == 2:
            env.render()
        steps.append(env.step(env.action_space.sample()))
    return steps


@pytest.mark.parametrize(
    "name",
    [
        "hand-reach",
        "hand-manipulate-block-rotate-z",
        "hand-manipulate-pen-full",
        "adroit-hammer",
        "adroit-pen",
        pytest.param("franka-kitchen-kettle", marks=pytest.mark.slow),  # its pictures are, without a GPU
    ],
)
def test_earlier_episodes_and_pictures_leave_no_trace(name: str):
    task = task_of(name)
    fresh = play(task.make(), FIRST_SEED + 1)
    used = task.make(render_mode="rgb_array")
    play(used, FIRST_SEED, look=True)
    assert data_equivalence(play(used, FIRST_SEED + 1, look=True), fresh, exact=True)
    used.close()


def test_what_the_kitchen_returned_does_not_change_later():
    env = task_of("franka-kitchen-complete").make()
    env.reset(seed=FIRST_SEED)
    kept = env.step(np.zeros(9))
    before = copy.deepcopy(kept)
    env.unwrapped.data.qpos[22] = -0.75  # the microwave's door, open
    env.step(np.zeros(9))
    assert data_equivalence(kept, before, exact=True)


def test_a_chore_done_pays_once_and_ends_an_episode_that_asks_for_nothing_else():
    for name, ends in (("franka-kitchen-microwave", True), ("franka-kitchen-complete", False)):
        task = task_of(name)
        env = task.make()
        env.reset(seed=FIRST_SEED)
        _, reward, terminated, _, info = env.step(np.zeros(9))
        assert (reward, terminated, task.success(reward, info)) == (0.0, False, False)
        env.unwrapped.data.qpos[22] = -0.75  # the microwave's door, open
        observation, reward, terminated, _, info = env.step(np.zeros(9))
        assert abs(observation["achieved_goal"]["microwave"] - observation["desired_goal"]["microwave"]) < 0.3
        assert (reward, terminated, task.success(reward, info)) == (1.0, ends, ends)
    assert env.step(np.zeros(9))[1] == 0.0


def test_the_single_chores_are_all_that_the_kitchen_knows():
    asked = [list(task.make().observation_space["desired_goal"]) for task in SINGLE_CHORES.values()]
    kitchen = pytest.importorskip("gymnasium_robotics.envs.franka_kitchen.kitchen_env")
    assert sorted(name for names in asked for name in names) == sorted(kitchen.OBS_ELEMENT_GOALS)
    names = [name.removeprefix("franka-kitchen-").replace("-", " ") for name in SINGLE_CHORES]
    assert [[name] for name in names] == asked


def turned(quaternion: np.ndarray, angle: float) -> np.ndarray:
    """The orientation turned about the vertical axis."""
    w, x, y, z = quaternion
    cosine, sine = np.cos(angle / 2), np.sin(angle / 2)
    return np.array([cosine * w - sine * z, cosine * x - sine * y, cosine * y + sine * x, cosine * z + sine * w])


@pytest.mark.parametrize("shift, angle, succeeds", [(0, 0, True), (0.02, 0, False), (0, 0.2, False)])
def test_the_block_has_to_be_at_the_place_and_turned(shift: float, angle: float, succeeds: bool):
    task = task_of("hand-manipulate-block-full")
    env = task.make()
    env.reset(seed=FIRST_SEED)
    for _ in range(20):  # until it lies still
        observation, *_ = env.step(np.zeros(20, np.float32))
    goal = observation["achieved_goal"].copy()
    goal[0] += shift
    goal[3:] = turned(goal[3:], angle)
    env.unwrapped.goal = goal
    _, reward, _, _, info = env.step(np.zeros(20, np.float32))
    assert task.success(reward, info) == succeeds
    assert reward == (0.0 if succeeds else -1.0)


def test_the_place_does_not_matter_where_only_turning_is_asked():
    task = task_of("hand-manipulate-block-rotate-xyz")
    env = task.make()
    env.reset(seed=FIRST_SEED)
    for _ in range(20):
        observation, *_ = env.step(np.zeros(20, np.float32))
    env.unwrapped.goal = observation["achieved_goal"] + (0.02, 0, 0, 0, 0, 0, 0)
    _, reward, _, _, info = env.step(np.zeros(20, np.float32))
    assert task.success(reward, info)


def test_the_door_is_open_at_its_angle():
    task = task_of("adroit-door")
    env = task.make()
    env.reset(seed=FIRST_SEED)
    world = env.unwrapped
    for angle, opened in ((1.2, False), (1.45, True)):
        world.data.qpos[world.door_hinge_addrs] = angle
        _, reward, _, _, info = env.step(np.zeros(28, np.float32))
        assert task.success(reward, info) == opened
