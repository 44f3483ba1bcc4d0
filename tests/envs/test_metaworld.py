"""Meta-World: seeds decide episodes, goals can be hidden, and success sticks."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

from gato.envs import Task, get_task
from gato.envs.metaworld import EPISODE_LENGTH, HELD_OUT, TASKS

FIRST_SEED = 88_000


def task_of(name: str) -> Task:
    return next(task for task in TASKS if task.name == f"metaworld-{name}")


def play(task: Task, env: gymnasium.Env, seed: int, *, num_steps: int = EPISODE_LENGTH, noise: float = 0.0) -> list:
    """The expert's observation, reward and info of every step until success."""
    rng = np.random.default_rng(seed)
    expert = task.make_expert(env, rng)
    observation, info = env.reset(seed=seed)
    expert.reset()
    steps = [(observation.copy(), 0.0, dict(info))]
    for _ in range(num_steps):
        action = expert.act(observation)
        assert env.action_space.contains(action)
        if rng.random() < noise:
            action = rng.uniform(-1, 1, 4).astype(np.float32)
        observation, reward, terminated, _, info = env.step(action)
        assert env.observation_space.contains(observation)
        assert not terminated
        steps.append((observation.copy(), reward, dict(info)))
        if info["success"]:
            break
    return steps


def test_fifty_tasks_and_the_five_that_ml45_tests():
    import metaworld.env_dict

    assert {task.name for task in TASKS} == {
        f"metaworld-{name.removesuffix('-v3')}" for name in metaworld.env_dict.ALL_V3_ENVIRONMENTS
    }
    assert {f"{name}-v3" for name in HELD_OUT} == set(metaworld.env_dict.ML45_V3["test"])
    assert {task.name for task in TASKS if "held-out" in task.tags} == {f"metaworld-{name}" for name in HELD_OUT}


@pytest.mark.parametrize("name", ["sweep-into", "stick-pull", "drawer-close", "box-close"])
def test_earlier_episodes_leave_no_trace(name: str):
    task = task_of(name)
    fresh = play(task, task.make(), FIRST_SEED + 1, num_steps=100, noise=0.3)
    used = task.make()
    play(task, used, FIRST_SEED, num_steps=100)
    assert data_equivalence(play(task, used, FIRST_SEED + 1, num_steps=100, noise=0.3), fresh, exact=True)


def test_numpy_s_global_generator_is_neither_used_nor_moved():
    task = task_of("push")
    env = task.make()
    first, _ = env.reset(seed=FIRST_SEED)
    np.random.seed(1)  # noqa: NPY002  (Meta-World's own draws come from here)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    again, _ = env.reset(seed=FIRST_SEED)
    assert np.array_equal(first, again)
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def test_the_benchmark_plays_the_same_episode_from_the_same_configuration():
    name = "pick-place-wall"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = gymnasium.make("Meta-World/MT1", env_name=f"{name}-v3", seed=3, disable_env_checker=True)
    observation, _ = theirs.reset()
    configuration = theirs.unwrapped._last_rand_vec
    ours = task_of(name).make()
    # Drawn from a range of a single point.
    ours.unwrapped._random_reset_space = gymnasium.spaces.Box(configuration, configuration, dtype=np.float64)
    first, _ = ours.reset(seed=0)
    assert np.array_equal(first, observation)
    rng = np.random.default_rng(0)
    for _ in range(60):
        action = rng.uniform(-1, 1, 4).astype(np.float32)
        observation, reward, *_ = ours.step(action)
        expected_observation, expected_reward, *_ = theirs.step(action)
        assert np.array_equal(observation, expected_observation)
        assert reward == expected_reward


def test_configurations_fill_the_benchmark_s_range():
    env = task_of("reach").make()
    goals = np.array([env.reset(seed=seed)[0][36:39] for seed in range(80)])
    assert len(np.unique(goals, axis=0)) == len(goals)
    # reach-v3 puts its goal into this box; eighty draws come within a tenth of its sides.
    low, high = np.array([-0.1, 0.8, 0.05]), np.array([0.1, 0.9, 0.3])
    assert np.all((goals >= low) & (goals <= high))
    assert np.all(goals.min(axis=0) < low + (high - low) / 10)
    assert np.all(goals.max(axis=0) > high - (high - low) / 10)


def test_an_observation_is_now_then_before_then_goal():
    env = task_of("reach").make()
    previous, _ = env.reset(seed=FIRST_SEED)
    assert np.array_equal(previous[:18], previous[18:36])
    for _ in range(3):
        observation, *_ = env.step(np.array([1, 0, 0, 1], np.float32))
        assert np.array_equal(observation[18:36], previous[:18])
        previous = observation
    assert previous[0] > 0.01  # an action of 1 moves by up to a centimetre


def test_the_hidden_goal_is_the_only_difference_between_the_views():
    shown, hidden = task_of("push"), task_of("push").seen_as("state-no-goal")
    assert hidden.name == "metaworld-push-state-no-goal"
    seen = play(shown, shown.make(), FIRST_SEED)
    unseen = play(hidden, hidden.make(), FIRST_SEED)
    assert len(seen) == len(unseen)
    for (with_goal, reward, info), (without_goal, same_reward, same_info) in zip(seen, unseen, strict=True):
        assert np.any(with_goal[36:])
        assert not np.any(without_goal[36:])
        assert np.array_equal(with_goal[:36], without_goal[:36])
        assert (reward, info) == (same_reward, same_info)


@pytest.mark.parametrize("name", ["reach", "drawer-open", "push", "door-unlock"])
def test_experts_succeed(name: str):
    task = task_of(name)
    env = task.make()
    lasts = [play(task, env, FIRST_SEED + index)[-1][-1] for index in range(20)]
    assert sum(task.success(0.0, info) for info in lasts) >= 19


def test_the_expert_recovers_from_foreign_actions():
    task = task_of("drawer-open")
    env = task.make()
    lasts = [play(task, env, FIRST_SEED + index, noise=0.2)[-1][-1] for index in range(6)]
    assert sum(task.success(0.0, info) for info in lasts) >= 5


def test_success_sticks_until_the_episode_is_truncated():
    task = task_of("reach")
    env = task.make()
    play(task, env, FIRST_SEED)
    away = np.array([0, -1, 0, 0], np.float32)
    num_steps, truncated = 0, False
    while not truncated:
        *_, truncated, info = env.step(away)
        num_steps += 1
    assert info["near_object"] > 0.1  # of reach-v3: the distance to the goal
    assert info["success"] is True
    assert num_steps < EPISODE_LENGTH
    env.reset(seed=FIRST_SEED)
    *_, info = env.step(away)
    assert info["success"] is False


def test_pictures_are_upright():
    env = task_of("reach").make(render_mode="rgb_array")
    env.reset(seed=FIRST_SEED)
    picture = env.render().astype(int)
    red, green, blue = np.moveaxis(picture, -1, 0)
    arm = (red > 2 * green) & (red > 2 * blue)
    wood = (red > green + 15) & (green > blue) & ~arm
    assert arm.any(axis=1).argmax() < wood.any(axis=1).argmax()  # the arm reaches higher than the table
    env.close()


def test_the_catalogue_finds_a_view():
    assert get_task("metaworld-reach-state-no-goal").views == {}
