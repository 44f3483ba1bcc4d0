"""An episode as the network saw it, timestep by timestep: the tokens that it was shown, and what it made of them.

Values are read back by the codecs of the tokenizer. The ids of actions are those of what was executed, encoded as
training data are; where several ids stand for one action, it may be another one than was drawn.
"""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from PIL import Image

from gato.config import FieldScale, TokenizerConfig
from gato.data.episode import Episode
from gato.evaluation.action_probabilities import Prediction
from gato.reports.format import minus
from gato.reports.page import data_uri
from gato.tokenizer.groups import token_places
from gato.tokenizer.image import patch_grid, patches_to_image
from gato.tokenizer.leaves import ActionLeaf, Columns, ContinuousLeaf, DiscreteLeaf, ImageLeaf, ObservationLeaf
from gato.tokenizer.spaces import TimestepTokenizer
from gato.tokenizer.text import TextTokenizer
from gato.tokenizer.tree import flatten, leaf_spaces

_NUM_OPTIONS = 5  # ids of a number of an action that are shown, most likely ones first
_MOST_ACTION_NUMBERS = 24  # shown of an action; numbers, or pieces of text


def spread(number: int, most: int) -> list[int]:
    """Returns at most `most` of the indices [0, number), evenly spread, the first and the last among them."""
    return np.linspace(0, number - 1, min(number, max(most, 1))).round().astype(int).tolist()


