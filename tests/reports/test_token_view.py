import base64
import dataclasses
import io
import json

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image

from gato.config import FieldScale, TokenizerConfig
from gato.data.episode import Episode
from gato.evaluation.action_probabilities import Prediction
from gato.reports.token_view import TokenView, spread
from gato.tokenizer.spaces import TimestepTokenizer
from gato.tokenizer.text import TextTokenizer

TOKENIZER = TokenizerConfig(text_vocab_size=300, num_bins=64, num_discrete=64)
CONTINUOUS, DISCRETE = TOKENIZER.continuous_ids.start, TOKENIZER.discrete_ids.start
SPACE = gym.spaces.Dict(
    {
        "camera": gym.spaces.Box(0, 255, (20, 32, 3), np.uint8),
        "mission": gym.spaces.Text(20),
        "position": gym.spaces.Box(-1, 1, (2,), np.float32),
        "room": gym.spaces.Discrete(5, start=-2),
    }
)


def prediction(timestep: int, *probabilities, **more) -> Prediction:
    settings = {"num_prompt": 0, "first_visible": 0, "num_tokens": 9, "after_eviction": False, **more}
    return Prediction(timestep=timestep, probabilities=tuple(np.array(p) for p in probabilities), **settings)


def episode(num_timesteps: int = 2) -> Episode:
    camera = np.zeros((num_timesteps + 1, 20, 32, 3), np.uint8)
    camera[:, 5, 6] = 200
    return Episode(
        observations={
            "camera": camera,
            "mission": ["go on"] * (num_timesteps + 1),
            "position": np.tile(np.float32([-0.5, 0.52]), (num_timesteps + 1, 1)),
            "room": np.full(num_timesteps + 1, -1),
        },
        actions=np.arange(num_timesteps) % 3,
        rewards=np.arange(num_timesteps) * 0.5,
        terminated=True,
        truncated=False,
    )


def view(**more) -> TokenView:
    text = TextTokenizer.train(["go on and on", "stop here"], 280)
    span = FieldScale(path="observation/position", low=(-1.0, -1.0), high=(1.0, 1.0))
    return TokenView(SPACE, gym.spaces.Discrete(3), TOKENIZER, text, fields=[span], **more)


def pixels(address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition("base64,")[2]))))


def test_a_timestep_tells_every_token_with_its_id_and_what_it_reads():
    content = view(action_names=("left", "stay", "right")).content(
        episode(), [prediction(1, [0.25, 0.7, 0.05])], frames={1: np.full((8, 8, 3), 7, np.uint8)}
    )
    assert [leaf["kind"] for leaf in content["leaves"]] == ["image", "text", "numbers", "numbers"]
    (step,) = content["steps"]
    camera, mission, position, room = step["seen"]
    assert (content["leaves"][0]["rows"], content["leaves"][0]["columns"]) == (2, 2)  # 20 x 32 in patches of 16
    assert pixels(camera["image"]).shape == (32, 32, 3)
    assert pixels(camera["image"])[5, 6].tolist() == [200] * 3
    assert pixels(camera["image"])[20:].max() == 0  # what fills up the last patches
    assert camera["tokens"] == [0, 1, 2, 3]
    assert mission["tokens"] == list(range(4, 4 + len(mission["ids"])))
    assert "".join(mission["pieces"]) == "go on"
    first = 4 + len(mission["ids"])
    assert position["tokens"] == [first, first + 1]
    # 64 bins over [-1, 1], each 1/32 wide: -0.5 begins bin 16, and 0.52 lies in bin 48, of which the centres are told.
    assert position["ids"] == [CONTINUOUS + 16, CONTINUOUS + 48]
    assert position["observed"] == ["−0.5", "0.52"]
    assert position["read"] == ["−0.4844", "0.5156"]
    assert (room["ids"], room["observed"], room["read"]) == ([DISCRETE + 1], ["−1"], ["−1"])
    assert room["tokens"] == [first + 2]
    assert step["separator"] == f"Token {first + 3}: the separator, id {TOKENIZER.separator_id}."
    assert step["predicted"] == ""
    (token,) = step["action"]
    assert (token["id"], token["value"], token["place"]) == (DISCRETE + 1, "1 stay", f"token {first + 4}, ")
    assert token["options"] == [
        [DISCRETE + 1, "1 stay", 0.7, "70.0%"],
        [DISCRETE, "0 left", 0.25, "25.0%"],
        [DISCRETE + 2, "2 right", 0.05, "5.0%"],
    ]
    assert token["rest"] == ""
    assert (step["reward"], step["total"], step["timestep"]) == ("0.5", "0.5", 1)
    assert step["frame"].startswith("data:image/webp;base64,")


