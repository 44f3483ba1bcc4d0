"""The grids: lakes that can be crossed, shown in the observation, and experts that waste no step."""

from collections import Counter, deque

import gymnasium
import numpy as np
import pytest

from gato.envs import Expert, get_task
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


def play(env: gymnasium.Env, expert: Expert, seed: int) -> tuple[list[int], float]:
    """Positions or states on the way, and the return."""
    observation, _ = env.reset(seed=seed)
    seen, total, ended = [], 0.0, False
    while not ended:
        observation, reward, terminated, truncated, _ = env.step(expert.act(observation))
        seen.append(observation if isinstance(observation, int) else tuple(observation["position"].tolist()))
        total, ended = total + reward, terminated or truncated
    return seen, total


def test_ice_slips_to_either_side_as_often_as_not_at_all():
    """From the corner, going right: a third stays (up is the edge), a third goes right, a third down."""
    env = get_task("frozen-lake-slippery").make()
    ends = Counter()
    for seed in range(600):
        env.reset(seed=seed)
        observation, *_ = env.step(2)
        ends[tuple(observation["position"].tolist())] += 1
    assert set(ends) == {(0, 0), (0, 1), (1, 0)}
    assert all(count == pytest.approx(200, abs=4 * np.sqrt(600 * 2 / 9)) for count in ends.values())


def test_slips_depend_on_the_seed_alone():
    task = get_task("frozen-lake-slippery")
    env = task.make()
    expert = task.make_expert(env, np.random.default_rng(0))
    first = [play(env, expert, seed) for seed in range(5)]
    assert [play(env, expert, seed) for seed in range(5)] == first
    assert [play(task.make(), expert, seed) for seed in range(5)] == first


def test_expert_crosses_the_slippery_lake_nearly_as_often_as_can_be():
    """The best chance within the time is exact, by going back from the last step; luck is left."""
    task = get_task("frozen-lake-slippery")
    env = task.make()
    expert = task.make_expert(env, np.random.default_rng(0))
    chances, crossed = [], []
    for seed in range(150):
        lake = env.reset(seed=seed)[0]["map"]
        if seed < 25:
            chances.append(best_chance(lake, task.max_episode_steps))
        crossed.append(play(env, expert, seed)[1])
    expected, error = np.mean(chances), np.std(chances) / np.sqrt(len(chances))
    assert np.mean(crossed) > expected - 0.02 - 3 * np.hypot(error, np.std(crossed) / np.sqrt(len(crossed)))


def best_chance(lake: np.ndarray, num_steps: int) -> float:
    """Of being at the goal after so many moves at most."""
    size = len(lake)
    moves = ((0, -1), (1, 0), (0, 1), (-1, 0))
    goes = np.zeros((4, size, size, 2), int)
    for index, (row, column) in enumerate(moves):
        rows, columns = np.indices((size, size))
        goes[index] = np.stack([rows + row, columns + column], axis=-1).clip(0, size - 1)
    chance = (lake == GOAL).astype(float)
    for _ in range(num_steps):
        moved = chance[goes[..., 0], goes[..., 1]]
        best = np.max([moved[i - 1] + moved[i] + moved[(i + 1) % 4] for i in range(4)], axis=0) / 3
        chance = np.where(lake == FROZEN, best, lake == GOAL)
    return float(chance[0, 0])


def test_slippery_cliff_is_never_fallen_off():
    """The edge is too slippery: the way leads up by pushing against the walls that slide only up or nowhere."""
    task = get_task("cliff-walking-slippery")
    env = task.make()
    expert = task.make_expert(env, np.random.default_rng(0))
    start, goal = 36, 47
    assert task.action_names[expert.act(start)] == "left"
    for seed in range(30):
        states, total = play(env, expert, seed)
        assert states[-1] == goal
        assert total == -len(states)
        assert task.success(total, {})


@pytest.mark.parametrize(
    "name", ["frozen-lake", "frozen-lake-slippery", "taxi", "cliff-walking", "cliff-walking-slippery"]
)
def test_experts_are_functions_of_the_observation(name: str):
    task = get_task(name)
    env = task.make()
    first, second = (task.make_expert(env, np.random.default_rng(seed)) for seed in (0, 1))
    observation, _ = env.reset(seed=5)
    assert first.act(observation) == first.act(observation) == second.act(observation)