class TokenView:
    """Tells the timesteps of one task's episodes in the form of a `gato.reports.page.Scrubber`."""

    def __init__(
        self,
        observation_space: gym.Space,
        action_space: gym.Space,
        tokenizer: TokenizerConfig,
        text: TextTokenizer | None = None,
        *,
        fields: Sequence[FieldScale] = (),
        action_names: Sequence[str] = (),
    ) -> None:
        """Takes what the episodes were encoded with.

        Args:
            observation_space, action_space: of the task.
            tokenizer: vocabulary and constants.
            text: needed where a space holds Text.
            fields: scales of continuous leaves.
            action_names: of a Discrete action space, in order.
        """
        codecs = TimestepTokenizer(observation_space, action_space, tokenizer, text, fields=fields)
        self._observation_space, self._action_space = observation_space, action_space
        self._tokenizer, self._text, self._action_names = tokenizer, text, action_names
        observed = [space for _, space in leaf_spaces(observation_space, "observation")]
        self._leaves = list(zip(codecs.observation_codecs, observed, strict=True))
        self._action_leaves = codecs.action_codecs
        self._action_takes_a_token = codecs.num_own_action_tokens > 0

    def content(
        self,
        episode: Episode,
        predictions: Sequence[Prediction],
        *,
        frames: Mapping[int, np.ndarray] | None = None,
        max_bytes: int = 500_000,
    ) -> dict[str, Any]:
        """Returns the JSON values that the page's script shows.

        Args:
            episode: as it was played.
            predictions: of the timesteps to be shown, ascending.
            frames: (height, width, 3) uint8 by timestep, where the environment was drawn.
            max_bytes: of all timesteps together, as JSON; where they are more, fewer of them are shown, but one always.
        """
        actions = flatten(self._action_space, episode.actions, "action")
        action_ids = np.concatenate(
            [leaf.encode(part).tokens for leaf, part in zip(self._action_leaves, actions, strict=True)], axis=1
        )
        observed = flatten(self._observation_space, episode.observations, "observation")
        steps = [
            self._timestep(episode, observed, action_ids[prediction.timestep], prediction, frames or {})
            for prediction in predictions
        ]
        sizes = np.array([len(json.dumps(step)) for step in steps])
        most = len(steps)
        while most > 1 and sizes[spread(len(steps), most)].sum() > max_bytes:
            most -= 1
        return {
            "num_timesteps": len(episode),
            "leaves": [self._leaf(leaf, space) for leaf, space in self._leaves],
            "steps": [steps[index] for index in spread(len(steps), most)] if steps else [],
        }

    def _leaf(self, leaf: ObservationLeaf, space: gym.Space) -> dict[str, Any]:
        if isinstance(leaf, ImageLeaf):
            (height, width), (rows, columns) = self._image_size(space)
            title = f"{leaf.path}: an image of {height} x {width} in {rows} x {columns} patches, which have no ids"
            return {"kind": "image", "title": title, "rows": rows, "columns": columns}
        if isinstance(leaf, ContinuousLeaf | DiscreteLeaf):
            binned = isinstance(leaf, ContinuousLeaf)
            kind = "continuous" if binned else "discrete"
            most = self._tokenizer.values_per_token
            shared = f"; up to {most} neighbouring numbers share a token" if self._tokenizer.has_groups else ""
            return {
                "kind": "numbers",
                "title": f"{leaf.path}: {leaf.width} {kind} number{'s' * (leaf.width != 1)}{shared}",
                "binned": binned,
                "first_id": self._tokenizer.continuous_ids.start if binned else self._tokenizer.discrete_ids.start,
            }
        most = self._tokenizer.pieces_per_token
        shared = f"; up to {most} of its pieces share a token" if most > 1 else ""
        return {"kind": "text", "title": f"{leaf.path}: text{shared}"}

    def _timestep(
        self,
        episode: Episode,
        observed: Sequence[Any],
        action_ids: np.ndarray,
        prediction: Prediction,
        frames: Mapping[int, np.ndarray],
    ) -> dict[str, Any]:
        t = prediction.timestep
        columns = [leaf.encode(part[t : t + 1]) for (leaf, _), part in zip(self._leaves, observed, strict=True)]
        counts = [column.tokens.shape[1] if column.lengths is None else int(column.lengths[0]) for column in columns]
        places = token_places(counts, [column.kind for column in columns], self._tokenizer)
        num_observed = max((int(own[-1]) + 1 for own in places if len(own)), default=0)
        # Without a token that could carry its mark the separator keeps its own.
        predicting = num_observed - (self._tokenizer.separator == "mark" and num_observed > 0)
        step = {
            "timestep": t,
            "seen": [
                self._seen(leaf, space, part[t], column, own)
                for (leaf, space), part, column, own in zip(self._leaves, observed, columns, places, strict=True)
            ],
            "separator": self._separator(predicting, is_token=predicting == num_observed),
            "predicted": self._predicted(predicting),
            "action": self._action(action_ids, prediction.probabilities, predicting + 1),
            "reward": _number(episode.rewards[t]),
            "total": _number(episode.rewards[: t + 1].sum()),
            "context": _context(prediction),
        }
        if t in frames:
            step["frame"] = _image_uri(frames[t], "webp", quality=70)
        return step

    def _separator(self, place: int, *, is_token: bool) -> str:
        if is_token:
            return f"Token {place}: the separator, id {self._tokenizer.separator_id}."
        return f"Token {place} carries the mark of the separator, which takes no token of its own."

    def _predicted(self, place: int) -> str:
        """Says what an action of one token is predicted from."""
        if not self._tokenizer.has_action_groups:
            return ""
        told = "The action is one token." if self._action_takes_a_token else "The action is not fed and takes no token."
        if sum(len(leaf.ranges) for leaf in self._action_leaves) == 1:
            return f"{told} It is predicted from token {place}."
        together = "at once"
        if self._tokenizer.action_tokens == "decoded":
            together = "each given the executed numbers before it"
        return f"{told} All its numbers are predicted from token {place}, {together}."

    def _seen(
        self, leaf: ObservationLeaf, space: gym.Space, value: Any, columns: Columns, places: np.ndarray
    ) -> dict[str, Any]:
        """Returns what one leaf shows of one timestep, whose parts stand in the tokens `places`."""
        told: dict[str, Any] = {"tokens": places.tolist()}
        if columns.patches is not None:
            size = self._tokenizer.patch_size  # the last patches are seen whole, with what pads them
            _, (rows, width) = self._image_size(space)
            image = patches_to_image(columns.patches[0], rows * size, width * size)
            return {**told, "image": _image_uri(image, "png", optimize=True)}
        ids = columns.tokens[0, : len(places)]
        told["ids"] = ids.tolist()
        if isinstance(leaf, ContinuousLeaf | DiscreteLeaf):
            told["observed"] = [_number(value) for value in np.ravel(np.asarray(value)).tolist()]
            told["read"] = [_number(value) for value in np.ravel(leaf.decode(ids)).tolist()]
        else:
            told["pieces"] = [self._piece(int(token)) for token in ids]
        return told

    def _image_size(self, space: gym.Space) -> tuple[tuple[int, int], tuple[int, int]]:
        """Returns height and width in pixels, and in patches."""
        assert space.shape is not None  # an image's space is a Box
        height, width = space.shape[:2]
        return (height, width), patch_grid(height, width, self._tokenizer.patch_size)

    def _action(self, ids: np.ndarray, probabilities: Sequence[np.ndarray], first: int) -> list[dict[str, Any]]:
        tokens: list[dict[str, Any]] = []
        done = 0
        for leaf in self._action_leaves:
            own = ids[done : done + len(leaf.ranges)]
            for index in range(len(own)):
                if len(tokens) < _MOST_ACTION_NUMBERS:
                    tokens.append(
                        {
                            "place": self._place(first, done + index),
                            **self._token(leaf, own, index, probabilities[done + index]),
                        }
                    )
            done += len(own)
        if len(tokens) < done:
            parts = "numbers" if self._tokenizer.has_action_groups else "tokens"
            tokens[-1]["rest"] += f" {done - len(tokens)} more {parts} of the action are not shown."
        return tokens

    def _place(self, first: int, index: int) -> str:
        """Says where a number of an action stands whose tokens begin with `first`; nothing where it takes no token."""
        if not self._tokenizer.has_action_groups:
            return f"token {first + index}, "
        return f"in token {first}, " if self._action_takes_a_token else ""

    def _token(self, leaf: ActionLeaf, ids: np.ndarray, index: int, probabilities: np.ndarray) -> dict[str, Any]:
        low, high = leaf.ranges[index].tolist()
        chosen = int(ids[index])
        shown = [int(low + place) for place in np.argsort(-probabilities, kind="stable")[:_NUM_OPTIONS]]
        if chosen not in shown:
            shown.append(chosen)
        rest = len(probabilities) - len(shown)
        others = max(1 - sum(float(probabilities[token - low]) for token in shown), 0.0)
        return {
            "field": leaf.path if len(ids) == 1 else f"{leaf.path}[{index}]",
            "id": chosen,
            "legal": f"{low} to {high - 1}",
            "value": self._meaning(leaf, ids, index, chosen),
            "options": [
                [
                    token,
                    self._meaning(leaf, ids, index, token),
                    round(float(probabilities[token - low]), 4),
                    _share(float(probabilities[token - low])),
                ]
                for token in shown
            ],
            "rest": f"{rest} other legal ids share {_share(others)}." if rest else "",
        }

    def _meaning(self, leaf: ActionLeaf, ids: np.ndarray, index: int, token: int) -> str:
        """Returns what an id means as the token at `index` of the leaf's ids."""
        if isinstance(leaf, ContinuousLeaf | DiscreteLeaf):
            replaced = ids.astype(np.int64)
            replaced[index] = token
            value = np.ravel(leaf.decode(replaced)).tolist()[index]
            named = isinstance(self._action_space, gym.spaces.Discrete) and 0 <= value < len(self._action_names)
            return f"{_number(value)} {self._action_names[value]}" if named else _number(value)
        return self._piece(token)

    def _piece(self, token: int) -> str:
        assert self._text is not None  # no codec of text is made without it
        marks = {self._text.start_id: "<start>", self._text.end_id: "<end>"}
        return marks.get(token) or self._text.decode([token])


def _context(prediction: Prediction) -> str:
    shown = f"{prediction.num_prompt} tokens of a demonstration and " if prediction.num_prompt else ""
    first, last = prediction.first_visible, prediction.timestep
    timesteps = f"timestep {last}" if first == last else f"timesteps {first} to {last}"
    told = f"In the context: {shown}{timesteps} of this episode, {prediction.num_tokens} tokens in all."
    if not prediction.after_eviction:
        return told
    return (
        f"{told} What came before has left it. The probabilities are those of one pass over what is left; what the "
        "agent kept of it when it acted had still seen the rest."
    )


def _number(value: Any) -> str:  # of any numeric type
    return minus(f"{value:.4g}" if isinstance(value, float) else str(int(value)))


def _share(probability: float) -> str:
    return "<0.1%" if 0 < probability < 0.0005 else f"{probability:.1%}"


def _image_uri(image: np.ndarray, kind: str, **settings: Any) -> str:
    """Encodes an image as a data URI; `Any` because the settings of Pillow's writers are of any type."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format=kind, **settings)
    return data_uri(buffer.getvalue(), kind)
