"""Gymnasium-Robotics: the arm's and the maze's controllers, and pictures that change nothing."""

import subprocess
import sys
import tempfile
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

from gato.envs import Task
from gato.envs.robotics import TASKS

FIRST_SEED = 99_000


def task_of(name: str) -> Task:
    return next(task for task in TASKS if task.name == name)


def play(task: Task, env: gymnasium.Env, seed: int, *, noise: float = 0.0, look: bool = False) -> list:
    """One episode of the expert, or of random actions where there is none: what every step returned."""
    rng = np.random.default_rng(seed)
    expert = task.make_expert(env, rng) if task.make_expert else None
    observation, _ = env.reset(seed=seed)
    if expert:
        expert.reset()
    steps, ended = [], False
    while not ended:
        if expert and rng.random() >= noise:
            action = expert.act(observation)
        else:
            action = rng.uniform(-1, 1, env.action_space.shape).astype(np.float32)
        assert env.action_space.contains(action)
        if look and len(steps) % 25 == 5:
            env.render()
        steps.append(env.step(action))
        observation, _, terminated, truncated, _ = steps[-1]
        assert env.observation_space.contains(observation)
        ended = terminated or truncated
    return steps


def succeeded(task: Task, steps: list) -> bool:
    return task.success(sum(step[1] for step in steps), steps[-1][-1])


@pytest.mark.parametrize("task", [task for task in TASKS if task.make_expert], ids=lambda task: task.name)
def test_experts_succeed(task: Task):
    env = task.make()
    assert all(succeeded(task, play(task, env, FIRST_SEED + index)) for index in range(8))


@pytest.mark.parametrize("name, at_least", [("fetch-reach", 6), ("fetch-push", 5), ("point-maze-large", 8)])
def test_experts_recover_from_foreign_actions(name: str, at_least: int):
    task = task_of(name)
    env = task.make()
    assert sum(succeeded(task, play(task, env, FIRST_SEED + index, noise=0.2)) for index in range(8)) >= at_least


@pytest.mark.parametrize(
    "name",
    ["fetch-push", "fetch-slide", "point-maze-medium", pytest.param("ant-maze-umaze", marks=pytest.mark.slow)],
)
def test_earlier_episodes_and_pictures_leave_no_trace(name: str):
    task = task_of(name)
    fresh = play(task, task.make(), FIRST_SEED + 1, noise=0.3)
    used = task.make(render_mode="rgb_array")
    play(task, used, FIRST_SEED)
    assert data_equivalence(play(task, used, FIRST_SEED + 1, noise=0.3, look=True), fresh, exact=True)
    used.close()


def test_fetch_success_is_told_at_the_last_step():
    task = task_of("fetch-reach")
    env = task.make()
    observation, _ = env.reset(seed=FIRST_SEED)
    expert = task.make_expert(env, np.random.default_rng(0))
    episode_return, infos = 0.0, []
    for index in range(50):
        action = expert.act(observation) if index < 25 else np.array([-1, -1, 1, 0], np.float32)
        observation, reward, _, truncated, info = env.step(action)
        episode_return += reward
        infos.append(info)
    assert truncated
    assert task.success(episode_return, infos[24])
    assert not task.success(episode_return, infos[-1])


def test_reaching_the_goal_ends_a_maze_with_the_only_reward():
    task = task_of("point-maze-umaze")
    steps = play(task, task.make(), FIRST_SEED)
    observation, _, terminated, truncated, info = steps[-1]
    assert (terminated, truncated, info["success"]) == (True, False, True)
    assert [step[1] for step in steps] == [0.0] * (len(steps) - 1) + [1.0]
    assert np.linalg.norm(observation["achieved_goal"] - observation["desired_goal"]) <= 0.45


def test_the_ant_at_the_goal_ends_its_maze_and_a_step_away_does_not():
    task = task_of("ant-maze-umaze")
    for away, ends in ((0.3, True), (0.6, False)):
        env = task.make()
        env.reset(seed=FIRST_SEED)
        world = env.unwrapped
        world.data.qpos[:2] = world.goal + np.array([away, 0.0])
        _, reward, terminated, _, info = env.step(np.zeros(8, np.float32))
        assert (reward, terminated, task.success(reward, info)) == (float(ends), ends, ends)


def test_the_ball_goes_around_the_wall():
    task = task_of("point-maze-umaze")
    env = task.make()
    observation, _ = env.reset(seed=0, options={"reset_cell": np.array([1, 1]), "goal_cell": np.array([3, 1])})
    action = task.make_expert(env, np.random.default_rng(0)).act(observation)
    assert action[0] == 1.0  # the goal lies straight below, behind the wall: the way leads to the right


def test_a_dense_task_pays_the_negative_distance():
    task = task_of("fetch-push-dense")
    env = task.make()
    env.reset(seed=FIRST_SEED)
    observation, reward, *_ = env.step(np.zeros(4, np.float32))
    distance = np.linalg.norm(observation["achieved_goal"] - observation["desired_goal"])
    assert reward == pytest.approx(-distance, abs=1e-9)


@pytest.mark.parametrize("name", ["point-maze-umaze", "ant-maze-umaze"])
def test_a_maze_leaves_no_file_behind(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    task_of(name).make().close()
    assert list(tmp_path.iterdir()) == []


def test_importing_and_making_is_quiet():
    play = """
from gato.envs.robotics import TASKS
for task in (TASKS[0], TASKS[-1]):
    env = task.make()
    env.reset(seed=0)
    env.step(env.action_space.sample())
"""
    ran = subprocess.run([sys.executable, "-W", "error", "-c", play], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["point-maze-umaze", "ant-maze-umaze"])
def test_the_whole_maze_is_in_the_picture(name: str):
    env = task_of(name).make(render_mode="rgb_array")
    env.reset(seed=FIRST_SEED)
    picture = env.render().astype(int)
    wall = picture[..., 0] - picture[..., 2] > 40  # in warm colors, unlike the floor
    assert wall.mean() > 0.3
    assert not wall[[0, -1]].any()
    assert not wall[:, [0, -1]].any()
    env.close()
