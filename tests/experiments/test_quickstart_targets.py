"""What the quickstart says of a run with made-up scores."""

import numpy as np
import pytest

from gato.configs import quickstart
from gato.envs import get_task
from gato.evaluation.language_scores import LanguageExample, LanguageTrial
from gato.evaluation.scores import ScoreRecord
from gato.evaluation.statistics import Interval, wilson_interval
from gato.experiments.quickstart_targets import (
    TARGET_SCORES,
    TASKS_TO_WATCH,
    Reached,
    missed_sentences,
    reached_by,
    target_table,
    task_to_watch,
)


def reached(name: str, value: float, low: float = 0.0, high: float = 1.0) -> Reached:
    return Reached(name=name, score=Interval(value=value, low=low, high=high), trials="20 episodes")


def language(captions: list[bool], questions: list[bool]) -> list[LanguageTrial]:
    image = np.zeros((16, 16, 3), np.uint8)
    return [
        LanguageTrial(example=LanguageExample(image=image, reference="yes"), kind=kind, answer="yes" if hit else "no")
        for kind, hits in (("caption", captions), ("how many", questions[:1]), ("is there", questions[1:]))
        for hit in hits
    ]


def test_tasks_that_can_be_suggested_are_trained_on_and_have_a_target():
    trained = {source.name for source in quickstart.get_config().data.sources}
    assert set(TASKS_TO_WATCH) == set(TARGET_SCORES) - {"captions", "questions"}
    assert set(TASKS_TO_WATCH) <= trained
    for name in TASKS_TO_WATCH:
        get_task(name)


def test_scores_come_from_records_and_from_exact_matches():
    record = ScoreRecord.from_returns(
        [0.5, 1.0], task="cartpole", family="f", seed=0, random_mean=0.0, expert_mean=1.0, prompt="right"
    )
    found = reached_by([record], language([True, True, False], [False, True, True, True]))
    assert [(each.name, each.trials, each.passed) for each in found] == [
        ("cartpole", "2 episodes", False),
        ("captions", "3 pictures", False),
        ("questions", "4 pictures", False),
    ]
    assert found[0].score == record.interval
    assert found[1].score == wilson_interval(2, 3)
    assert found[2].score == wilson_interval(3, 4)
    assert target_table(found).rows == (
        ("cartpole", "0.75", "0.90", "no"),
        ("captions", "0.67", "0.80", "no"),
        ("questions", "0.75", "0.80", "no"),
    )


def test_each_missed_target_gets_one_sentence_and_a_reached_one_gets_none():
    found = [
        reached("cartpole", 1.0),
        reached("lunar-lander", 0.43, 0.31, 0.55),
        reached("pendulum", 0.60),
        reached("captions", 0.75, 0.69, 0.8),
    ]
    first, second = missed_sentences(found, share=1.0)
    assert first.startswith("lunar-lander reached 0.43 (0.31 to 0.55), the target is 0.70: runs differ")
    assert second.startswith("captions reached 0.75 (0.69 to 0.80), the target is 0.80: runs differ")
    assert first.endswith("FOLDER).")


def test_more_episodes_are_advised_only_where_they_can_decide():
    (open_,) = missed_sentences([reached("lunar-lander", 0.55, 0.40, 0.70)], share=1.0)
    (decided,) = missed_sentences([reached("lunar-lander", 0.55, 0.40, 0.69)], share=1.0)
    assert "20 episodes leave it open" in open_
    assert "--episodes 100" in open_
    assert "--episodes" not in decided


def test_a_run_on_a_part_of_the_data_is_told_so():
    (sentence,) = missed_sentences([reached("lunar-lander", 0.1)], share=0.02)
    assert sentence.endswith("this run had 2% of the data, and the target is meant for all of it (--share 1).")


def test_a_score_just_below_its_target_does_not_read_like_it():
    missed = reached("lunar-lander", 0.6996)
    assert missed_sentences([missed], share=1.0)[0].startswith("lunar-lander reached 0.6996 (")
    assert target_table([missed]).rows == (("lunar-lander", "0.6996", "0.70", "no"),)
    assert reached("lunar-lander", 0.7).score_text == "0.70"


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        # The run of README.md: lunar-lander misses, and of those at the expert's score acrobot is the most interesting.
        (
            {
                "cartpole": 1.0,
                "acrobot": 1.0,
                "mountain-car-continuous": 1.0,
                "pendulum": 0.76,
                "lunar-lander": 0.61,
                "babyai-go-to-red-ball-grey-pixels": 0.83,
                "babyai-go-to-local-pixels": 0.75,
            },
            "acrobot",
        ),
        ({"pendulum": 0.61, "lunar-lander": 0.71, "babyai-go-to-local-pixels": 0.86}, "babyai-go-to-local-pixels"),
        ({"cartpole": 1.0, "acrobot": 1.05, "lunar-lander": 1.01}, "lunar-lander"),  # above the expert is no better
        ({"cartpole": 1.0, "acrobot": 0.996}, "acrobot"),
        ({"cartpole": 0.89, "lunar-lander": 0.3, "acrobot": 0.5}, "cartpole"),  # none passes: nearest to its target
        ({"cartpole": 0.8, "acrobot": 0.8, "pendulum": 0.5, "lunar-lander": 0.6}, "lunar-lander"),
        ({"babyai-go-to-local-pixels": 0.41, "cartpole": 0.89}, "babyai-go-to-local-pixels"),  # only it passes
    ],
)
def test_the_task_to_watch_is_the_one_that_the_run_plays_best(scores, best):
    found = [reached(name, value) for name, value in scores.items()]
    pictures = [reached("captions", 1.0), reached("questions", 1.0)]
    assert task_to_watch([*found, *pictures]) == task_to_watch([*pictures, *reversed(found)]) == best


def test_without_a_played_task_there_is_nothing_to_watch():
    with pytest.raises(ValueError, match=r"scores of \['captions'\] came, expected one or more of \['lunar-lander'"):
        task_to_watch([reached("captions", 1.0)])
