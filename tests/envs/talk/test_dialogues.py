"""Dialogues of training: in turns, varied, repeatable, true, and without a wording of the exam."""

import itertools
import re
import string

import numpy as np
import pytest

from gato.envs import all_tasks, get_task, select_tasks
from gato.envs.talk import about_itself, courtesies, talks
from gato.envs.talk.about_tasks import FAMILIES_KNOWN, FAMILY_TASKS, TASK_INTENTS, TASKS_KNOWN
from gato.envs.talk.facts import task_facts
from gato.envs.talk.intent import Intent
from gato.envs.talk.names import name_key
from gato.envs.talk.phrasing import OPENINGS, normalized
from gato.envs.talk.unknown import UNKNOWN, made_up_name

TASKS = select_tasks(["babyai-go-to-local", "dark-room"], ["classic_control", "box2d"])
COURTESIES = [value for value in vars(courtesies).values() if isinstance(value, Intent)]
INTENTS = [
    *COURTESIES,
    *about_itself.ITSELF,
    TASKS_KNOWN,
    FAMILIES_KNOWN,
    FAMILY_TASKS,
    *TASK_INTENTS.values(),
    *UNKNOWN,
]


def pattern(wordings: list[str]) -> re.Pattern[str]:
    """Matches a normalized question in any of the wordings, however it is introduced and ended."""
    openings = "|".join(normalized(opening) for opening in OPENINGS)
    questions = []
    for wording in wordings:
        parts: list[str] = []
        for text, name, _, _ in string.Formatter().parse(wording):
            parts += [word for word in (re.escape(normalized(text)), ".+" if name else "") if word]
        questions.append(r"\ ".join(parts))
    return re.compile(rf"(?:(?:{openings}) )?(?:{'|'.join(questions)})(?: please)?")


def test_every_intent_has_ten_wordings_and_keeps_a_fifth_back():
    for intent in INTENTS:
        assert len(intent.wordings) >= 10, intent.name
        assert 0.14 <= len(intent.held_out) / len((*intent.wordings, *intent.held_out)) <= 0.25, intent.name
    assert len({intent.name for intent in INTENTS}) == len(INTENTS)


def test_no_wording_belongs_to_two_intents_or_is_both_trained_and_held_out():
    wordings = [normalized(wording) for intent in INTENTS for wording in (*intent.wordings, *intent.held_out)]
    shared = {wording for wording in wordings if wordings.count(wording) > 1}
    assert shared == set()


def test_answers_about_itself_are_brief_and_hold_no_numbers_of_a_run():
    for intent in [*COURTESIES, *about_itself.ITSELF, *UNKNOWN]:
        assert intent.answers, intent.name
        for answer in intent.answers:
            assert len(answer.split()) <= 25, answer
            assert re.findall(r"\d+", answer) in ([], ["2022"]), answer


def test_held_out_wordings_are_never_drawn():
    held_out = pattern([wording for intent in INTENTS for wording in intent.held_out])
    trained = pattern([wording for intent in INTENTS for wording in intent.wordings])
    assert held_out.fullmatch("hi please explain what lunar lander is")  # the pattern itself works
    assert held_out.fullmatch("what is meant by lunar lander please")
    drawn = {
        normalized(text)
        for talk in talks(np.random.default_rng(0), 20_000, TASKS)
        for who, text in talk
        if who == "user"
    }
    assert [text for text in drawn if not trained.fullmatch(text)] == []
    assert [text for text in drawn if held_out.fullmatch(text)] == []
    assert len(drawn) > 8_000


def test_turns_alternate_and_the_first_is_the_users():
    for talk in talks(np.random.default_rng(1), 500, TASKS):
        assert [who for who, _ in talk] == ["user", "agent"] * (len(talk) // 2)
        assert 2 <= len(talk) <= 12


def test_same_seed_draws_the_same_talks():
    first, second, other = (talks(np.random.default_rng(seed), 300, TASKS) for seed in (3, 3, 4))
    assert first == second
    assert first != other
    assert len(set(first)) > 280


def test_it_is_the_task_that_was_named_before():
    """Whoever asks when "it" ends is told the same task's limit: both answers are facts of one task."""
    facts = {task.name: {answer for fact in task_facts(task) for answer in fact.answers} for task in TASKS}
    num_checked = 0
    for talk in talks(np.random.default_rng(0), 4000, TASKS):
        told = [text for who, text in talk if who == "agent"]
        for turn, (_, question) in enumerate(talk):
            if re.search(r"(after how many steps|when) does it end\b", question.lower()):
                num_checked += 1
                assert any({told[turn // 2 - 1], told[turn // 2]} <= known for known in facts.values())
    assert num_checked > 10


def test_made_up_tasks_are_many_and_unknown():
    talked = talks(np.random.default_rng(0), 4000, TASKS)
    questions = [
        question
        for talk in talked
        for (_, question), (_, answer) in zip(talk[::2], talk[1::2], strict=True)
        if "task of that name" in answer
    ]
    assert len(set(questions)) > 0.95 * len(questions) > 200


def test_made_up_names_are_no_tasks_nor_parts_of_one():
    rng = np.random.default_rng(0)
    trained, held_out = (
        {name_key(made_up_name(rng, ["lunar", "lander"], ["lunarlander", "doom"], held_out=kept)) for _ in range(2000)}
        for kept in (False, True)
    )
    assert not trained & held_out
    assert not (trained | held_out) & {"lunarlander", "landerlunar", "lunarlunar", "doom"}
    assert len(trained) > 500
    assert any(name.startswith("lunar") for name in trained)


def test_all_tasks_of_the_catalogue_can_be_talked_about():
    for seed, task in enumerate(all_tasks()):
        assert talks(np.random.default_rng(seed), 3, [task])
    known = set(itertools.chain(*talks(np.random.default_rng(0), 300, all_tasks())))
    assert len(known) > 800


def test_no_tasks_are_refused():
    with pytest.raises(ValueError, match="no tasks came to talk about, expected one or more"):
        talks(np.random.default_rng(0), 1, [])


def test_one_task_is_enough():
    answers = [text for talk in talks(np.random.default_rng(0), 600, [get_task("taxi")]) for _, text in talk]
    assert "I know tasks such as Taxi." in answers
