from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from gato.evaluation.evaluate import (
    PlayedTask,
    PromptStudy,
    Subject,
    Yardsticks,
    play_cells,
    score_records,
    study_prompts,
)
from gato.evaluation.journal import EpisodeResult, key_of
from gato.evaluation.plan import Cell, PlannedTask, plan_scores, plan_study
from gato.evaluation.rollout import EpisodeStart
from gato.evaluation.scores import context_effect

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

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = cells
        self.says: dict[int, int] = {}

    def reset(self, starts: Sequence[EpisodeStart]) -> None:
        for start in starts:
            shown = self.cells[start.episode].shown
            self.says[start.slot] = 3 if shown is None else NUMBERS[shown.variant]["number"]

    def act(self, observations: Sequence[Any]) -> list[Any]:
        return [None if observation is None else self.says[slot] for slot, observation in enumerate(observations)]


class Deaf(Parrot):
    """Says 3 whatever it is shown."""

    def reset(self, starts: Sequence[EpisodeStart]) -> None:
        self.says |= {start.slot: 3 for start in starts}


def follows(options: Mapping[str, Any], info: Mapping[str, Any]) -> bool:
    return info["said"] == options["number"]


def task(name: str = "guess", **changes: Any) -> PlayedTask:
    settings = {
        "subject": Subject(task=name, family="test", random_mean=0.25, expert_mean=1.0),
        "make_env": Guess,
        "variants": NUMBERS,
        "succeeded": lambda episode_return, info: episode_return == 1,
        "follows": follows,
    }
    return PlayedTask(**{**settings, **changes})


def study(
    make_actor: Callable[[Sequence[Cell]], Any] = Parrot, episodes: int = 12, num_envs: int = 5, held_out: int = 0
) -> PromptStudy:
    planned = PlannedTask(name="guess", num_variants=4 - held_out, num_held_out=held_out)
    cells = plan_study([planned], episodes=episodes, seed=7).cells
    return study_prompts(task(), cells, make_actor(cells), num_envs=num_envs)


def results(cells: Sequence[Cell], num_envs: int = 3) -> dict[Any, EpisodeResult]:
    played = play_cells(cells, {"guess": task(), "same": task("same")}, Parrot(cells), num_envs=num_envs)
    return {key_of(cell): task().result(cell, done) for cell, done in played}


def test_a_prompt_follower_scores_by_its_prompt():
    right, wrong, none = study().records
    assert [record.prompt for record in (right, wrong, none)] == ["right", "wrong", "none"]
    assert (right.success, right.followed, right.normalized) == (1, 1, 1)
    assert (wrong.success, wrong.followed) == (0, 1)
    assert wrong.normalized == pytest.approx(-1 / 3)  # never right is worse than chance
    assert (none.success, none.followed) == (0.25, None)  # says 3 in all twelve episodes, asked in every fourth


def test_context_effect_is_right_minus_wrong():
    assert context_effect(study().records).interval.value == pytest.approx(4 / 3)


def test_an_agent_deaf_to_its_prompt_has_no_context_effect():
    assert context_effect(study(Deaf).records).interval.value == 0


def test_held_out_variants_are_told_apart():
    found = {(record.variants, record.prompt): record.followed for record in study(held_out=2).records}
    assert found["trained", "right"] == found["held-out", "wrong"] == 1
    assert {
        shown["number"] for trial in study(held_out=2).trials if trial.variants == "held-out" and (shown := trial.shown)
    } == {2, 3}


def test_trials_say_what_was_asked_and_shown():
    trials = study().trials
    assert len(trials) == 36
    for trial in trials:
        assert trial.rollout.episode.options == trial.scored
        assert (trial.shown == trial.scored) == (trial.prompt == "right")
        assert (trial.shown is None) == (trial.prompt == "none")


def test_the_study_does_not_depend_on_the_number_of_environments():
    assert study(num_envs=1).records == study(num_envs=50).records


def test_a_task_is_scored_between_random_and_expert():
    cells = plan_scores([PlannedTask(name="guess", num_variants=2)], "none", episodes=10, seed=50).cells
    deaf = play_cells(cells, {"guess": task(variants=[{"number": 3}, {"number": 0}])}, Deaf(cells), num_envs=4)
    found = {key_of(cell): task().result(cell, done) for cell, done in deaf}
    (record,) = score_records(cells, found, {"guess": task()})
    assert (record.episodes, record.return_mean, record.success) == (10, 0.5, 0.5)
    assert (record.prompt, record.seed, record.variants) == ("none", 50, "all")
    assert record.normalized == pytest.approx((0.5 - 0.25) / 0.75)
    assert record.returns == (1, 0) * 5


def test_records_do_not_depend_on_the_order_of_results():
    planned = [PlannedTask(name="same"), PlannedTask(name="guess", num_variants=4)]
    cells = plan_scores(planned, "right", episodes=8, seed=0).cells
    tasks = {"guess": task(), "same": task("same")}
    found = results(cells)
    backwards = results(cells[::-1], num_envs=5)
    assert [record.task for record in score_records(cells, found, tasks)] == ["same", "guess"]
    assert score_records(cells, found, tasks) == score_records(cells, backwards, tasks)


def test_a_record_is_made_when_all_its_episodes_are_there():
    planned = [PlannedTask(name="same"), PlannedTask(name="guess", num_variants=4)]
    cells = plan_scores(planned, "right", episodes=3, seed=0).cells
    found = results(cells)
    del found[key_of(cells[-1])]
    assert [record.task for record in score_records(cells, found, {"guess": task(), "same": task("same")})] == ["same"]


def test_nothing_can_be_followed_that_another_task_shows():
    twins = [PlannedTask(name="guess", num_variants=4), PlannedTask(name="same", num_variants=4)]
    cells = plan_scores(twins, "wrong", episodes=4, seed=0).cells
    assert {cell.shown.task for cell in cells if cell.task == "guess"} == {"same"}
    assert {result.followed for result in results(cells).values()} == {None}


def test_success_stays_unknown_where_nobody_can_tell():
    cells = plan_scores([PlannedTask(name="guess")], "none", episodes=3, seed=0).cells
    silent = task(succeeded=None, follows=None)
    played = play_cells(cells, {"guess": silent}, Deaf(cells), num_envs=1)
    found = {key_of(cell): silent.result(cell, done) for cell, done in played}
    (record,) = score_records(cells, found, {"guess": silent})
    assert record.success is None
    assert np.isfinite(record.return_mean)


def test_yardsticks_stand_in_the_record_they_belong_to():
    cells = plan_study([PlannedTask(name="guess", num_variants=4)], episodes=4, seed=0).cells
    beside = {("guess", "wrong", "trained"): Yardsticks(followed_by_chance=0.25, first_actions_nll=1.5)}
    right, wrong, _ = score_records(cells, results(cells), {"guess": task()}, beside)  # type: ignore[arg-type]
    assert (wrong.followed_by_chance, wrong.first_actions_nll) == (0.25, 1.5)
    assert (right.followed_by_chance, right.first_actions_nll) == (None, None)
