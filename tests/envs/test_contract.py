"""What every task of the catalogue promises, checked on every one of them."""

import contextlib
import itertools
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env, data_equivalence

from gato.data.sources.minari import MinariSource
from gato.data.sources.minari_writer import write_minari
from gato.envs import Scores, Task, all_tasks
from gato.evaluation.actors import ExpertActor, RandomActor
from gato.evaluation.rollout import Rollout, rollout

FIRST_SEED = 77_000
NUM_STEPS = 40  # of the episodes that are compared step by step


# Groups of tasks made by one function, which differ in a game, a map, an object or a goal.
ALIKE = (
    "adroit-",
    "ant-maze-",
    "atari-",
    "franka-kitchen-",
    "hand-manipulate-",
)


def cases() -> Iterator[Any]:
    """Every task; of those that are alike, all but every fifth wait for the slow tests."""
    seen: Counter[str] = Counter()
    for task in all_tasks():
        group = next((prefix for prefix in ALIKE if task.name.startswith(prefix)), task.name)
        waits = seen[group] % 5 > 0
        seen[group] += 1
        yield pytest.param(task, id=task.name, marks=[pytest.mark.slow] if waits else [])


@pytest.fixture(scope="module", params=cases())
def task(request) -> Task:
    return request.param


@pytest.fixture(scope="module")
def env(task: Task) -> Iterator[gymnasium.Env]:
    """One environment for all tests of the task: what an earlier test did in it must not matter."""
    env = task.make()
    yield env
    env.close()


@dataclass(frozen=True)
class Kept:
    """An environment that outlives the rollouts that use it."""

    env: gymnasium.Env

    def __call__(self) -> gymnasium.Env:
        kept = gymnasium.Wrapper(self.env)
        kept.close = lambda: None  # type: ignore[method-assign]
        return kept


@pytest.fixture(scope="module")
def demonstration(task: Task, env: gymnasium.Env) -> Rollout:
    """An episode of the expert that succeeds, cut after its success where the environment goes on."""
    if task.make_expert is None:
        pytest.skip("no expert")
    seeds = range(FIRST_SEED, FIRST_SEED + (20 if not task.expert_solves else 3))
    options = [task.variants[seed % len(task.variants)] for seed in seeds]
    for played in rollout(Kept(env), ExpertActor(task.make_expert), seeds, options=options, steps_after_success=3):
        if task.success(played.episode.episode_return, played.info):
            return played
    pytest.fail(f"the expert succeeds in none of {len(seeds)} episodes")


def random_steps(task: Task, env: gymnasium.Env, seed: int, num_steps: int = NUM_STEPS) -> list[Any]:
    """What the environment answers to a fixed series of random actions."""
    options = dict(task.variants[seed % len(task.variants)])
    env.action_space.seed(seed)
    answers: list[Any] = [env.reset(seed=seed, options=options)[0]]
    for _ in range(num_steps):
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        answers.append((observation, float(reward), bool(terminated), bool(truncated), info.get("success")))
        if terminated or truncated:
            break
    return answers


def test_environment_follows_the_gymnasium_contract(env: gymnasium.Env):
    with warnings.catch_warnings():
        # Its advice on unbounded or unscaled boxes concerns the simulators' own spaces.
        warnings.simplefilter("ignore")
        check_env(gymnasium.Wrapper(env), skip_render_check=True, skip_close_check=True)


def test_spaces_are_of_kinds_that_a_tokenizer_can_know(env: gymnasium.Env):
    leaves: list[gymnasium.Space] = [env.observation_space, env.action_space]
    while leaves:
        space = leaves.pop()
        if isinstance(space, spaces.Dict):
            leaves += space.values()
            continue
        assert isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary | spaces.Text)


def test_episode_depends_on_its_seed_alone(task: Task, env: gymnasium.Env):
    """A used environment and a fresh one, which may not share hidden state with each other or with the past."""
    fresh = task.make()
    expected = random_steps(task, fresh, FIRST_SEED)
    other = random_steps(task, env, FIRST_SEED + 1)
    answers = random_steps(task, env, FIRST_SEED)
    again = random_steps(task, fresh, FIRST_SEED)
    fresh.close()
    assert data_equivalence(answers, expected, exact=True)
    assert data_equivalence(again, expected, exact=True)
    if data_equivalence(other, expected):  # some games begin with seconds that no action changes
        long = [random_steps(task, env, seed, 400) for seed in (FIRST_SEED, FIRST_SEED + 1)]
        assert not data_equivalence(*long)


def test_observations_lie_in_their_space(task: Task, env: gymnasium.Env):
    for seed in range(FIRST_SEED, FIRST_SEED + 3):
        first, *answers = random_steps(task, env, seed)
        for observation in [first, *(answer[0] for answer in answers)]:
            assert env.observation_space.contains(observation)


def test_views_show_the_same_episode(task: Task, env: gymnasium.Env):
    num_steps = 10  # pictures are slow in some simulators
    expected = [answer[1:] for answer in random_steps(task, env, FIRST_SEED, num_steps)[1:]]
    shown = {repr(env.observation_space)}
    for view in itertools.islice(task.views, 1, None):
        seen = task.seen_as(view)
        other = seen.make()
        first, *answers = random_steps(seen, other, FIRST_SEED, num_steps)
        assert [answer[1:] for answer in answers] == expected
        assert all(other.observation_space.contains(observation) for observation in [first, *(a[0] for a in answers)])
        shown.add(repr(other.observation_space))
        other.close()
    assert len(shown) == max(1, len(task.views)), "views differ in their spaces"


