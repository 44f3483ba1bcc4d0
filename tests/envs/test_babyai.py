"""BabyAI: faster views that equal MiniGrid's own, storable observations, a bot that always answers."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from gato.envs import get_task
from gato.envs.babyai import BabyAIView
from gato.envs.simulator import import_simulator

LEVELS = {
    "go-to-red-ball-grey": "BabyAI-GoToRedBallGrey-v0",
    "go-to-local": "BabyAI-GoToLocal-v0",
    "open-door": "BabyAI-OpenDoor-v0",
    "pickup-loc": "BabyAI-PickupLoc-v0",
}
DONE = 6


@pytest.fixture(scope="module")
def minigrid_wrappers():
    import_simulator("minigrid", "babyai")
    return import_simulator("minigrid.wrappers", "babyai")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("form", ["pixels", "symbols"])
def test_view_equals_minigrids_own(level: str, form: str, minigrid_wrappers):
    """Episodes by the bot and at random, which also carry objects, open boxes and pass doors."""
    stock = gymnasium.make(LEVELS[level], disable_env_checker=True)
    if form == "pixels":
        stock = minigrid_wrappers.RGBImgPartialObsWrapper(stock, tile_size=8)
    task = get_task(f"{level}-{form}")
    ours = task.make()
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
    env = get_task("open-door-symbols").make().unwrapped
    wall = import_simulator("minigrid.core.world_object", "babyai").Wall()
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
    env = get_task(f"{level}-symbols").make()
    missions = {env.reset(seed=seed)[0]["mission"] for seed in range(40)}
    space = env.observation_space["mission"]
    assert isinstance(space, spaces.Text)
    assert all(space.contains(mission) for mission in missions)
    assert len(missions) > 5 or missions == {"go to the red ball"}


def test_nothing_is_printed(capfd):
    env = get_task("go-to-local-pixels").make()
    for seed in range(60):
        env.reset(seed=seed)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_bot_recovers_from_what_it_did_not_suggest():
    """Under half random actions it picks up, drops and turns away; opening boxes, which destroys them, is left out."""
    task = get_task("pickup-loc-symbols")
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
    import_simulator("minigrid", "babyai")
    env = BabyAIView(gymnasium.make("BabyAI-UnlockToUnlock-v0", disable_env_checker=True), pixels=False)
    expert = get_task("open-door-symbols").make_expert(env, np.random.default_rng(0))
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
