import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import pytest
from gymnasium import spaces

from gato.config import TokenizerConfig
from gato.envs import Score, Scores, Task
from gato.evaluation.evaluate import (
    PromptAblation,
    ReferenceMetrics,
    fraction_of,
    play_specs,
    prompt_ablation,
    result_of,
    score_records,
)
from gato.evaluation.evaluation_task import EvaluationTask, reference_means
from gato.evaluation.journal import EpisodeResult
from gato.evaluation.plan import EpisodeSpec, plan_ablation, plan_scores
from gato.evaluation.rollout import EpisodeStart, Rollout
from gato.evaluation.scores import context_effect
from gato.tokenizer.spaces import TimestepTokenizer

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
    """Says what it is shown; shown nothing, 3."""

    def __init__(self) -> None:
        self.says: dict[int, int] = {}

    def reset(self, starts: Sequence[EpisodeStart]) -> None:
        for start in starts:
            shown = None if start.job.prompt is None else start.job.prompt()
            self.says[start.slot] = 3 if shown is None else shown["number"]

    def act(self, observations: Sequence[Any]) -> list[Any]:
        return [None if observation is None else self.says[slot] for slot, observation in enumerate(observations)]


class Deaf(Parrot):
    """Says 3 whatever it is shown."""

    def reset(self, starts: Sequence[EpisodeStart]) -> None:
        self.says |= {start.slot: 3 for start in starts}


def follows(options: Mapping[str, Any], info: Mapping[str, Any]) -> bool:
    return info["said"] == options["number"]


def task(name: str = "guess", num_variants: int = 4, num_held_out: int = 0, numbers=NUMBERS) -> EvaluationTask:
    means = {"random": 0.25, "expert": 1.0}
    scores = {name: Score(mean=mean, date="2026-01-01", source="this test") for name, mean in means.items()}
    return EvaluationTask(
        task=Task(
            name=name,
            family="test",
            description="Say the hidden number.",
            make=Guess,
            make_expert=lambda env, rng: Parrot(),
            max_episode_steps=1,
            success=lambda episode_return, info: episode_return == 1,
            success_source="this test",
            scores=Scores(**scores),
            variants=tuple(numbers[:num_variants]),
            held_out_variants=tuple(numbers[num_variants : num_variants + num_held_out]),
            follows=follows,
        ),
        make_env=Guess,
        observation_space=Guess.observation_space,
        action_space=Guess.action_space,
        timesteps=TimestepTokenizer(Guess.observation_space, Guess.action_space, TokenizerConfig(text_vocab_size=260)),
        num_tokens=3,
    )


def play(
    specs: Sequence[EpisodeSpec], tasks: Sequence[EvaluationTask], actor: Parrot, num_envs: int
) -> dict[EpisodeSpec, Rollout]:
    by_name = {one.name: one for one in tasks}

    def shown(index: int) -> Mapping[str, Any] | None:
        demonstration = specs[index].shown
        return None if demonstration is None else NUMBERS[demonstration.variant]

    return dict(play_specs(specs, by_name, actor, num_envs=num_envs, prompt_of=shown))


def ablation(
    make_actor: Callable[[], Parrot] = Parrot, episodes: int = 12, num_envs: int = 5, held_out: int = 0
) -> PromptAblation:
    guess = task(num_variants=4 - held_out, num_held_out=held_out)
    specs = plan_ablation([guess], episodes=episodes, seed=7).specs
    return prompt_ablation(specs, guess, play(specs, [guess], make_actor(), num_envs))


def results(specs: Sequence[EpisodeSpec], num_envs: int = 3) -> dict[Any, EpisodeResult]:
    played = play(specs, [task(), task("same")], Parrot(), num_envs)
    return {spec.key: result_of(spec, task(), done) for spec, done in played.items()}


def test_a_prompt_follower_scores_by_its_prompt():
    right, wrong, none = ablation().records
    assert [record.prompt for record in (right, wrong, none)] == ["right", "wrong", "none"]
    assert (right.success, right.followed, right.normalized) == (1, 1, 1)
    assert (wrong.success, wrong.followed) == (0, 1)
    assert wrong.normalized == pytest.approx(-1 / 3)  # never right is worse than chance
    assert (none.success, none.followed) == (0.25, None)  # says 3 in all twelve episodes, asked in every fourth


def test_context_effect_is_right_minus_wrong():
    effect = context_effect(ablation().records)
    assert effect is not None
    assert effect.interval.value == pytest.approx(4 / 3)


