"""Box2D: worlds without memory, a race drawn as Gymnasium draws it, and drivers that arrive."""

import gymnasium
import numpy as np
import pytest

from gato.envs.box2d import TASKS

TASK = {task.name: task for task in TASKS}
pytest.importorskip("Box2D")


def random_play(env: gymnasium.Env, seed: int, num_steps: int) -> np.ndarray:
    observations = [env.reset(seed=seed)[0]]
    env.action_space.seed(seed)
    for _ in range(num_steps):
        observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
        observations.append(observation)
        if terminated or truncated:
            break
    return np.array(observations)


def expert_return(name: str, seed: int, env: gymnasium.Env) -> float:
    expert = TASK[name].make_expert(env, np.random.default_rng(0))
    observation, _ = env.reset(seed=seed)
    expert.reset()
    total, ended = 0.0, False
    while not ended:
        action = expert.act(observation)
        assert env.action_space.contains(action)
        observation, reward, terminated, truncated, _ = env.step(action)
        total, ended = total + reward, terminated or truncated
    return total


@pytest.mark.parametrize(("name", "num_steps"), [(name, 10 if name == "car-racing" else 250) for name in TASK])
def test_episode_depends_on_its_seed_alone(name: str, num_steps: int):
    env = TASK[name].make()
    first = [random_play(env, seed, num_steps) for seed in range(4)]
    for seed in (3, 1):
        assert np.array_equal(random_play(env, seed, num_steps), first[seed])
        assert np.array_equal(random_play(TASK[name].make(), seed, num_steps), first[seed])


def test_gymnasiums_own_walker_remembers_the_episode_before():
    """Why there is FreshWorld; where this fails, it can go."""
    env = TASK["bipedal-walker-hardcore"].make().env
    first = [random_play(env, seed, 250) for seed in range(6)]
    again = [random_play(env, seed, 250) for seed in range(6)]
    assert not all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))


def test_race_looks_as_gymnasium_draws_it():
    ours, plain = TASK["car-racing"].make(), gymnasium.make("CarRacing-v3", disable_env_checker=True)
    expert = TASK["car-racing"].make_expert(ours, np.random.default_rng(0))
    observation, _ = ours.reset(seed=8)
    expert.reset()
    assert np.array_equal(observation, plain.reset(seed=8)[0])
    for _ in range(80):
        action = expert.act(observation)
        observation, reward, *_ = ours.step(action)
        expected, expected_reward, *_ = plain.step(action)
        assert np.array_equal(observation, expected)
        assert reward == expected_reward


def unseen_race() -> gymnasium.Env:
    """The race without its pictures, which take most of the time: the driver looks at the track."""
    env = TASK["car-racing"].make()
    env.unwrapped._render = lambda mode: np.zeros((96, 96, 3), np.uint8)
    return env


def test_racer_goes_round_in_time():
    env = unseen_race()
    assert all(expert_return("car-racing", seed, env) >= 900 for seed in range(20, 32))


def test_racer_finds_back_to_the_road():
    env = unseen_race()
    expert = TASK["car-racing"].make_expert(env, np.random.default_rng(0))
    observation, _ = env.reset(seed=5)
    expert.reset()
    total, step, ended = 0.0, 0, False
    full_gas_to_the_right = np.array([0.6, 1, 0], np.float32)
    while not ended:
        action = full_gas_to_the_right if 100 <= step < 125 else expert.act(observation)
        observation, reward, terminated, truncated, _ = env.step(action)
        total, step, ended = total + reward, step + 1, terminated or truncated
    assert total > 700


@pytest.mark.parametrize(("name", "num_solved"), [("lunar-lander", 14), ("lunar-lander-continuous", 17)])
def test_lander_lands(name: str, num_solved: int):
    env = TASK[name].make()
    assert sum(expert_return(name, seed, env) >= 200 for seed in range(20)) >= num_solved


def test_walker_arrives_more_often_than_it_falls():
    env = TASK["bipedal-walker"].make()
    assert sum(expert_return("bipedal-walker", seed, env) >= 250 for seed in range(20)) >= 8
