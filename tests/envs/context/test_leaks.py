"""Nothing but a demonstration may tell what a context task asks for: checked on what the agent would see."""

from typing import Any

import numpy as np
import pytest

from gato.config import TokenizerConfig
from gato.envs import Task, all_tasks, get_task
from gato.tokenizer.sequence import TokenSequence
from gato.tokenizer.spaces import TimestepTokenizer

CONTEXT = [*(task for task in all_tasks() if task.follows is not None), get_task("go-to-shown-places")]
NUM_STARTS = 40
FIRST_SEED = 31_000
NUM_STEPS = 12  # under the same actions


@pytest.fixture(scope="module", params=CONTEXT, ids=lambda task: task.name)
def task(request) -> Task:
    return request.param


@pytest.fixture(scope="module")
def env(task: Task):
    env = task.make()
    yield env
    env.close()


def some_variants(task: Task, most: int = 8) -> list[dict[str, Any]]:
    """Trained and held-out ones, spread over all."""
    variants = [*task.variants, *task.held_out_variants]
    chosen = np.linspace(0, len(variants) - 1, min(most, len(variants))).round().astype(int)
    return [dict(variants[index]) for index in chosen]


def tokens_of(env, observation) -> list[int]:
    """What the agent sees, as ids."""
    encoder = TimestepTokenizer(env.observation_space, env.action_space, TokenizerConfig())
    sequence: TokenSequence = encoder.encode_observation(observation)
    assert not len(sequence.patches), "pictures would have to be compared too"
    return sequence.tokens.tolist()


def test_every_variant_starts_alike_and_no_info_tells(task: Task, env):
    for seed in range(FIRST_SEED, FIRST_SEED + 3):
        starts = [env.reset(seed=seed, options=variant) for variant in some_variants(task)]
        assert all(info == {} for _, info in starts)
        assert len({tuple(tokens_of(env, observation)) for observation, _ in starts}) == 1


def test_a_classifier_of_starts_stays_at_chance(task: Task, env):
    """Nearest neighbour on tokens, over starts of its own for each variant; it would be right far more often if the
    starts leaked, and is tested on starts that it has not seen."""
    variants = some_variants(task, 2)
    seen, labels = [], []
    for index, variant in enumerate(variants):
        for number in range(NUM_STARTS):
            seed = FIRST_SEED + 100 + number * len(variants) + index
            seen.append(tokens_of(env, env.reset(seed=seed, options=variant)[0]))
            labels.append(index)
    tokens, known = np.array(seen, float), np.array(labels)
    distances = np.abs(tokens[:, None] - tokens[None]).sum(-1)
    np.fill_diagonal(distances, np.inf)
    # Among equally near ones all vote, so that many equal starts count as no knowledge.
    nearest = distances == distances.min(axis=1, keepdims=True)
    votes = (nearest * (known == 1)).sum(axis=1) / nearest.sum(axis=1)
    right = np.where(known == 1, votes, 1 - votes).mean()
    assert abs(right - 0.5) < 4 * 0.5 / np.sqrt(len(known))


def test_the_same_actions_look_the_same_whatever_is_asked_for(task: Task, env):
    """Until the first step that ends an episode of one variant: only then may anything differ."""
    if "moves" in task.variants[0]:
        pytest.skip("what the actions do is what is hidden")
    longest = 0
    for seed in range(FIRST_SEED, FIRST_SEED + 4):
        env.action_space.seed(seed)
        actions = [env.action_space.sample() for _ in range(NUM_STEPS)]
        shown = [seen_under(env, seed, variant, actions) for variant in some_variants(task, 4)]
        length = min(map(len, shown))
        assert all(episode[:length] == shown[0][:length] for episode in shown)
        longest = max(longest, length)
    assert longest > 3


def seen_under(env, seed: int, variant: dict[str, Any], actions: list[Any]) -> list[list[int]]:
    """The observations, as tokens, that these actions lead to before the episode ends."""
    observation, _ = env.reset(seed=seed, options=variant)
    seen = [tokens_of(env, observation)]
    for action in actions:
        observation, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            break
        assert info == {}
        seen.append(tokens_of(env, observation))
    return seen


def test_follows_tells_the_variants_apart(task: Task, env):
    """An expert's episode follows its own variant, and hardly ever another one."""
    assert task.make_expert is not None
    assert task.follows is not None
    variants = some_variants(task, 6)
    own, other = [], []
    for number, variant in enumerate(variants * 2):
        expert = task.make_expert(env, np.random.default_rng(number))
        observation, info = env.reset(seed=FIRST_SEED + number, options=variant)
        expert.reset()
        over = False
        while not over:
            observation, _, terminated, truncated, info = env.step(expert.act(observation))
            over = terminated or truncated
        own.append(task.follows(variant, info))
        assert info["success"] == own[-1]
        other += [task.follows(each, info) for each in variants if each != variant]
    assert np.mean(own) >= 0.9
    assert np.mean(other) <= 0.1
