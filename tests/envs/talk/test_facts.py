"""What is said of a task stands in its record."""

import pytest

from gato.envs import Task, all_tasks, get_task
from gato.envs.talk.about_tasks import TASK_INTENTS
from gato.envs.talk.facts import family_fact, listed, task_facts


def answers(task: str, intent: str, **slots: str) -> tuple[str, ...]:
    [found] = [fact for fact in task_facts(get_task(task)) if fact.intent == intent and fact.slots == slots]
    return found.answers


@pytest.mark.parametrize(
    "task, intent, slots, expected",
    [
        ("cartpole", "what", {}, "Push the cart left or right so that the pole on it stays upright."),
        ("cartpole", "actions", {}, "The actions are push left and push right."),
        ("cartpole", "num_actions", {}, "It has 2 actions."),
        ("cartpole", "action", {"index": "1"}, "It means: push right."),
        ("cartpole", "action", {"index": "2"}, "There is none: the last is action 1."),
        ("cartpole", "action_index", {"action": "push left"}, "It is action 0."),
        ("cartpole", "sees", {}, "It sees numbers."),
        ("cartpole", "episode", {}, "It ends after 500 steps at the latest."),
        ("cartpole", "family", {}, "It is one of the classic control tasks."),
        ("cartpole", "success", {}, "The criterion is Gymnasium's reward threshold of CartPole-v1."),
        ("cartpole", "judge", {}, "It comes from Gymnasium."),
        ("cartpole", "expert", {}, "Yes, it has an expert."),
        ("lunar-lander", "goal", {}, "Land the craft softly on the pad between the flags by firing its engines."),
        (
            "lunar-lander",
            "actions",
            {},
            "The actions are do nothing, fire the left engine, fire the main engine and fire the right engine.",
        ),
        ("lunar-lander", "num_actions", {}, "It has 4 actions."),
        ("lunar-lander", "action", {"index": "2"}, "It means: fire the main engine."),
        ("lunar-lander", "episode", {}, "At most 1000 steps."),
        ("lunar-lander", "family", {}, "It is one of the Box2D tasks."),
        ("lunar-lander-continuous", "actions", {}, "The actions are numbers."),
        ("bipedal-walker-hardcore", "expert", {}, "No, it has no expert."),
        ("bipedal-walker", "expert", {}, "Yes, it has an expert, but it stays below what counts as solved."),
        ("cliff-walking", "success", {}, "It is solved when this holds: the goal is reached without a fall."),
        ("cliff-walking", "judge", {}, "It comes from this project."),
        ("dark-room", "judge", {}, "It comes from the task's definition."),
        ("remapped-moves", "actions", {}, "The actions have no names."),
        ("babyai-go-to-local", "sees", {}, "It sees codes for what is there and a mission in English."),
        ("babyai-go-to-local-pixels", "sees", {}, "It sees a picture and a mission in English."),
    ],
)
def test_answers_worked_by_hand(task: str, intent: str, slots: dict[str, str], expected: str):
    assert expected in answers(task, intent, **slots)


@pytest.mark.parametrize("family", sorted({task.family for task in all_tasks()}))
def test_facts_of_every_task_follow_from_its_record(family: str):
    for task in (task for task in all_tasks() if task.family == family):
        check_facts(task)


def check_facts(task: Task) -> None:
    facts = task_facts(task)
    by_intent = {fact.intent: fact for fact in facts}
    assert set(by_intent) <= set(TASK_INTENTS)
    for name in ("what", "goal"):
        assert by_intent[name].keys == (task.description,)
    assert by_intent["episode"].keys == (f"{task.max_episode_steps} steps",)
    assert by_intent["success"].keys[0] in task.success_source
    assert (by_intent["expert"].keys == ("no",)) == (task.make_expert is None)
    assert ("a picture" in by_intent["sees"].keys) == ("pixels" in task.tags)
    assert ("a mission in English" in by_intent["sees"].keys) == ("text" in task.tags)
    assert ("num_actions" in by_intent) == (bool(task.action_names) or "continuous" in task.tags)
    if task.action_names:
        assert by_intent["num_actions"].keys == (f"{len(task.action_names)} actions",)
        assert by_intent["actions"].keys == (listed(task.action_names),)
        named = {fact.slots["index"]: fact.keys for fact in facts if fact.intent == "action" and len(fact.keys) == 1}
        assert named == {str(index): (name,) for index, name in enumerate(task.action_names)}
    else:
        assert ("continuous" in task.tags) == (by_intent["actions"].keys == ("numbers",))
    for fact in facts:
        for answer in fact.answers:
            assert answer[0].isupper() or answer[0].isdigit()
            assert answer.endswith(".")


def test_a_family_is_told_by_three_of_its_tasks():
    few = [get_task("lunar-lander"), get_task("car-racing")]
    assert family_fact("box2d", few).answers[0] == "Lunar Lander and Car Racing."
    many = [task for task in all_tasks() if task.family == "classic_control"]
    assert family_fact("classic_control", many).answers[0] == "For example CartPole, Pendulum and Mountain Car."
    assert family_fact("classic_control", many).slots == {"family": "classic control"}
