"""Spoken names: as people write them, and never of two tasks."""

from collections import Counter

import pytest

from gato.envs import all_tasks, get_task
from gato.envs.talk.names import name_key, name_styles, spoken_names, title


@pytest.mark.parametrize(
    "task, spoken",
    [
        ("cartpole", {"cartpole", "CartPole", "cart pole", "Cart Pole", "the cartpole task"}),
        ("lunar-lander", {"lunar-lander", "lunar lander", "Lunar Lander", "LunarLander"}),
        ("metaworld-door-lock", {"metaworld-door-lock", "door lock", "Meta-World door lock", "Meta-World Door Lock"}),
        ("minigrid-door-key-6x6", {"MiniGrid door key 6x6", "door key 6x6", "DoorKey6x6"}),
        ("atari-pong", {"Pong", "pong", "Atari Pong", "the pong game"}),
        ("babyai-go-to-local-pixels", {"go to local from pixels", "BabyAI Go To Local from pixels"}),
    ],
)
def test_a_task_is_called_as_people_call_it(task: str, spoken: set[str]):
    assert spoken <= set(spoken_names([get_task(task)])[task])


def test_no_name_means_two_tasks_of_the_catalogue():
    names = spoken_names(all_tasks())
    assert set(names) == {task.name for task in all_tasks()}
    owners = Counter(key for spoken in names.values() for key in {name_key(name) for name in spoken})
    assert max(owners.values()) == 1
    assert all(task in spoken for task, spoken in names.items())


def test_a_name_that_two_families_share_is_left_out_of_both():
    tasks = [get_task("babyai-unlock-pickup"), get_task("minigrid-unlock-pickup")]
    assert "unlock pickup" in spoken_names(tasks[:1])["babyai-unlock-pickup"]
    for spoken in spoken_names(tasks).values():
        assert "unlockpickup" not in {name_key(name) for name in spoken}


def test_one_vague_word_is_no_name():
    assert "push" not in spoken_names([get_task("metaworld-push")])["metaworld-push"]


def test_numbers_of_two_words_are_kept_apart():
    assert name_styles(["sokoban", "10x10", "3"]) == ("sokoban-10x10-3", "sokoban 10x10 3", "Sokoban 10x10 3")


def test_titles_keep_family_and_view():
    titles = [title(get_task(name)) for name in ("cartpole", "minigrid-door-key-6x6", "babyai-go-to-local-pixels")]
    assert titles == ["CartPole", "MiniGrid Door Key 6x6", "BabyAI Go To Local from pixels"]
