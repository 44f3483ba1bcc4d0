"""Records: what is refused before it can be encoded, and why."""

import dataclasses

import numpy as np
import pytest

from gato.data.episode import Dialogue, Document, Episode, ImageText, tree_leaves

IMAGE = np.zeros((4, 6, 3), np.uint8)


def episode(**changes):
    """Three timesteps of a camera, a mission and a nested pair; one action and one gripper."""
    fields = {
        "observations": {"camera": np.zeros((4, 2, 2)), "mission": ["go"] * 4, "pair": (np.zeros(4), np.zeros((4, 1)))},
        "actions": (np.zeros(3, np.int64), {"grip": np.zeros((3, 2))}),
        "rewards": np.array([0.5, 0.0, 2.0]),
        "terminated": True,
        "truncated": False,
    }
    return Episode(**{**fields, **changes})


def test_an_episode_has_the_length_and_the_sum_of_its_rewards():
    assert len(episode()) == 3
    assert episode().episode_return == 2.5


def test_an_episode_is_shown_by_its_shapes():
    assert repr(episode()) == (
        "Episode(3 timesteps, observations/camera: float64 (4, 2, 2), observations/mission: 4 values, "
        "observations/pair/0: float64 (4,), observations/pair/1: float64 (4, 1), actions/0: int64 (3,), "
        "actions/1/grip: float64 (3, 2), terminated=True, truncated=False)"
    )


def test_the_observation_after_the_last_action_may_be_left_out():
    without = {"camera": np.zeros((3, 2, 2)), "mission": ["go"] * 3}
    assert len(episode(observations=without)) == 3


def test_a_bool_mask_of_the_rewards_shape_is_kept():
    mask = np.array([True, False, True])
    assert episode(action_mask=mask).action_mask is mask


@pytest.mark.parametrize(
    "changes, match",
    [
        ({"rewards": np.zeros(0)}, r"rewards have shape \(0,\), expected \(T,\)"),
        ({"rewards": np.zeros((3, 1))}, r"rewards have shape \(3, 1\), expected \(T,\)"),
        ({"rewards": np.array([0.0, np.nan, np.inf])}, "reward 1 is nan, expected a finite number"),
        ({"rewards": np.array([0.0, 0.0, -np.inf])}, "reward 2 is -inf"),
        ({"actions": np.zeros(4)}, "actions has 4 entries, expected 3 to go with 3 rewards"),
        (
            {"actions": (np.zeros(3), {"grip": np.zeros((2, 2))})},
            "actions/1/grip has 2 entries, expected 3 to go with 3 rewards",
        ),
        ({"observations": np.zeros((5, 2))}, "observations has 5 entries, expected 3 or 4 to go with 3 rewards"),
        ({"observations": {"mission": ["go"] * 2}}, "observations/mission has 2 entries, expected 3 or 4"),
        (
            {"observations": {"a": np.zeros(3), "b": np.zeros(4)}},
            r"the observations differ in length: \{'observations/a': 3, 'observations/b': 4\}",
        ),
        ({"action_mask": np.ones(3, np.int64)}, r"action_mask is int64 \(3,\), expected bool \(3,\)"),
        ({"action_mask": np.ones(4, bool)}, r"action_mask is bool \(4,\), expected bool \(3,\)"),
        ({"action_mask": np.ones((3, 1), bool)}, r"action_mask is bool \(3, 1\), expected bool \(3,\)"),
    ],
    ids=[
        "no-rewards",
        "2d-rewards",
        "nan",
        "infinite",
        "actions",
        "nested-actions",
        "observations",
        "mission",
        "differ",
        "int-mask",
        "long-mask",
        "2d-mask",
    ],
)
def test_an_episode_that_does_not_fit_together_is_refused(changes, match):
    with pytest.raises(ValueError, match=match):
        episode(**changes)


def test_records_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        episode().terminated = False


def test_an_empty_document_is_refused():
    assert Document(text=" ").text == " "
    with pytest.raises(ValueError, match="the document is empty"):
        Document(text="")


def test_a_dialogue_without_turns_is_refused():
    with pytest.raises(ValueError, match="the dialogue has no turns"):
        Dialogue(turns=())


def test_a_speaker_other_than_the_two_is_refused_by_turn():
    with pytest.raises(ValueError, match="the speaker of turn 1 is 'bot', expected 'user' or 'agent'"):
        Dialogue(turns=(("user", "hi"), ("bot", "hello")))


def test_an_empty_caption_is_refused():
    with pytest.raises(ValueError, match="the caption of the image is empty"):
        ImageText(image=IMAGE, text="")


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (4, 6, 3), (4, 6, 4)], ids=str)
def test_grey_colour_and_transparent_pictures_are_records(shape):
    image = np.zeros(shape, np.uint8)
    assert ImageText(image=image, text="a").image is image
    assert Dialogue(turns=(("user", "a"),), image=image).image is image


@pytest.mark.parametrize(
    "make",
    [
        lambda image: ImageText(image=image, text="a"),
        lambda image: Dialogue(turns=(("user", "what?"), ("agent", "that")), image=image),
    ],
    ids=["caption", "dialogue"],
)
@pytest.mark.parametrize(
    "image, match",
    [
        (np.zeros((4, 6, 3), np.float32), r"the image is float32 \(4, 6, 3\), expected uint8"),
        (np.zeros((4, 6, 3), np.int8), r"the image is int8 \(4, 6, 3\)"),
        (np.zeros((3, 4, 6), np.uint8), r"the image is uint8 \(3, 4, 6\)"),
        (np.zeros((4, 6, 2), np.uint8), r"the image is uint8 \(4, 6, 2\)"),
        (np.zeros((1, 4, 6, 3), np.uint8), r"the image is uint8 \(1, 4, 6, 3\)"),
        (np.zeros(4, np.uint8), r"the image is uint8 \(4,\)"),
        (np.zeros((0, 6, 3), np.uint8), r"the image is uint8 \(0, 6, 3\)"),
    ],
    ids=["float", "signed", "channels-first", "two-channels", "batch", "flat", "empty"],
)
def test_what_is_no_picture_is_refused(make, image, match):
    with pytest.raises(ValueError, match=match):
        make(image)


def test_leaves_carry_their_paths_in_the_order_of_the_tree():
    tree = {"b": np.arange(2), "a": (["x", "y"], {"z": np.arange(3)})}
    found = list(tree_leaves(tree, "observations"))
    assert [path for path, _ in found] == ["observations/b", "observations/a/0", "observations/a/1/z"]
    assert found[1][1] is tree["a"][0]
    assert found[2][1] is tree["a"][1]["z"]


def test_a_tree_without_branches_is_its_own_leaf():
    assert list(tree_leaves(["go"], "observations")) == [("observations", ["go"])]