def test_of_many_ids_the_likeliest_are_told_and_the_chosen_one_always():
    space = gym.spaces.Box(-1, 1, (2,), np.float32)
    played = Episode(
        observations=np.zeros(2, np.int64),
        actions=np.float32([[-1, 1]]),
        rewards=np.ones(1),
        terminated=True,
        truncated=False,
    )
    probabilities = np.full(64, 0.2 / 62)
    probabilities[[32, 33]] = 0.5, 0.3
    content = TokenView(gym.spaces.Discrete(2), space, TOKENIZER).content(
        played, [prediction(0, probabilities, probabilities)]
    )
    first, second = content["steps"][0]["action"]
    assert (first["field"], second["field"]) == ("action[0]", "action[1]")
    assert [option[0] - CONTINUOUS for option in first["options"][:2]] == [32, 33]
    # The centres of the bins: a half of 1/32 right of zero, and the outermost ones.
    assert [option[1] for option in first["options"][:2]] == ["0.01562", "0.04688"]
    assert (first["value"], second["value"]) == ("−0.9844", "0.9844")
    assert second["options"][-1][0] == second["id"] == CONTINUOUS + 63
    assert len(second["options"]) == 6
    assert second["rest"] == f"58 other legal ids share {58 * 0.2 / 62:.1%}."


def test_the_context_is_told_and_that_something_has_left_it():
    told = [
        view().content(
            episode(), [prediction(1, [1, 0, 0], num_prompt=40, first_visible=first, after_eviction=bool(first))]
        )
        for first in (0, 1)
    ]
    here, gone = (content["steps"][0]["context"] for content in told)
    assert here == (
        "In the context: 40 tokens of a demonstration and timesteps 0 to 1 of this episode, 9 tokens in all."
    )
    assert "timestep 1 of this episode" in gone
    assert "What came before has left it." in gone


def test_fewer_timesteps_are_shown_where_they_take_too_much():
    predictions = [prediction(t, [0.5, 0.5, 0]) for t in range(20)]
    whole = view().content(episode(20), predictions)
    limit = len(json.dumps(whole["steps"])) // 2
    cut = view().content(episode(20), predictions, max_bytes=limit)
    assert len(whole["steps"]) == 20
    assert 5 < len(cut["steps"]) < 11
    assert len(json.dumps(cut["steps"])) <= limit + 2 * len(cut["steps"])  # the commas between them
    assert [cut["steps"][0]["timestep"], cut["steps"][-1]["timestep"]] == [0, 19]
    assert len(view().content(episode(20), predictions, max_bytes=1)["steps"]) == 1


def test_indices_are_spread_evenly_with_both_ends():
    assert spread(3, 10) == [0, 1, 2]
    assert spread(9, 3) == [0, 4, 8]
    assert spread(0, 3) == []


GROUPED = dataclasses.replace(TOKENIZER, values_per_token=3, action_tokens="grouped", separator="mark")
NUMBERS = gym.spaces.Dict(
    {"force": gym.spaces.Box(-1, 1, (4,), np.float32), "room": gym.spaces.Discrete(5), "view": SPACE["camera"]}
)
MOVES = gym.spaces.Box(-1, 1, (2,), np.float32)