def test_expert_carries_on_when_other_actions_are_executed(task: Task, env: gymnasium.Env):
    if task.make_expert is None:
        pytest.skip("no expert")
    noise_rng = np.random.default_rng(0)
    env.action_space.seed(0)
    expert = task.make_expert(env, np.random.default_rng(0))
    observation, _ = env.reset(seed=FIRST_SEED, options=dict(task.variants[FIRST_SEED % len(task.variants)]))
    expert.reset()
    for _ in range(NUM_STEPS):
        action = expert.act(observation)
        assert env.action_space.contains(action), f"the expert gave {action!r}"
        executed = env.action_space.sample() if noise_rng.random() < 0.5 else action
        observation, _, terminated, truncated, _ = env.step(executed)
        if terminated or truncated:
            break


def test_demonstration_is_stored_read_back_and_replayed(
    task: Task, env: gymnasium.Env, demonstration: Rollout, tmp_path: Path
):
    episode = demonstration.episode
    write_minari(tmp_path / "set", [episode], env.observation_space, env.action_space, dataset_id="test/set-v0")
    stored = MinariSource(tmp_path / "set", task.name)[0]
    assert data_equivalence(stored.observations, episode.observations, exact=True)
    assert data_equivalence(stored.actions, episode.actions, exact=True)
    assert (stored.seed, stored.options) == (episode.seed, episode.options)
    if task.not_replayable is None:
        env.reset(seed=stored.seed, options=stored.options)
        rewards = [float(env.step(action)[1]) for action in stored.actions]
        assert rewards == episode.rewards.tolist()


def measured(task: Task) -> Scores:
    assert task.scores is not None, f"measure it: gato measure {task.name}"
    return task.scores


def test_expert_scores_above_chance_as_measured(task: Task):
    scores = measured(task)
    assert (scores.expert is None) == (task.make_expert is None)
    if scores.expert is None:
        return
    random, expert = scores.random, scores.expert
    assert min(random.episodes or 0, expert.episodes or 0) >= 30
    assert expert.mean > random.mean + 5 * np.hypot(random.standard_error or 0, expert.standard_error or 0)
    if task.expert_solves:
        assert expert.success is not None
        assert expert.success >= 0.8


def test_a_poor_return_is_not_success(task: Task):
    chance = measured(task).random
    assert not task.success(min(chance.mean - (chance.std or 0) - 1, 0.0), {})


def test_episodes_end_by_the_stated_limit(task: Task, env: gymnasium.Env):
    """Only where the way there is short: long episodes are left to the measured mean lengths."""
    scores = measured(task)
    for score in (scores.random, scores.expert):
        assert score is None or score.steps is None or score.steps <= task.max_episode_steps
    if task.max_episode_steps <= 200:
        assert len(random_steps(task, env, FIRST_SEED, 10**6)) <= task.max_episode_steps + 1


def test_environment_is_drawn_for_videos(task: Task):
    env = task.make(render_mode="rgb_array")
    # Some games begin in the dark, or hide the board while they think.
    random_steps(task, env, FIRST_SEED, NUM_STEPS if task.family == "atari" else 1)
    picture = env.render()
    assert isinstance(picture, np.ndarray)
    assert picture.dtype == np.uint8
    assert picture.shape[2:] == (3,)
    assert picture.std() > 1
    env.close()


def test_nothing_is_printed(task: Task, capfd):
    env = task.make()
    with contextlib.closing(env):
        random_steps(task, env, FIRST_SEED, 5)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_held_out_variants_are_not_trained(task: Task):
    assert task.variants
    assert not [variant for variant in task.held_out_variants if variant in task.variants]


def test_action_names_name_each_discrete_action(task: Task, env: gymnasium.Env):
    if task.action_names:
        assert isinstance(env.action_space, spaces.Discrete)
        assert len(task.action_names) == env.action_space.n


def test_description_is_one_sentence(task: Task):
    assert re.fullmatch(r"[A-Z][^.]*\.", task.description)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", task.name)


@pytest.mark.slow
def test_expert_reaches_its_measured_score(task: Task, env: gymnasium.Env):
    if task.make_expert is None:
        pytest.skip("no expert")
    expected = measured(task).expert
    assert expected is not None
    seeds = range(FIRST_SEED, FIRST_SEED + 12)
    options = [task.variants[seed % len(task.variants)] for seed in seeds]
    played = rollout(Kept(env), ExpertActor(task.make_expert), seeds, options=options)
    returns = [one.episode.episode_return for one in played]
    assert np.mean(returns) == pytest.approx(expected.mean, abs=4 * (expected.std or 0) / np.sqrt(12) + 1e-6)


@pytest.mark.slow
def test_chance_reaches_its_measured_score(task: Task, env: gymnasium.Env):
    expected = measured(task).random
    seeds = range(FIRST_SEED, FIRST_SEED + 12)
    options = [task.variants[seed % len(task.variants)] for seed in seeds]
    played = rollout(Kept(env), RandomActor(env.action_space), seeds, options=options)
    returns = [one.episode.episode_return for one in played]
    # A reward that chance finds once in hundreds of episodes may be here and not in the measurement, whose spread is 0.
    spread = max(expected.std or 0, np.std(returns))
    assert np.mean(returns) == pytest.approx(expected.mean, abs=5 * spread / np.sqrt(12) + 1e-6)
