"""The exam asks in unseen wordings, takes right answers in any words and no wrong ones."""

import itertools

import numpy as np
import pytest

from gato.envs import all_tasks, get_task, select_tasks
from gato.envs.talk import ExamQuestion, exam, talks
from gato.envs.talk.phrasing import normalized

TASKS = select_tasks(["babyai-go-to-local", "dark-room"], ["classic_control", "box2d"])


@pytest.fixture(scope="module")
def questions() -> list[ExamQuestion]:
    return exam(np.random.default_rng(0), 600, all_tasks())


def test_normalized_text_is_words_alone():
    assert normalized("I don't know -- it's TWO steps!") == "i do not know it is 2 steps"


def test_every_kind_is_asked_and_ends_with_the_users_question(questions: list[ExamQuestion]):
    assert {question.kind for question in questions} == {"itself", "task", "follow-up", "unknown"}
    for question in questions:
        assert question.turns[-1][0] == "user"
        assert len(question.turns) == (3 if question.kind == "follow-up" else 1)
        assert question.accepted
    assert len({question.intent for question in questions}) > 40


def test_own_answers_are_right_whatever_their_case_and_punctuation(questions: list[ExamQuestion]):
    for question in questions:
        for answer in question.accepted:
            assert question.is_right(answer)
            assert question.is_right(f" {answer.upper().rstrip('.')} ")


def test_answers_about_other_tasks_are_wrong(questions: list[ExamQuestion]):
    """Tasks share facts; where the required phrases differ, the answer of one is wrong for the other."""
    compared = 0
    told = [question for question in questions if question.required]
    for one, other in itertools.permutations(told, 2):
        if one.intent == other.intent and set(one.required) != set(other.required):
            for answer in set(other.accepted) - set(one.accepted):
                compared += 1
                assert not one.is_right(answer), (one.turns, answer)
    assert compared > 2000


def test_answers_of_other_intents_are_wrong(questions: list[ExamQuestion]):
    itself = [question for question in questions if question.kind == "itself"]
    for one, other in itertools.permutations(itself[:60], 2):
        if one.intent != other.intent:
            assert not any(one.is_right(answer) for answer in other.accepted)


def test_facts_count_in_other_words_but_not_among_other_facts():
    drawn = exam(np.random.default_rng(0), 500, [get_task("lunar-lander"), get_task("cartpole")])
    question = next(question for question in drawn if question.required == ("500 steps",))
    assert question.is_right("An episode has 500 steps, not more.")
    assert not question.is_right("An episode has 1000 steps, not more.")
    assert not question.is_right("An episode has 500 steps or 1000 steps.")
    assert not question.is_right("500 steps " + "and so on " * 6)
    assert not question.is_right("")


def test_more_actions_than_there_are_are_wrong():
    """Mountain Car has the actions of CartPole and one more."""
    drawn = exam(np.random.default_rng(0), 1000, [get_task("cartpole"), get_task("mountain-car")])
    question = next(question for question in drawn if question.required == ("push left and push right",))
    assert question.is_right("You can push left and push right.")
    assert not question.is_right("The actions are push left, do nothing and push right.")


def test_a_made_up_task_has_no_facts():
    drawn = exam(np.random.default_rng(0), 200, TASKS)
    question = next(question for question in drawn if question.kind == "unknown" and question.intent == "actions")
    assert question.is_right("I know no task of that name.")
    assert not question.is_right("The actions are push left and push right.")


def test_questions_of_the_exam_are_not_in_the_talks():
    talked = talks(np.random.default_rng(0), 20_000, TASKS)
    trained = {normalized(text) for talk in talked for who, text in talk if who == "user"}
    asked = {normalized(question.turns[-1][1]) for question in exam(np.random.default_rng(1), 2000, TASKS)}
    assert not asked & trained


def test_same_seed_draws_the_same_exam():
    assert exam(np.random.default_rng(5), 100, TASKS) == exam(np.random.default_rng(5), 100, TASKS)


def test_an_exam_without_tasks_is_refused():
    with pytest.raises(ValueError, match="no tasks came to talk about"):
        exam(np.random.default_rng(0), 1, ())