def grouped_step(**layout) -> tuple[dict, dict]:
    """The content and the only timestep of five numbers and four patches, and an action of two numbers."""
    played = Episode(
        observations={
            "force": np.zeros((2, 4), np.float32),
            "room": np.array([1, 2]),
            "view": np.zeros((2, 20, 32, 3), np.uint8),
        },
        actions=np.float32([[-1, 1]]),
        rewards=np.ones(1),
        terminated=True,
        truncated=False,
    )
    probabilities = np.full(64, 1 / 64)
    content = TokenView(NUMBERS, MOVES, dataclasses.replace(GROUPED, **layout)).content(
        played, [prediction(0, probabilities, probabilities)]
    )
    return content, content["steps"][0]


@pytest.mark.parametrize("separator", ["mark", "token"])
def test_numbers_that_share_a_token_say_which_and_the_separator_says_whether_it_is_one(separator):
    content, step = grouped_step(separator=separator)
    force, room, camera = step["seen"]
    # Five numbers in two tokens, three and two.
    assert (force["tokens"], room["tokens"], camera["tokens"]) == ([0, 0, 0, 1], [1], [2, 3, 4, 5])
    assert "4 continuous numbers; up to 3 neighbouring numbers share a token" in content["leaves"][0]["title"]
    action = 6
    if separator == "mark":
        assert step["separator"] == "Token 5 carries the mark of the separator, which takes no token of its own."
    else:
        assert step["separator"] == f"Token 6: the separator, id {GROUPED.separator_id}."
        action = 7
    assert [one["place"] for one in step["action"]] == [f"in token {action}, "] * 2
    assert [one["id"] - CONTINUOUS for one in step["action"]] == [0, 63]
    predicted = f"The action is one token. All its numbers are predicted from token {action - 1}, at once."
    assert step["predicted"] == predicted


def test_places_are_those_of_the_tokenizer():
    for layout in ({}, {"separator": "token"}, {"values_per_token": 2}, {"values_per_token": 9}):
        _, step = grouped_step(**layout)
        tokenizer = TimestepTokenizer(NUMBERS, MOVES, dataclasses.replace(GROUPED, **layout))
        sequence = tokenizer.encode_observation(
            {"force": np.zeros(4, np.float32), "room": 1, "view": np.zeros((20, 32, 3), np.uint8)}
        )
        force, room, camera = step["seen"]
        assert camera["tokens"] == sequence.patch_indices.tolist()
        values = sequence.numbers.values
        held = [(values[token] != GROUPED.padding_id).sum() for token in range(camera["tokens"][0])]
        assert np.bincount(force["tokens"] + room["tokens"]).tolist() == held
        assert f"oken {len(sequence) - 1}" in step["separator"]


def test_hidden_own_actions_take_no_token_and_decoded_numbers_are_given_those_before():
    _, step = grouped_step(own_actions="hidden", action_tokens="decoded")
    assert [one["place"] for one in step["action"]] == ["", ""]
    assert step["predicted"] == (
        "The action is not fed and takes no token. All its numbers are predicted from token 5, each given the "
        "executed numbers before it."
    )


def test_an_observation_without_tokens_keeps_the_token_of_its_separator():
    text = TextTokenizer.train(["go on and on", "stop here"], 280)
    layout = dataclasses.replace(GROUPED, text_vocab_size=300)
    played = Episode(
        observations=["", "go"], actions=np.array([1]), rewards=np.ones(1), terminated=True, truncated=False
    )
    content = TokenView(gym.spaces.Text(20, min_length=0), gym.spaces.Discrete(3), layout, text).content(
        played, [prediction(0, [0.2, 0.3, 0.5])]
    )
    assert content["steps"][0]["separator"] == f"Token 0: the separator, id {layout.separator_id}."
    assert content["steps"][0]["action"][0]["place"] == "in token 1, "
    assert content["steps"][0]["predicted"] == "The action is one token. It is predicted from token 0."
