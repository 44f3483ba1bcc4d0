"""What every task of the catalogue promises."""

import re
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env, data_equivalence

from gato.envs import Task, all_tasks, get_task

EVERY_TASK = pytest.mark.parametrize("task", all_tasks(), ids=lambda task: task.name)
FIRST_SEED = 77_000


def play(task: Task, seed: int, *, noise: float = 0.0, env: gymnasium.Env | None = None) -> list[tuple]:
    """One episode of the expert as (observation, action, reward, terminated, truncated, info) per step."""
    env = env or task.make()
    rng = np.random.default_rng(seed)
    env.action_space.seed(seed)
    expert = task.make_expert(env, rng)
    options = dict(task.variants[seed % len(task.variants)])
    observation, _ = env.reset(seed=seed, options=options)
    expert.reset()
    steps = []
    ended = False
    while not ended:
        action = expert.act(observation)
        assert env.action_space.contains(action), f"the expert gave {action!r}"
        if rng.random() < noise:
            action = env.action_space.sample()
        observation, reward, terminated, truncated, info = env.step(action)
        steps.append((observation, action, reward, terminated, truncated, info))
        ended = terminated or truncated
    return steps


def episode_return(steps: list[tuple]) -> float:
    return float(sum(step[2] for step in steps))


@EVERY_TASK
def test_environment_follows_the_gymnasium_contract(task: Task):
    with warnings.catch_warnings():
        # Its advice on unbounded or unscaled boxes concerns Gymnasium's own environments.
        warnings.simplefilter("ignore")
        check_env(task.make(), skip_render_check=True)


@EVERY_TASK
def test_spaces_are_of_kinds_that_a_tokenizer_can_know(task: Task):
    env = task.make()
    leaves = [env.observation_space, env.action_space]
    while leaves:
        space = leaves.pop()
        if isinstance(space, spaces.Dict):
            leaves += space.values()
            continue
        assert isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.Text)


@EVERY_TASK
def test_same_seed_gives_the_same_episode(task: Task):
    assert data_equivalence(play(task, FIRST_SEED), play(task, FIRST_SEED), exact=True)


@EVERY_TASK
def test_other_seed_gives_another_episode(task: Task):
    if task.name == "cliff-walking":
        pytest.skip("the cliff has a single start")
    assert not data_equivalence(play(task, FIRST_SEED), play(task, FIRST_SEED + 1))


@EVERY_TASK
def test_observations_lie_in_their_space(task: Task):
    env = task.make()
    for seed in range(FIRST_SEED, FIRST_SEED + 3):
        for observation, *_ in play(task, seed, noise=0.5, env=env):
            assert env.observation_space.contains(observation)


@EVERY_TASK
def test_expert_reaches_its_recorded_score(task: Task):
    env = task.make()
    num_episodes = 12
    returns = [episode_return(play(task, FIRST_SEED + index, env=env)) for index in range(num_episodes)]
    standard_error = task.scores.expert_std / np.sqrt(num_episodes)
    assert np.mean(returns) == pytest.approx(task.scores.expert_mean, abs=4 * standard_error + 1e-6)


@EVERY_TASK
def test_expert_succeeds_and_random_play_scores_less(task: Task):
    env = task.make()
    outcomes = [play(task, FIRST_SEED + index, env=env) for index in range(8)]
    assert sum(task.success(episode_return(steps), steps[-1][-1]) for steps in outcomes) >= 6
    scores = task.scores
    assert min(scores.random_episodes, scores.expert_episodes) >= 100
    standard_error = np.hypot(scores.random_std, scores.expert_std) / np.sqrt(scores.random_episodes)
    assert scores.expert_mean > scores.random_mean + 5 * standard_error


@EVERY_TASK
def test_a_poor_return_is_not_success(task: Task):
    assert not task.success(min(task.scores.random_mean - task.scores.random_std, 0.0), {})


@EVERY_TASK
def test_episodes_end_by_the_stated_limit(task: Task):
    env = task.make()
    env.action_space.seed(0)
    env.reset(seed=FIRST_SEED)
    num_steps, terminated, truncated = 0, False, False
    while not (terminated or truncated):
        *_, terminated, truncated, _ = env.step(env.action_space.sample())
        num_steps += 1
        assert num_steps <= task.max_episode_steps
    assert not truncated or num_steps == task.max_episode_steps


@EVERY_TASK
def test_expert_carries_on_when_other_actions_are_executed(task: Task):
    env = task.make()
    noisy = [episode_return(play(task, FIRST_SEED + index, noise=0.2, env=env)) for index in range(6)]
    assert np.mean(noisy) > task.scores.random_mean


@EVERY_TASK
def test_environment_is_drawn_for_videos(task: Task):
    env = task.make(render_mode="rgb_array")
    env.reset(seed=FIRST_SEED)
    picture = env.render()
    assert picture.dtype == np.uint8
    assert picture.shape[2:] == (3,)
    assert picture.std() > 1
    env.close()


@EVERY_TASK
def test_held_out_variants_are_not_trained(task: Task):
    assert task.variants
    assert not [variant for variant in task.held_out_variants if variant in task.variants]


@EVERY_TASK
def test_action_names_name_each_discrete_action(task: Task):
    space = task.make().action_space
    assert len(task.action_names) == (space.n if isinstance(space, spaces.Discrete) else 0)


def test_names_are_unique_kebab_case():
    names = [task.name for task in all_tasks()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in names)


def test_task_is_found_by_name_and_the_nearest_is_named_otherwise():
    assert get_task("cartpole").name == "cartpole"
    with pytest.raises(ValueError, match=r"'cart-pole', did you mean 'cartpole'\?"):
        get_task("cart-pole")
    with pytest.raises(ValueError, match=r"known are acrobot"):
        get_task("xyzzy")