def test_an_agent_deaf_to_its_prompt_has_no_context_effect():
    effect = context_effect(ablation(Deaf).records)
    assert effect is not None
    assert effect.interval.value == 0


def test_held_out_variants_are_told_apart():
    found = {(record.variants, record.prompt): record.followed for record in ablation(held_out=2).records}
    assert found["trained", "right"] == found["held-out", "wrong"] == 1
    shown = {
        spec.shown.variant for spec, _ in ablation(held_out=2).episodes if spec.variants == "held-out" and spec.shown
    }
    assert shown == {2, 3}


def test_an_ablation_keeps_what_was_asked_and_shown():
    found = ablation()
    assert len(found.episodes) == 36
    for spec, done in found.episodes:
        assert done.episode.options == found.variants[spec.variant]
        assert (spec.shown is None) == (spec.prompt == "none")
        assert (spec.shown is not None and spec.shown.variant == spec.variant) == (spec.prompt == "right")


def test_the_ablation_does_not_depend_on_the_number_of_environments():
    assert ablation(num_envs=1).records == ablation(num_envs=50).records


def test_a_task_is_scored_between_random_and_expert():
    one = task(numbers=[{"number": 3}, {"number": 0}], num_variants=2)
    specs = plan_scores([one], "none", episodes=10, seed=50).specs
    found = {spec.key: result_of(spec, one, done) for spec, done in play(specs, [one], Deaf(), 4).items()}
    (record,) = score_records(specs, found, {"guess": one})
    assert (record.episodes, record.return_mean, record.success) == (10, 0.5, 0.5)
    assert (record.prompt, record.seed, record.variants) == ("none", 50, "all")
    assert record.normalized == pytest.approx((0.5 - 0.25) / 0.75)
    assert record.returns == (1, 0) * 5


def test_records_do_not_depend_on_the_order_of_results():
    specs = plan_scores([task("same", 1), task()], "right", episodes=8, seed=0).specs
    tasks = {"guess": task(), "same": task("same", 1)}
    found = results(specs)
    backwards = results(specs[::-1], num_envs=5)
    assert [record.task for record in score_records(specs, found, tasks)] == ["same", "guess"]
    assert score_records(specs, found, tasks) == score_records(specs, backwards, tasks)


def test_a_record_is_made_when_all_its_episodes_are_there():
    tasks = {"same": task("same", 1), "guess": task()}
    specs = plan_scores(list(tasks.values()), "right", episodes=3, seed=0).specs
    found = results(specs)
    del found[specs[-1].key]
    assert [record.task for record in score_records(specs, found, tasks)] == ["same"]


def test_nothing_can_be_followed_that_another_task_shows():
    specs = plan_scores([task(), task("same")], "wrong", episodes=4, seed=0).specs
    assert {spec.shown.task for spec in specs if spec.task == "guess" and spec.shown} == {"same"}
    assert {result.followed for result in results(specs).values()} == {None}


def test_what_is_followed_stays_unknown_where_nobody_can_tell():
    guess = task()
    silent = dataclasses.replace(guess, task=dataclasses.replace(guess.task, follows=None))
    specs = plan_scores([silent], "right", episodes=3, seed=0).specs
    played = play(specs, [silent], Parrot(), 1)
    found = {spec.key: result_of(spec, silent, done) for spec, done in played.items()}
    (record,) = score_records(specs, found, {"guess": silent})
    assert record.followed is None
    assert record.success == 1
    assert fraction_of([True, None]) is None
    assert fraction_of([True, False, False, False]) == 0.25


def test_reference_metrics_stand_in_the_record_they_belong_to():
    specs = plan_ablation([task()], episodes=4, seed=0).specs
    beside = {("guess", "wrong", "trained"): ReferenceMetrics(followed_by_chance=0.25, first_actions_nll=1.5)}
    right, wrong, _ = score_records(specs, results(specs), {"guess": task()}, beside)  # type: ignore[arg-type]
    assert (wrong.followed_by_chance, wrong.first_actions_nll) == (0.25, 1.5)
    assert (right.followed_by_chance, right.first_actions_nll) == (None, None)


def test_scores_need_references():
    assert reference_means(task().task) == (0.25, 1.0)
    with pytest.raises(ValueError, match="task 'guess' has no reference scores to compare with"):
        reference_means(dataclasses.replace(task().task, scores=None))
