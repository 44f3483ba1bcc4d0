"""The fixed order of one timestep: observations and actions of any Gymnasium space to tokens, actions back.

A timestep is its observation tokens, a separator, and its action tokens. Observation tokens follow the order of
`gato.tokenizer.tree` and, within a leaf, reading order: text as it runs, patches in raster order, tensors row-major.
Departures of `TokenizerConfig` shorten it: `gato.tokenizer.groups` puts several numbers into one token.

Source: Gato (Reed et al., 2022), sections 2.1 (order) and 2.3 (loss), appendix C.3 (local positions).
"""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from gato.config import FieldScale, TokenizerConfig
from gato.tokenizer.groups import group_columns, widest_group
from gato.tokenizer.leaves import ActionLeaf, Columns, ContinuousLeaf, ImageLeaf
from gato.tokenizer.rules import Modality, action_leaf, observation_leaf
from gato.tokenizer.sequence import GroupedNumbers, TokenSequence
from gato.tokenizer.text import TextTokenizer
from gato.tokenizer.tree import flatten, leaf_spaces, unflatten


class TimestepTokenizer:
    """Encodes the episodes of one environment and decodes its actions.

    Actions decode to members of the action space whatever ids within `action_ranges` they are given.
    """

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        config: TokenizerConfig,
        text: TextTokenizer | None = None,
        *,
        modalities: Mapping[str, Modality] | None = None,
        fields: Sequence[FieldScale] = (),
        text_loss: bool = True,
    ) -> None:
        """Fixes the layout of a timestep.

        Args:
            observation_space: Discrete, MultiDiscrete, MultiBinary, Box, Text, Dict and Tuple, nested at will.
            action_space: the same.
            text: needed where a space holds Text.
            modalities: "image" or "tensor" for observation leaves by path, such as "observation/pixels", where
                `gato.tokenizer.rules.is_image` would choose the other.
            fields: scales of continuous leaves by path; the others keep the paper's rule.
            text_loss: whether text in observations is a target; pieces that share tokens never are.

        Raises:
            ValueError: a space, or the size of a timestep, cannot be represented, or a scale is of no such leaf; the
                message names the leaf.
        """
        if text is not None and text.vocab_size > config.text_vocab_size:
            raise ValueError(
                f"the text tokenizer has {text.vocab_size} pieces, but text_vocab_size is {config.text_vocab_size}: "
                "set it to the size of the text tokenizer"
            )
        self._observation_space, self._action_space, self._config = observation_space, action_space, config
        observed = leaf_spaces(observation_space, "observation")
        modalities = dict(modalities or {})
        boxes = [path for path, space in observed if isinstance(space, spaces.Box)]
        for path, modality in modalities.items():
            if path not in boxes:
                hint = _nearest(path, boxes, "Box leaves are")
                raise ValueError(f"modalities name {path!r}, which is no Box of the observation space: {hint}")
            if modality not in ("image", "tensor"):
                raise ValueError(f"modalities give {modality!r} for {path!r}, expected 'image' or 'tensor'")
        scales = {scale.path: scale for scale in fields}
        self.observation_codecs = [
            observation_leaf(path, space, config, text, modalities.get(path), scales.get(path))
            for path, space in observed
        ]
        self.action_codecs: list[ActionLeaf] = [
            action_leaf(path, space, config, text, scales.get(path))
            for path, space in leaf_spaces(action_space, "action")
        ]
        codecs = *self.observation_codecs, *self.action_codecs
        continuous = [codec.path for codec in codecs if isinstance(codec, ContinuousLeaf)]
        for path in scales:
            if path not in continuous:
                hint = _nearest(path, continuous, "those are")
                raise ValueError(f"fields scale {path!r}, which is no continuous leaf of these spaces: {hint}")
        if len(scales) < len(fields):
            raise ValueError(f"fields must be of different paths, are {[scale.path for scale in fields]}")
        self._action_stops = np.cumsum([len(leaf.ranges) for leaf in self.action_codecs])
        if not self.action_codecs or not self._action_stops[-1]:
            raise ValueError(f"action is {action_space}, which has no tokens: there is nothing to predict")
        self._action_ranges = np.concatenate([leaf.ranges for leaf in self.action_codecs])
        if config.has_action_groups and len(self._action_ranges) > config.values_per_token:
            raise ValueError(
                f"action is {action_space}, {len(self._action_ranges)} numbers, but values_per_token is "
                f"{config.values_per_token} and action_tokens {config.action_tokens!r}: raise values_per_token to "
                f"{len(self._action_ranges)} or more in the tokenizer config"
            )
        images = [codec for codec in self.observation_codecs if isinstance(codec, ImageLeaf)]
        self._intervals = np.concatenate([np.zeros((0, 4), np.int32)] + [codec.intervals for codec in images])
        self._text_loss = text_loss
        widths = [leaf.width or 0 for leaf in self.observation_codecs]
        if not config.has_groups:
            self._check_size(widths, sum(widths))
        kinds = [leaf.kind for leaf in self.observation_codecs]
        num_observed = [width if kind == "numbers" else None for width, kind in zip(widths, kinds, strict=True)]
        num_pieces = config.pieces_per_token if "text" in kinds else 0
        num_action_values = len(self._action_ranges) if config.has_action_groups else 0
        self._num_values = max(widest_group(num_observed, config), num_action_values, num_pieces, 1)  # of any token

    @property
    def num_action_tokens(self) -> int:
        """Counts the tokens of an action of a demonstration."""
        return 1 if self._config.has_action_groups else len(self._action_ranges)

    @property
    def num_own_action_tokens(self) -> int:
        """Counts the tokens of an action of the episode that is played: none where they are hidden."""
        return 0 if self._config.own_actions == "hidden" else self.num_action_tokens

    @property
    def action_ranges(self) -> np.ndarray:
        """Legal ids [low, high) of each of the A numbers of an action: (A, 2) int32."""
        return self._action_ranges.copy()

    def encode_episode(
        self,
        observations: Any,
        actions: Any,
        *,
        action_mask: np.ndarray | None = None,
        terminal_observation: bool = False,
    ) -> TokenSequence:
        """Encodes T timesteps at once.

        Args:
            observations: batched as Minari does it: a Dict as a dict and a Tuple as a tuple of batched values, numbers
                as arrays (T, ...) or (T + 1, ...), Text as a list of str. `Any`, since any space is possible.
            actions: likewise, with T entries.
            action_mask: (T,) bool; where False, the action is shown but is no target.
            terminal_observation: whether observation T and a separator follow as a last timestep without an action.

        Raises:
            ValueError: a value does not fit its space or is not finite; the message names the leaf and the timestep.
        """
        action_parts = flatten(self._action_space, actions, "action")
        num_actions = _length(action_parts[0], self.action_codecs[0].path)
        for part, leaf in zip(action_parts, self.action_codecs, strict=True):
            if (length := _length(part, leaf.path)) != num_actions:
                raise ValueError(f"{leaf.path} has {length} timesteps, other actions have {num_actions}")
        action_tokens = self._encode_actions(action_parts)
        num_timesteps = num_actions + int(terminal_observation)
        parts = flatten(self._observation_space, observations, "observation")
        for part, field in zip(parts, self.observation_codecs, strict=True):
            length = _length(part, field.path)
            if length not in (num_timesteps, num_actions + 1):
                raise ValueError(
                    f"{field.path} has {length} timesteps for {num_actions} actions, expected {num_actions + 1}"
                    + ("" if terminal_observation else f" or {num_actions}")
                )
        columns = [leaf.encode(part[:num_timesteps]) for leaf, part in zip(self.observation_codecs, parts, strict=True)]
        if action_mask is not None:
            action_mask = np.asarray(action_mask)
            if action_mask.shape != (num_actions,) or action_mask.dtype != np.bool_:
                raise ValueError(
                    f"action_mask has shape {action_mask.shape} and dtype {action_mask.dtype}, "
                    f"expected ({num_actions},) bool"
                )
        return self._assemble(columns, action_tokens, action_mask, num_timesteps)

    def encode_observation(self, observation: Any) -> TokenSequence:
        """Encodes one timestep without its action: a member of the observation space, then the separator."""
        return self.encode_observations([observation])

    def encode_observations(self, observations: Sequence[Any]) -> TokenSequence:
        """Encodes several timesteps without actions, which need not follow one another, much quicker than one by one.

        Raises:
            ValueError: one does not fit the space; the message counts it as a timestep, from 0.
        """
        members = [flatten(self._observation_space, observation, "observation") for observation in observations]
        leaves = zip(self.observation_codecs, zip(*members, strict=True), strict=True)
        columns = [leaf.encode(list(parts)) for leaf, parts in leaves]
        return self._assemble(columns, np.zeros((0, len(self._action_ranges)), np.int32), None, len(members))

    def action_sequence(self, ids: np.ndarray) -> TokenSequence:
        """Returns the tokens that an action (A,) adds to its timestep, none a target; padding ids stand for unknown."""
        config, count = self._config, self.num_action_tokens
        ids = np.asarray(ids, np.int32)
        numbers = None
        if config.has_groups:
            numbers = self._empty_numbers(count)
            if config.has_action_groups:
                numbers.values[0, : len(ids)] = ids
        return TokenSequence(
            tokens=np.full(1, config.padding_id, np.int32) if config.has_action_groups else ids,
            local_positions=np.full(count, config.action_position, np.int32),
            loss_mask=np.zeros(count, bool),
            changed_mask=np.zeros(count, bool),
            patches=np.zeros((0, config.patch_size, config.patch_size, 3), np.uint8),
            patch_indices=np.zeros(0, np.int32),
            patch_intervals=np.zeros((0, 4), np.int32),
            starts=np.array([0, count], np.int64),
            numbers=numbers,
        )

    def encode_action(self, action: Any) -> np.ndarray:
        """Encodes a member of the action space, (A,) int32: one id for each of its numbers."""
        return self._encode_actions([[part] for part in flatten(self._action_space, action, "action")])[0]

    def decode_action(self, ids: Sequence[int] | np.ndarray) -> Any:
        """Returns the member of the action space that the ids (A,) stand for.

        Raises:
            ValueError: there are more or fewer ids, or one is outside its legal range.
        """
        ids = np.asarray(ids)
        if ids.shape != (len(self._action_ranges),) or ids.dtype.kind not in "iu":
            raise ValueError(
                f"action ids have shape {ids.shape} and dtype {ids.dtype}, "
                f"expected ({len(self._action_ranges)},) integers"
            )
        ids = ids.astype(np.int64)
        wrong = np.flatnonzero((ids < self._action_ranges[:, 0]) | (ids >= self._action_ranges[:, 1]))
        if len(wrong):
            low, high = self._action_ranges[wrong[0]]
            raise ValueError(f"action token {wrong[0]} is {ids[wrong[0]]}, expected an id in [{low}, {high})")
        pieces = np.split(ids, self._action_stops[:-1])
        decoded = [leaf.decode(piece) for leaf, piece in zip(self.action_codecs, pieces, strict=True)]
        return unflatten(self._action_space, iter(decoded))

    def _encode_actions(self, parts: Sequence[Any]) -> np.ndarray:
        """Encodes batched action leaves, (T, A) int32."""
        return np.concatenate(
            [leaf.encode(part).tokens for leaf, part in zip(self.action_codecs, parts, strict=True)], axis=1
        )

    def _assemble(
        self, columns: Sequence[Columns], actions: np.ndarray, action_mask: np.ndarray | None, num_timesteps: int
    ) -> TokenSequence:
        """Lays observation columns, the separator and actions side by side, and reads the rows one after another.

        Rows that leave columns empty (short texts, a last timestep without an action) are read without them.
        """
        config = self._config
        if config.has_groups:
            columns = group_columns(columns, config)
        num_observed = sum(column.tokens.shape[1] for column in columns)
        num_actions = len(actions)
        action_part = slice(num_observed + 1, None)
        shape = num_timesteps, num_observed + 1 + (self.num_action_tokens if num_actions else 0)
        tokens = np.empty(shape, np.int32)
        used = np.ones(shape, bool)
        loss_mask = np.zeros(shape, bool)
        changed_mask = np.zeros(shape, bool)
        is_patch = np.zeros(shape[1], bool)

        start = 0
        for column in columns:
            part = slice(start, start + column.tokens.shape[1])
            tokens[:, part] = column.tokens
            if column.lengths is not None:
                used[:, part] = np.arange(column.tokens.shape[1]) < column.lengths[:, None]
                loss_mask[:, part] = self._text_loss and column.values is None
            is_patch[part] = column.patches is not None
            start = part.stop
        self._check_size(
            [column.tokens.shape[1] for column in columns], int(used[:, :num_observed].sum(axis=1).max(initial=0))
        )

        tokens[:, num_observed] = config.separator_id
        used[num_actions:, action_part] = False
        local_positions = np.cumsum(used, axis=1, dtype=np.int32) - np.int32(1)
        local_positions[:, num_observed] = config.separator_position
        local_positions[:, action_part] = config.action_position
        # The token that an action is predicted from: the separator, or the one that carries its position.
        predicting = np.full(num_timesteps, num_observed)
        if config.separator == "mark":
            observed = used[:, :num_observed]
            is_marked = observed.any(axis=1)
            used[:, num_observed] = ~is_marked  # an observation without tokens leaves none to carry it
            last = num_observed - 1 - np.argmax(observed[:, ::-1], axis=1) if num_observed else predicting
            predicting = np.where(is_marked, last, predicting)
            local_positions[np.arange(num_timesteps), predicting] = config.separator_position
        targets = np.ones(num_actions, bool) if action_mask is None else action_mask
        changed = np.ones(num_actions, bool)
        changed[1:] = (actions[1:] != actions[:-1]).any(axis=1)
        if config.has_action_groups:
            tokens[:num_actions, action_part] = config.padding_id
            changed_mask[np.arange(num_actions), predicting[:num_actions]] = changed
        elif num_actions:
            tokens[:num_actions, action_part] = actions
            loss_mask[:num_actions, action_part] = targets[:, None]
            changed_mask[:num_actions, action_part] = changed[:, None]

        reads_all = bool(used.all())

        def read(matrix: np.ndarray) -> np.ndarray:
            """Returns the used entries row by row."""
            return matrix.reshape(-1, *matrix.shape[2:]) if reads_all else matrix[used]

        patches = [column.patches for column in columns if column.patches is not None]
        patches.append(np.zeros((num_timesteps, 0, config.patch_size, config.patch_size, 3), np.uint8))
        sequence = TokenSequence(
            tokens=read(tokens),
            local_positions=read(local_positions),
            loss_mask=read(loss_mask),
            changed_mask=read(changed_mask),
            patches=np.concatenate(patches, axis=1).reshape(-1, *patches[0].shape[2:]),
            patch_indices=np.flatnonzero(read(np.broadcast_to(is_patch, shape))).astype(np.int32),
            patch_intervals=np.tile(self._intervals, (num_timesteps, 1)),
            starts=np.concatenate([[0], np.cumsum(used.sum(axis=1))]),
        )
        if not config.has_groups:
            return sequence
        # Numbers go to the place of their column in the rows that were read.
        places = (np.cumsum(used) - 1).reshape(shape)
        numbers = self._empty_numbers(len(sequence))
        start = 0
        for column in columns:
            part = slice(start, start + column.tokens.shape[1])
            if column.values is not None:
                filled = used[:, part]
                numbers.values[places[:, part][filled], : column.values.shape[2]] = column.values[filled]
            start = part.stop
        if config.has_action_groups:
            numbers.values[places[:num_actions, num_observed + 1 :].ravel(), : actions.shape[1]] = actions
            predicting = places[np.arange(num_actions), predicting[:num_actions]]
            numbers.action_values[predicting] = actions
            numbers.action_mask[predicting] = targets
        return dataclasses.replace(sequence, numbers=numbers)

    def _empty_numbers(self, num_tokens: int) -> GroupedNumbers:
        """Returns the numbers of so many tokens, none of which holds any."""
        config = self._config
        ranges = self._action_ranges if config.has_action_groups else self._action_ranges[:0]
        dtype = np.uint16 if config.vocab_size <= 1 << 16 else np.int32  # they are most of what is kept of an episode
        return GroupedNumbers(
            values=np.full((num_tokens, self._num_values), config.padding_id, dtype),
            action_values=np.full((num_tokens, len(ranges)), config.padding_id, dtype),
            action_mask=np.zeros(num_tokens, bool),
            action_ranges=ranges,
        )

    def _check_size(self, widths: Sequence[int], num_tokens: int) -> None:
        limit = self._config.local_position_size
        if num_tokens > limit:
            widest = int(np.argmax(widths))
            raise ValueError(
                f"an observation takes {num_tokens} tokens, most of them for {self.observation_codecs[widest].path}, "
                f"but at most local_position_size = {limit} fit: make it smaller (pictures become patches if they are "
                "uint8 with channels last) or raise local_position_size in the tokenizer config"
            )


def _length(part: Any, path: str) -> int:
    """Returns the number of timesteps of one batched leaf."""
    try:
        return len(part)
    except TypeError:
        raise ValueError(f"{path} is {part!r}, expected one value per timestep") from None


def _nearest(path: str, paths: list[str], introduction: str) -> str:
    near = difflib.get_close_matches(path, paths, n=1)
    return f"did you mean {near[0]!r}?" if near else f"{introduction} {paths}"
