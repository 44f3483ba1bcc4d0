"""Hidden goals: nothing but a demonstration may tell where arm, gripper and ball are to end."""

import math
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

from gato.envs import Task
from gato.envs.context.hidden_goals import TASKS

REACHER, FETCH, MAZE = TASKS
TOLERANCES = {"reacher-shown": 0.02, "fetch-reach-shown": 0.03, "point-maze-shown": 0.12}  # metres
NUM_PLACES = {
    "reacher-shown": 4,
    "fetch-reach-shown": 3,
    "point-maze-shown": 2,
}  # first numbers observed: no velocities
INNER_GOALS = {"reacher-shown": [0.1, 0.05], "fetch-reach-shown": [0.05, -0.05, 0.02], "point-maze-shown": [0.5, 1.0]}
# A change of these changes the tasks: measured scores and recorded demonstrations are void then.
FIRST_GOALS = {
    "reacher-shown": [0.055, -0.092],
    "fetch-reach-shown": [0.041, -0.069, -0.11],
    "point-maze-shown": [-1.193, -1.257],
}


@pytest.fixture(scope="module", params=TASKS, ids=lambda task: task.name)
def task(request) -> Task:
    return request.param


@pytest.fixture(scope="module")
def env(task: Task) -> Iterator[gymnasium.Env]:
    env = task.make()
    yield env
    env.close()


def play(env: gymnasium.Env, goal: list[float], actions: list[np.ndarray], seed: int = 3) -> list[tuple]:
    return [env.reset(seed=seed, options={"goal": goal}), *(env.step(action) for action in actions)]


def expert_episode(
    task: Task, env: gymnasium.Env, goal: list[float], seed: int, noise_rng: np.random.Generator | None = None
) -> tuple[list[np.ndarray], list[np.ndarray], float, dict[str, Any]]:
    """Observations, actions, return and last info; with a generator, a fifth of the actions are random."""
    expert = task.make_expert(env, np.random.default_rng(0))
    observation, info = env.reset(seed=seed, options={"goal": goal})
    expert.reset()
    observations, actions, rewards, over = [observation], [], 0.0, False
    while not over:
        action = expert.act(observations[-1])
        if noise_rng is not None and noise_rng.random() < 0.2:
            action = noise_rng.uniform(-1, 1, action.shape).astype(np.float32)
        assert info == {}
        observation, reward, terminated, over, info = env.step(action)
        assert not terminated
        observations.append(observation)
        actions.append(action)
        rewards += reward
    return observations, actions, rewards, info


def goals_of(task: Task) -> list[list[float]]:
    return [variant["goal"] for variant in (*task.variants, *task.held_out_variants)]


def test_goal_shows_neither_in_observations_nor_in_infos(task: Task, env: gymnasium.Env):
    rng = np.random.default_rng(0)
    actions = list(rng.uniform(-1, 1, (task.max_episode_steps, *env.action_space.shape)).astype(np.float32))
    answers = [play(env, goal, actions) for goal in goals_of(task)[::8]]
    without_rewards = [[steps[0], *((step[0], *step[2:]) for step in steps[1:-1])] for steps in answers]
    assert all(data_equivalence(steps, without_rewards[0], exact=True) for steps in without_rewards)
    assert all(data_equivalence(steps[-1][0], answers[0][-1][0], exact=True) for steps in answers)
    assert without_rewards[0][0][1] == {}
    assert all(step[4] == {} for step in answers[0][1:-1])


def test_starts_are_identical_for_all_goals_and_differ_by_seed(task: Task, env: gymnasium.Env):
    fresh = task.make()
    starts = []
    for seed in range(6):
        of_seed = [play(env, goal, [], seed)[0][0] for goal in goals_of(task)[::12]]
        of_seed.append(play(fresh, goals_of(task)[-1], [], seed)[0][0])
        assert all(np.array_equal(start, of_seed[0]) for start in of_seed)
        starts.append(of_seed[0])
    fresh.close()
    # Farther apart than the tolerance, so that a demonstration's actions do not fit another episode.
    assert np.ptp(starts, axis=0).max() > 2 * TOLERANCES[task.name]


def test_each_expert_follows_its_own_goal_and_no_other(task: Task, env: gymnasium.Env):
    goals = goals_of(task)
    for seed, goal in enumerate(goals):
        _, _, episode_return, info = expert_episode(task, env, goal, seed)
        assert [other for other in goals if task.follows({"goal": other}, info)] == [goal]
        assert info["success"] is True
        assert episode_return == 1
        assert task.success(episode_return, info)
        assert math.dist(info["final_position"], goal) < 0.2 * TOLERANCES[task.name]


