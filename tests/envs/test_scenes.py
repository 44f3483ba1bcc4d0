"""Generated pictures and texts: true, unambiguous, repeatable, and never shared with the held-out ones."""

import itertools
import re

import numpy as np
import pytest

from gato.envs import select_tasks
from gato.envs.rooms import COLORS, ROOM_SIDES, SHAPES, Room, RoomObject, random_room
from gato.envs.scenes import Scene, descriptions, room_dialogues, scenes
from gato.envs.tiles import tile_atlas

TASKS = select_tasks(["babyai-go-to-*", "dark-room"], ["classic_control", "box2d"])


@pytest.fixture(scope="module")
def drawn() -> tuple[list[Scene], list[Scene]]:
    return scenes(np.random.default_rng(0), 1500, 300)


def room_of(*objects: tuple[int, int, str, str]) -> Room:
    return Room(height=6, width=7, objects=tuple(sorted(RoomObject(*item) for item in objects)))


def names_in(caption: str) -> list[str]:
    if match := re.fullmatch(r"two (\w+) (\w+?)(es|s)", caption):
        return [f"{match[1]} {match[2]}"] * 2
    return [name.removeprefix("a ") for name in caption.split(" and ")]


@pytest.mark.parametrize(
    "objects, caption",
    [
        ([(3, 2, "red", "ball")], "a red ball"),
        ([(4, 1, "red", "ball"), (3, 5, "blue", "key")], "a blue key and a red ball"),
        ([(4, 4, "red", "ball"), (4, 3, "grey", "box")], "a grey box and a red ball"),
        ([(2, 4, "red", "box"), (4, 3, "red", "box")], "two red boxes"),
        ([(2, 4, "green", "key"), (4, 3, "green", "key")], "two green keys"),
    ],
    ids=["one", "left first", "top first", "two boxes", "two keys"],
)
def test_captions_name_objects_in_a_fixed_order(objects: list, caption: str):
    assert room_of(*objects).caption == caption


def test_picture_shows_each_object_in_its_cell():
    room = room_of((2, 4, "red", "ball"), (5, 1, "blue", "key"))
    tiles = room.draw().reshape(6, 8, 7, 8, 3).swapaxes(1, 2)
    atlas = tile_atlas(8, lit=True).reshape(11, 6, 3, 8, 8, 3)
    empty, key, ball, red, blue = 1, 5, 6, 0, 2
    assert np.array_equal(tiles[4, 2], atlas[ball, red, 0])
    assert np.array_equal(tiles[1, 5], atlas[key, blue, 0])
    assert np.array_equal(tiles[3, 3], atlas[empty, 0, 0])
    assert tiles[4, 2][4, 4].argmax() == 0


def test_all_objects_look_different():
    pictures = {room_of((3, 3, *kind)).draw().tobytes() for kind in itertools.product(COLORS, SHAPES)}
    assert len(pictures) == len(COLORS) * len(SHAPES)


def test_no_picture_is_both_trained_and_held_out(drawn):
    training, held_out = ({scene.image.tobytes() for scene in part} for part in drawn)
    assert not training & held_out
    # Half of the scenes have one object, and small rooms few cells to put it in, so these repeat.
    assert len(training) > 0.6 * len(drawn[0])


def test_held_out_rooms_are_a_lasting_choice():
    """Released scores depend on it: a changed choice would let trained pictures into the held-out set."""
    cells = itertools.product(range(7), range(6))
    held_out = [(column, row) for column, row in cells if room_of((column, row, "red", "key")).held_out]
    assert held_out == [(2, 3), (5, 2)]


def test_same_seed_draws_the_same_scenes():
    first, second = (scenes(np.random.default_rng(7), 20, 5) for _ in range(2))
    for one, other in zip(itertools.chain(*first), itertools.chain(*second), strict=True):
        assert np.array_equal(one.image, other.image)
        assert (one.caption, one.questions) == (other.caption, other.questions)


def test_answers_agree_with_the_caption(drawn):
    kinds = set()
    for scene in itertools.chain(*drawn):
        names = names_in(scene.caption)
        for question, answer, kind in scene.questions:
            kinds.add(kind)
            words = question.removesuffix("?").split()
            if kind == "count":
                assert answer == ("one", "two")[len(names) - 1]
            elif kind == "color":
                assert [name for name in names if name.endswith(words[-1])] == [f"{answer} {words[-1]}"]
            elif kind == "shape":
                assert [name for name in names if name.startswith(words[-2])] == [f"{words[-2]} {answer}"]
            else:
                assert answer == ("yes" if " ".join(words[-2:]) in names else "no")
    assert kinds == {"count", "color", "shape", "presence"}


def test_answers_are_balanced(drawn):
    answers = [question.answer for scene in drawn[0] for question in scene.questions if question.kind == "presence"]
    assert 0.45 < answers.count("yes") / len(answers) < 0.55
    captions = " ".join(scene.caption for scene in drawn[0]).split()
    for words in (COLORS, SHAPES):
        counts = [sum(caption.startswith(word) for caption in captions) for word in words]
        assert min(counts) > 0.8 * max(counts)


def test_drawn_rooms_hold_their_objects_in_naming_order():
    rng = np.random.default_rng(0)
    assert all(
        room.objects == tuple(sorted(room.objects)) for room in (random_room(rng, ROOM_SIDES) for _ in range(50))
    )


def test_rooms_take_the_sides_that_they_may_have_and_enclose_their_objects():
    rng = np.random.default_rng(0)
    rooms = [random_room(rng, (2, 5)) for _ in range(200)]
    assert {(room.height, room.width) for room in rooms} == {(2, 2), (2, 5), (5, 2), (5, 5)}
    assert all(0 <= item.column < room.width and 0 <= item.row < room.height for room in rooms for item in room.objects)


def test_pictures_consist_of_whole_patches(drawn):
    sizes = {scene.image.shape for scene in drawn[0]}
    assert sizes == {(height, width, 3) for height in (16, 32, 48) for width in (16, 32, 48)}


def test_descriptions_are_varied_and_repeatable():
    texts = descriptions(np.random.default_rng(0), 300, TASKS)
    assert texts == descriptions(np.random.default_rng(0), 300, TASKS)
    assert len(set(texts)) > 250
    assert any("Push the cart left or right" in text for text in texts)


def test_described_places_fit_the_rooms_size():
    """In a room two cells wide, or high, nothing lies in between."""
    texts = descriptions(np.random.default_rng(1), 800, TASKS)
    low = [text for text in texts if "2 cells high" in text]
    narrow = [text for text in texts if "2 cells wide" in text]
    assert low
    assert narrow
    places = re.compile(r"(?:at the|in the) (?:top|bottom|left|right|middle)(?: left| right)?")
    assert all(re.search("top|bottom", place) for text in low for place in places.findall(text))
    assert all(re.search("left|right", place) for text in narrow for place in places.findall(text))


def test_dialogues_alternate_and_answer_from_the_description():
    talks = room_dialogues(np.random.default_rng(0), 200)
    assert talks == room_dialogues(np.random.default_rng(0), 200)
    assert len(set(talks)) > 190
    checked = 0
    for talk in talks:
        assert [speaker for speaker, _ in talk] == ["user", "agent"] * (len(talk) // 2)
        assert 2 <= len(talk) <= 6
        for (_, question), (_, answer) in itertools.pairwise(talk):
            if question.endswith("What is in the room?"):
                checked += 1
                for name in names_in(answer.removesuffix(".").lower()):
                    assert name in talk[0][1]
    assert checked > 20
