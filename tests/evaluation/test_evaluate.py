from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from gato.config import EvaluationConfig
from gato.evaluation.actors import RandomActor
from gato.evaluation.evaluate import PromptStudy, Subject, evaluate_task, study_prompts
from gato.evaluation.rollout import EpisodeStart

SUBJECT = Subject(task="guess", family="test", random_mean=0.25, expert_mean=1.0)
NUMBERS = [{"number": number} for number in range(4)]


class Guess(gym.Env):
    """One step: say the hidden number. The observation is always the same."""

    observation_space = spaces.Discrete(1)
    action_space = spaces.Discrete(4)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.number = (options or {}).get("number", 0)
        return 0, {}

    def step(self, action: Any):
        return 0, float(action == self.number), True, False, {"said": int(action)}


class Parrot:
    """Says what its prompt shows; without a prompt, 3."""

    def __init__(self, prompts: Sequence[Any]) -> None:
        self.prompts = prompts
        self.says: dict[int, int] = {}

    def reset(self, starts: Sequence[EpisodeStart]) -> None:
        for start in starts:
            shown = self.prompts[start.episode]
            self.says[start.slot] = 3 if shown is None else shown

    def act(self, observations: Sequence[Any]) -> list[Any]:
        return [None if observation is None else self.says[slot] for slot, observation in enumerate(observations)]


def follows(options: Mapping[str, Any], info: Mapping[str, Any]) -> bool:
    return info["said"] == options["number"]


def study(make_actor: Any = Parrot, groups: Any = None, episodes: int = 12, num_envs: int = 5) -> PromptStudy:
    return study_prompts(
        make_actor,
        Guess,
        EvaluationConfig(episodes=episodes, num_envs=num_envs, seed=7),
        subject=SUBJECT,
        variants={"trained": NUMBERS} if groups is None else groups,
        demonstrate=lambda options, episode: options["number"],
        follows=follows,
    )


def test_a_prompt_follower_scores_by_its_prompt():
    right, wrong, none = study().records
    assert [record.prompt for record in (right, wrong, none)] == ["right", "wrong", "none"]
    assert (right.success, right.followed, right.normalized) == (1, 1, 1)
    assert (wrong.success, wrong.followed) == (0, 1)
    assert wrong.normalized == pytest.approx(-1 / 3)  # never right is worse than chance
    assert (none.success, none.followed) == (0.25, None)  # says 3 in all twelve episodes, asked in every fourth


def test_context_effect_is_right_minus_wrong():
    assert study().context_effect("trained") == pytest.approx(4 / 3)
    assert study().context_effect("held-out") is None


def test_an_agent_deaf_to_its_prompt_has_no_context_effect():
    deaf = study(lambda prompts: Parrot([None] * len(prompts)))
    assert deaf.context_effect("trained") == 0


def test_all_prompts_play_the_same_episodes():
    by_prompt = [[trial for trial in study().trials if trial.prompt == prompt] for prompt in ("right", "wrong", "none")]
    for right, wrong, none in zip(*by_prompt, strict=True):
        assert right.scored == wrong.scored == none.scored == right.shown
        assert wrong.shown != wrong.scored
        assert none.shown is None
        assert right.rollout.episode.seed == wrong.rollout.episode.seed == none.rollout.episode.seed
        assert right.rollout.episode.options == right.scored


def test_wrong_demonstrations_come_from_all_other_variants_of_the_group():
    groups = {"trained": NUMBERS[:3], "held-out": NUMBERS[2:]}
    trials = [trial for trial in study(groups=groups, episodes=30).trials if trial.prompt == "wrong"]
    pairs = {
        (trial.scored["number"], trial.shown["number"])
        for trial in trials
        if trial.variants == "trained" and trial.shown is not None
    }
    assert pairs == {(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)}
    held_out = {trial.shown["number"] for trial in trials if trial.variants == "held-out" and trial.shown is not None}
    assert held_out == {2, 3}


def test_the_study_does_not_depend_on_the_number_of_environments():
    assert study(num_envs=1).records == study(num_envs=50).records


def test_a_lone_variant_cannot_be_studied():
    with pytest.raises(ValueError, match="a wrong prompt needs 2 or more"):
        study(groups={"trained": NUMBERS[:1]})


def test_a_task_is_scored_between_random_and_expert():
    options = [NUMBERS[episode % 2] for episode in range(10)]
    record, rollouts = evaluate_task(
        Parrot([0] * 10),
        Guess,
        EvaluationConfig(episodes=10, num_envs=4, seed=50),
        subject=SUBJECT,
        prompt="right",
        options=options,
        succeeded=lambda done: done.episode.episode_return == 1,
    )
    assert (record.episodes, record.return_mean, record.success, record.prompt, record.seed) == (
        10,
        0.5,
        0.5,
        "right",
        50,
    )
    assert record.normalized == pytest.approx((0.5 - 0.25) / 0.75)
    assert [done.episode.seed for done in rollouts] == list(range(50, 60))


def test_success_stays_unknown_where_nobody_can_tell():
    record, _ = evaluate_task(RandomActor(Guess.action_space), Guess, EvaluationConfig(episodes=3), subject=SUBJECT)
    assert record.success is None
    assert np.isfinite(record.return_mean)