def test_expert_arrives_early_enough_to_show_that_it_stays(task: Task, env: gymnasium.Env):
    for seed in range(5):
        observations = expert_episode(task, env, goals_of(task)[seed], seed)[0]
        before, last = (observation[: NUM_PLACES[task.name]] for observation in (observations[-4], observations[-1]))
        np.testing.assert_allclose(before, last, atol=TOLERANCES[task.name])


def test_expert_copes_with_random_actions(task: Task, env: gymnasium.Env):
    rng = np.random.default_rng(0)
    episodes = [expert_episode(task, env, goal, seed, rng) for seed, goal in enumerate(goals_of(task))]
    assert np.mean([info["success"] for *_, info in episodes]) > 0.7


def test_actions_of_a_demonstration_do_not_fit_another_start(task: Task, env: gymnasium.Env):
    successes = []
    for seed, goal in enumerate(goals_of(task)[:15]):
        actions = expert_episode(task, env, goal, seed)[1]
        successes.append(play(env, goal, actions, seed + 1000)[-1][4]["success"])
    assert np.mean(successes) < 0.4


def test_only_the_end_within_the_tolerance_counts(task: Task, env: gymnasium.Env):
    goal = INNER_GOALS[task.name]
    _, actions, _, info = expert_episode(task, env, goal, 0)
    final = np.array(info["final_position"])
    for share, success in ((0.99, True), (-0.99, True), (1.01, False), (-1.01, False)):
        shifted = final.copy()
        shifted[0] += share * TOLERANCES[task.name]
        steps = play(env, shifted.tolist(), actions, 0)
        assert [step[1] for step in steps[1:]] == [0.0] * (len(actions) - 1) + [float(success)]
        assert steps[-1][2:4] == (False, True)
        assert steps[-1][4] == {"success": success, "final_position": info["final_position"]}
        assert task.follows({"goal": shifted.tolist()}, info) == success
        assert task.success(float(success), steps[-1][4]) == success


def test_leaving_the_goal_before_the_end_fails():
    env = MAZE.make()
    _, actions, _, info = expert_episode(MAZE, env, [0.5, 1.0], 0)
    actions[-5:] = [np.array([1, 0], dtype=np.float32)] * 5
    steps = play(env, [0.5, 1.0], actions, 0)
    env.close()
    assert info["success"]
    assert math.dist(steps[-6][0][:2], (0.5, 1.0)) < 0.12
    assert (sum(step[1] for step in steps[1:]), steps[-1][4]["success"]) == (0, False)


def test_final_position_of_the_arm_is_that_of_its_fingertip():
    env = REACHER.make()
    env.reset(seed=0, options={"goal": [-0.11, 0.119]})
    world: Any = env.unwrapped
    # Shoulder and elbow both bent by 90 degrees, at rest: 10 cm up, then 11 cm to the left.
    world.set_state(np.array([math.pi / 2, math.pi / 2, -0.11, 0.119]), np.zeros(4))
    for _ in range(30):
        observation, reward, *_, info = env.step(np.zeros(2, dtype=np.float32))
    env.close()
    np.testing.assert_allclose(info["final_position"], (-0.11, 0.1), atol=1e-9)
    np.testing.assert_allclose(observation, [0, 0, 1, 1, 0, 0], atol=1e-6)
    assert reward == 1
    assert not REACHER.follows({"goal": [-0.11, 0.121]}, info)


@pytest.mark.parametrize("task", [FETCH, MAZE], ids=lambda task: task.name)
def test_final_position_is_the_last_observed_one(task: Task):
    env = task.make()
    observations, _, _, info = expert_episode(task, env, INNER_GOALS[task.name], 1)
    env.close()
    np.testing.assert_allclose(observations[-1][: len(info["final_position"])], info["final_position"], rtol=1e-6)


def test_positions_of_the_gripper_are_fetchs_own():
    env = FETCH.make()
    observations = expert_episode(FETCH, env, INNER_GOALS["fetch-reach-shown"], 1)[0]
    world: Any = env.unwrapped
    grip = world._get_obs()["achieved_goal"]  # the simulator's own account of it
    np.testing.assert_allclose(observations[-1], grip - world.initial_gripper_xpos, atol=1e-7)
    env.close()


def test_ball_goes_round_the_wall_to_a_goal_behind_it():
    env = MAZE.make()
    expert = MAZE.make_expert(env, np.random.default_rng(0))
    env.reset(seed=0, options={"goal": [-1.2, 1.2]})
    env.unwrapped.point_env.set_state(np.array([-1.2, -1.0]), np.zeros(2))
    # From the lower left, the goal is straight above it, and the way there leads to the right.
    observation = np.array([-1.2, -1.0, 0, 0], dtype=np.float32)
    way = []
    for _ in range(40):
        observation, *_, info = env.step(expert.act(observation))
        way.append(observation[:2])
    env.close()
    assert info["success"]
    assert way[0][0] > -1.2
    assert max(place[0] for place in way) > 0.6
    assert all(abs(y) > 0.5 or x > 0.5 for x, y in way)


