"""The grids: lakes that can be crossed, shown in the observation, and experts that waste no step."""

from collections import deque

import numpy as np
import pytest

from gato.envs import get_task
from gato.envs.toy_text import FROZEN, GOAL, HOLE


def shortest_way(lake: np.ndarray) -> int:
    """Moves from the first to the last cell, breadth first."""
    queue, moves = deque([(0, 0)]), {(0, 0): 0}
    while queue:
        row, column = queue.popleft()
        for cell in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
            if min(cell) >= 0 and max(cell) < len(lake) and lake[cell] != HOLE and cell not in moves:
                moves[cell] = moves[row, column] + 1
                queue.append(cell)
    return moves[len(lake) - 1, len(lake) - 1]


def test_expert_crosses_each_lake_by_a_shortest_way():
    task = get_task("frozen-lake")
    env = task.make()
    expert = task.make_expert(env, np.random.default_rng(0))
    for seed in range(30):
        observation, _ = env.reset(seed=seed)
        lake = observation["map"]
        for step in range(shortest_way(lake)):
            observation, reward, terminated, _, _ = env.step(expert.act(observation))
            assert reward == terminated == (step == shortest_way(lake) - 1)
            assert np.array_equal(observation["map"], lake)
        assert observation["position"].tolist() == [7, 7]


def test_each_episode_has_its_own_lake():
    env = get_task("frozen-lake").make()
    lakes = {env.reset(seed=seed)[0]["map"].tobytes() for seed in range(20)}
    assert len(lakes) == 20


def test_map_shows_where_the_holes_are():
    env = get_task("frozen-lake").make()
    down, right = 1, 2
    outcomes = set()
    for seed in range(40):
        observation, _ = env.reset(seed=seed)
        lake = observation["map"]
        assert lake[0, 0] == FROZEN
        assert np.argwhere(lake == GOAL).tolist() == [[7, 7]]
        action, cell = ((down, (1, 0)), (right, (0, 1)))[seed % 2]
        observation, _, terminated, _, _ = env.step(action)
        assert tuple(observation["position"]) == cell
        assert terminated == (lake[cell] == HOLE)
        outcomes.add(terminated)
    assert outcomes == {True, False}


def test_lake_is_drawn():
    env = get_task("frozen-lake").make(render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().shape == (512, 512, 3)
    env.close()


def test_taxi_takes_no_detour():
    """Hand-worked: taxi at row 3, column 1, passenger at red (0, 0), going to green (0, 4)."""
    task = get_task("taxi")
    env = task.make()
    expert = task.make_expert(env, np.random.default_rng(0))
    env.reset(seed=0)
    observation = env.unwrapped.encode(3, 1, 0, 1)
    env.unwrapped.s = observation
    # Up to row 2, where the walls end, then west and north to red: 4 moves. Back to row 2, east, north: 8 moves.
    rewards = []
    terminated = False
    while not terminated:
        observation, reward, terminated, _, _ = env.step(expert.act(observation))
        rewards.append(reward)
    assert rewards == [-1] * (4 + 1 + 8) + [20]


def test_cliff_is_walked_along_its_edge():
    task = get_task("cliff-walking")
    env = task.make()
    expert = task.make_expert(env, np.random.default_rng(0))
    observation, _ = env.reset(seed=0)
    actions = []
    terminated = False
    while not terminated:
        actions.append(task.action_names[expert.act(observation)])
        observation, _, terminated, _, _ = env.step(expert.act(observation))
    assert actions == ["up"] + ["right"] * 11 + ["down"]


def test_cliff_walk_is_cut_at_its_limit():
    task = get_task("cliff-walking")
    env = task.make()
    env.reset(seed=0)
    for step in range(task.max_episode_steps):
        *_, truncated, _ = env.step(0)
        assert truncated == (step == task.max_episode_steps - 1)


@pytest.mark.parametrize("name", ["frozen-lake", "taxi", "cliff-walking"])
def test_experts_are_functions_of_the_observation(name: str):
    task = get_task(name)
    env = task.make()
    first, second = (task.make_expert(env, np.random.default_rng(seed)) for seed in (0, 1))
    observation, _ = env.reset(seed=5)
    assert first.act(observation) == first.act(observation) == second.act(observation)
