"""BabyAI: faster views that equal MiniGrid's own, storable observations, a bot that always answers."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from gato.envs.babyai import TASKS
from gato.envs.grid_view import GridView
from gato.envs.simulator import import_simulator

LEVELS = {
    "babyai-go-to-red-ball-grey": "BabyAI-GoToRedBallGrey-v0",
    "babyai-go-to-local": "BabyAI-GoToLocal-v0",
    "babyai-open-door": "BabyAI-OpenDoor-v0",
    "babyai-pickup-loc": "BabyAI-PickupLoc-v0",
}
DONE = 6
BY_NAME = {task.name: task for task in TASKS}
# Levels of every kind that a few seconds allow; those with an object in hand, a box to open and two locked doors.
SAMPLE = (
    "babyai-go-to-obj-maze-s4",
    "babyai-go-to-seq-s5-r2",
    "babyai-action-obj-door",
    "babyai-open-doors-order-n4",
    "babyai-pickup-dist",
    "babyai-put-next-s5-n2",
    "babyai-put-next-s5-n2-carrying",
    "babyai-unlock-local-dist",
    "babyai-key-in-box",
    "babyai-blocked-unlock-pickup",
    "babyai-unlock-to-unlock",
    "babyai-key-corridor-s3-r1",
    "babyai-move-two-across-s5-n2",
    "babyai-synth-s5-r2",
    "babyai-mini-boss-level",
)


@pytest.fixture(scope="module")
def minigrid_wrappers():
    import_simulator("minigrid", "minigrid")
    return import_simulator("minigrid.wrappers", "minigrid")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("view", "tile_size"), [("symbols", None), ("pixels", 8), ("pixels-16", 16)])
def test_view_equals_minigrids_own(level: str, view: str, tile_size: int | None, minigrid_wrappers):
    """Episodes by the bot and at random, which also carry objects, open boxes and pass doors."""
    stock = gymnasium.make(LEVELS[level], disable_env_checker=True)
    if tile_size is not None:
        stock = minigrid_wrappers.RGBImgPartialObsWrapper(stock, tile_size=tile_size)
    task = BY_NAME[level]
    ours = task.seen_as(view).make()
    rng = np.random.default_rng(0)
    expert = task.make_expert(ours, rng)
    for seed in range(6):
        expected, _ = stock.reset(seed=seed)
        observation, _ = ours.reset(seed=seed)
        expert.reset()
        for _ in range(40):
            assert observation["direction"] == expected["direction"]
            assert observation["mission"] == expected["mission"]
            assert observation["image"].dtype == expected["image"].dtype
            assert np.array_equal(observation["image"], expected["image"])
            action = expert.act(observation) if seed % 2 else int(rng.choice([0, 1, 2, 2, 2, 3, 4, 5]))
            expected, reward, terminated, truncated, _ = stock.step(action)
            observation, *outcome, _ = ours.step(action)
            assert outcome == [reward, terminated, truncated]
            if terminated or truncated:
                break


def test_sight_equals_minigrids_own_among_scattered_walls():
    env = BY_NAME["babyai-open-door"].make().unwrapped
    wall = import_simulator("minigrid.core.world_object", "minigrid").Wall()
    rng = np.random.default_rng(0)
    for seed in range(200):
        env.reset(seed=seed)
        for x, y in rng.integers(1, 20, size=(120, 2)).tolist():
            if env.grid.get(x, y) is None and (x, y) != tuple(env.agent_pos):
                env.grid.set(x, y, wall)
        expected, expected_mask = type(env).gen_obs_grid(env)
        grid, mask = env.gen_obs_grid()
        assert np.array_equal(mask, expected_mask)
        assert grid == expected


@pytest.mark.parametrize("level", LEVELS)
def test_missions_are_storable_text(level: str):
    env = BY_NAME[level].make()
    missions = {env.reset(seed=seed)[0]["mission"] for seed in range(40)}
    space = env.observation_space["mission"]
    assert isinstance(space, spaces.Text)
    assert all(space.contains(mission) for mission in missions)
    assert len(missions) > 5 or missions == {"go to the red ball"}


def test_nothing_is_printed(capfd):
    env = BY_NAME["babyai-go-to-local"].seen_as("pixels").make()
    for seed in range(60):
        env.reset(seed=seed)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_bot_recovers_from_what_it_did_not_suggest():
    """Under half random actions it picks up, drops and turns away; opening boxes, which destroys them, is left out."""
    task = BY_NAME["babyai-pickup-loc"]
    env = task.make()
    rng = np.random.default_rng(0)
    expert = task.make_expert(env, rng)
    successes = 0
    for seed in range(40):
        observation, _ = env.reset(seed=seed)
        expert.reset()
        ended = False
        while not ended:
            action = expert.act(observation)
            if rng.random() < 0.5:
                action = int(rng.integers(5))
            observation, reward, terminated, truncated, _ = env.step(action)
            ended = terminated or truncated
        successes += reward > 0
    assert successes == 40


def test_bot_gives_up_where_it_would_plan_for_ever():
    """On this level and seed the stock bot pushes subgoals without end."""
    import_simulator("minigrid", "minigrid")
    env = GridView(gymnasium.make("BabyAI-UnlockToUnlock-v0", disable_env_checker=True))
    expert = BY_NAME["babyai-open-door"].make_expert(env, np.random.default_rng(0))
    observation, _ = env.reset(seed=4)
    expert.reset()
    actions = []
    while len(actions) < 100:
        actions.append(expert.act(observation))
        observation, *_ = env.step(actions[-1])
    assert actions[0] != DONE
    assert actions[-50:] == [DONE] * 50
    observation, _ = env.reset(seed=5)
    expert.reset()
    assert expert.act(observation) != DONE


def play(task, seed: int, env: gymnasium.Env, noise: float = 0.0) -> list[tuple[int, float]]:
    """Actions and rewards of one episode of the expert."""
    rng = np.random.default_rng(seed)
    expert = task.make_expert(env, rng)
    observation, _ = env.reset(seed=seed)
    expert.reset()
    steps, ended = [], False
    while not ended:
        action = expert.act(observation)
        if rng.random() < noise:
            action = int(rng.integers(7))
        observation, reward, terminated, truncated, _ = env.step(action)
        steps.append((action, reward))
        ended = terminated or truncated
    assert len(steps) <= task.max_episode_steps
    return steps


@pytest.mark.parametrize("name", SAMPLE)
def test_expert_accomplishes_the_mission(name: str):
    task = BY_NAME[name]
    env = task.make()
    assert sum(play(task, seed, env)[-1][1] > 0 for seed in range(200, 220)) >= 19


@pytest.mark.parametrize("name", SAMPLE)
def test_expert_carries_on_under_noise(name: str):
    """A random action may open a box that the mission needs, which destroys it."""
    task = BY_NAME[name]
    env = task.make()
    assert sum(play(task, seed, env, noise=0.2)[-1][1] > 0 for seed in range(12)) >= 9


@pytest.mark.parametrize("name", SAMPLE)
def test_earlier_episodes_leave_no_trace(name: str):
    task = BY_NAME[name]
    used, fresh = task.make(), task.make()
    for seed in (5, 6):
        play(task, seed, used, noise=0.3)
    assert play(task, 9, used) == play(task, 9, fresh)


def beginning(env: gymnasium.Env, seed: int) -> tuple:
    """All that an episode begins with."""
    mission = env.reset(seed=seed)[0]["mission"]
    world = env.unwrapped
    carried = world.carrying and world.carrying.encode()
    return mission, world.grid.encode().tobytes(), tuple(world.agent_pos), int(world.agent_dir), carried


def test_levels_are_all_different():
    """Some of MiniGrid's names stand for the same level: same seeds, same grids and missions."""
    alike: dict[tuple, list] = {}
    for task in TASKS:
        env = task.make()
        alike.setdefault(tuple(beginning(env, seed) for seed in range(3)), []).append(env)
    for first, *others in alike.values():
        for other in others:
            assert any(beginning(first, seed) != beginning(other, seed) for seed in range(3, 100))


@pytest.mark.parametrize("name", ["babyai-boss-level", "babyai-synth-seq", "babyai-mini-boss-level"])
def test_long_missions_fit_their_space_and_their_time(name: str):
    task = BY_NAME[name]
    env = task.make()
    lengths, limits = set(), set()
    for seed in range(150):
        mission = env.reset(seed=seed)[0]["mission"]
        assert env.observation_space["mission"].contains(mission)
        lengths.add(len(mission))
        limits.add(env.unwrapped.max_steps)
    assert max(lengths) > 128
    assert max(limits) <= task.max_episode_steps
    assert task.max_episode_steps == 8 * min(limits)  # four clauses, each with two places to go to


def test_step_limits_are_those_of_the_levels():
    for task in TASKS:
        env = task.make()
        env.reset(seed=0)
        assert task.max_episode_steps % env.unwrapped.max_steps == 0 or "boss" in task.name or "seq" in task.name
        assert env.unwrapped.max_steps <= task.max_episode_steps