def test_goal_is_where_the_simulator_draws_it(task: Task, env: gymnasium.Env):
    goal = INNER_GOALS[task.name]
    env.reset(seed=5, options={"goal": goal})
    for _ in range(2):
        world: Any = env.unwrapped
        if task is REACHER:
            drawn = world.get_body_com("target")[:2]
        elif task is FETCH:
            drawn = world.goal - world.initial_gripper_xpos
        else:
            drawn = world.data.site("target").xpos[:2]
        np.testing.assert_allclose(drawn, goal, atol=1e-9)
        env.step(np.ones(env.action_space.shape, dtype=np.float32))


def test_pictures_show_the_goal_and_change_nothing(task: Task, env: gymnasium.Env):
    seen = task.make(render_mode="rgb_array")
    actions = list(np.random.default_rng(1).uniform(-1, 1, (3, *env.action_space.shape)).astype(np.float32))
    first, second = goals_of(task)[:2]
    pictures = []
    for goal in (first, second):
        answers = [seen.reset(seed=2, options={"goal": goal})]
        pictures.append(seen.render())
        for action in actions:
            answers.append(seen.step(action))
            seen.render()
        assert data_equivalence(answers, play(env, goal, actions, 2), exact=True)
    seen.close()
    assert (pictures[0] != pictures[1]).any()


def test_goals_are_fixed_and_no_place_is_near_two_of_them(task: Task):
    goals = np.array(goals_of(task))
    assert (len(task.variants), len(task.held_out_variants)) == (40, 10 if task is FETCH else 8)
    apart = np.linalg.norm(goals[:, None] - goals, axis=-1) + np.eye(len(goals))
    assert apart.min() > 2 * TOLERANCES[task.name]
    assert goals[0].tolist() == FIRST_GOALS[task.name]


def test_held_out_goals_lie_between_trained_ones(task: Task):
    trained = np.array([variant["goal"] for variant in task.variants])
    held_out = np.array([variant["goal"] for variant in task.held_out_variants])
    if task is REACHER:  # two sectors around the y axis, and trained ones before and after each as the arm turns
        turn = np.degrees(np.arctan2(trained[:, 1], trained[:, 0]))
        sectors = np.abs(np.degrees(np.arctan2(held_out[:, 1], held_out[:, 0])))
        assert np.abs(sectors - 90).max() < 18 < np.abs(np.abs(turn) - 90).min()
        for low in (-180, -90, 0, 90):
            assert ((low < turn) & (turn < low + 90)).sum() >= 5
    elif task is FETCH:  # a slab across
        assert np.abs(held_out[:, 1]).max() < 0.03 <= np.abs(trained[:, 1]).min()
        assert min((trained[:, 1] > 0).sum(), (trained[:, 1] < 0).sum()) >= 15
    else:  # the middle third of the way
        assert (held_out[:, 0] >= 0.7).all()
        assert np.abs(held_out[:, 1]).max() < 0.5
        assert min((trained[:, 1] > 0.5).sum(), (trained[:, 1] < -0.5).sum()) >= 15


def test_a_trained_goal_is_drawn_where_none_is_given(task: Task, env: gymnasium.Env):
    drawn = []
    for seed in range(30):
        env.reset(seed=seed)
        drawn.append(env.get_wrapper_attr("variant"))
    assert all(variant in task.variants for variant in drawn)
    assert len({tuple(variant["goal"]) for variant in drawn}) > 15


@pytest.mark.parametrize(
    "task, options, message",
    [
        (REACHER, {"goal": [0.01, 0.0]}, r"goal is \[0.01, 0.0\], expected 2 numbers: metres from the shoulder"),
        (REACHER, {"goal": [0.18, 0.18]}, "goal is"),
        (REACHER, {"goal": [0.1, 0.1, 0.1]}, "expected 2 numbers"),
        (REACHER, {"goal": "up"}, "goal is 'up'"),
        (REACHER, {"goal": ["up", "down"]}, "expected 2 numbers"),
        (REACHER, {"target": [0.1, 0.1]}, r"\['target'\], expected \['goal'\]"),
        (FETCH, {"goal": [0.0, 0.0, -0.13]}, "expected 3 numbers: metres from where Fetch begins"),
        (FETCH, {"goal": [0.0, float("nan"), 0.0]}, "goal is .*nan"),
        (MAZE, {"goal": [0.0, 0.0]}, "expected 2 numbers: metres from the middle of the maze"),
    ],
)
def test_bad_options_are_refused(task: Task, options: dict, message: str):
    env = task.make()
    with pytest.raises(ValueError, match=message):
        env.reset(options=options)
    env.close()
