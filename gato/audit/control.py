"""The numbers of one control source: episodes, returns, windows, fields, actions and duplicates."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from gato.audit.actions import ActionAudit, ActionTable, audit_action, nearest
from gato.audit.duplicates import Duplicates, count_duplicates, episode_hash, near_vectors
from gato.audit.fields import FieldAudit, audit_fields
from gato.audit.rows import count_kinds, token_kinds
from gato.audit.sample import AuditContext, Summary, read_records, sample_records, summarize
from gato.data.action_choice import without_own_actions
from gato.data.encoded import encode_episode, timestep_tokenizer
from gato.data.episode import ControlSource, Episode
from gato.data.split import split_records
from gato.data.timestep_sample import TimestepSample
from gato.tokenizer.demonstration import last_start
from gato.tokenizer.leaves import ContinuousLeaf, ImageLeaf, TextActionLeaf, TextLeaf
from gato.tokenizer.sequence import TokenSequence
from gato.tokenizer.tree import flatten, leaf_spaces

_FINGERPRINT_STEPS = 16  # timesteps, evenly spaced, that stand for an episode when near-duplicates are sought
_LEAST_SCALE = 1e-3  # of a number's largest magnitude; smaller deviations count as none when episodes are compared
_POOLED_SIDE = 8  # images are averaged to so many cells per side when observations are compared
_TEXT_CELLS = 32  # words are hashed to so many counts


@dataclass(frozen=True, kw_only=True)
class ControlAudit:
    """One control source, from a sample of its episodes."""

    num_episodes: int  # of the source
    num_sampled: int  # of which were read
    num_groups: int  # different tasks, whose episodes prompt only one another
    num_alone: int  # episodes whose group has no other: they are never prompted
    lengths: Summary  # timesteps of an episode
    returns: Summary
    return_values: tuple[float, ...]
    length_values: tuple[int, ...]
    terminated_share: float
    masked_share: float  # of timesteps whose action is shown but not imitated
    tokens: Mapping[str, float]  # of the episode's own, mean per timestep, by kind
    numbers: Mapping[str, float]  # mean per timestep, in tokens that may hold several, by kind of the token
    window_timesteps: Summary | None  # timesteps that fit a row without a prompt; None if nothing could be encoded
    window_share: float | None  # mean share of an episode that one window shows
    fields: tuple[FieldAudit, ...]
    constant_pixels: float | None  # share of pixels that never change in the sample; None without images
    constant_discrete: tuple[int, int]  # observed discrete numbers that never change in the sample, of how many
    actions: tuple[ActionAudit, ...]
    duplicates: Duplicates
    num_problems: int
    problems: tuple[str, ...]  # the first few messages of what could not be read or encoded


def audit_control(source: ControlSource, context: AuditContext) -> ControlAudit:
    """Reads a sample of episodes and measures them.

    Raises:
        ValueError: the spaces cannot be represented, or no episode can be read.
    """
    limits = context.limits
    held_out = split_records(len(source), context.source.held_out, held_out=True)
    order = sample_records(len(source), held_out, limits.episodes, limits.seed)
    rng = np.random.default_rng((limits.seed, context.source_id))
    reader = _Reader(source, context, TimestepSample(limits.timesteps, rng), rng)
    for index, episode in read_records(source, order, limits.size_bytes, reader.problems):
        reader.read(index, episode)
    if not reader.records:
        raise ValueError(f"{source.name}: none of {len(order)} episodes can be read: {reader.problems[0]}")
    records = np.array(reader.records)
    prints = np.stack(reader.fingerprints)
    values = prints.reshape(len(records) * _FINGERPRINT_STEPS, -1)
    # What hardly varies at all must not turn rounding errors into differences.
    scales = np.where(np.ptp(values, axis=0) > 0, np.maximum(values.std(axis=0), _LEAST_SCALE * abs(values).max(0)), 0)
    lengths = np.array(reader.lengths)
    groups, sizes = np.unique(source.groups, return_counts=True)
    return ControlAudit(
        num_episodes=len(source),
        num_sampled=len(records),
        num_groups=len(groups),
        num_alone=int((sizes == 1).sum()),
        lengths=summarize(lengths),
        returns=summarize(reader.returns),
        return_values=tuple(reader.returns),
        length_values=tuple(reader.lengths),
        terminated_share=float(np.mean(reader.terminated)),
        masked_share=reader.num_masked / int(lengths.sum()),
        tokens={name: count / max(reader.num_encoded, 1) for name, count in reader.tokens.items()},
        numbers={name: count / max(reader.num_encoded, 1) for name, count in reader.numbers.items()},
        window_timesteps=summarize(reader.windows) if reader.windows else None,
        window_share=float(np.mean(reader.window_shares)) if reader.windows else None,
        fields=tuple(reader.field_audits()) if reader.num_encoded else (),
        constant_pixels=reader.constant_pixels(),
        constant_discrete=reader.constant_discrete(),
        actions=tuple(reader.action_audits(rng)) if reader.num_encoded else (),
        duplicates=count_duplicates(
            records,
            reader.hashes,
            near_vectors(prints, np.tile(scales, _FINGERPRINT_STEPS), lengths),
            held_out,
            complete=len(records) == len(source),
        ),
        num_problems=len(reader.problems),
        problems=tuple(reader.problems[:5]),
    )


class _Reader:
    """What is kept of the episodes while they are read one by one."""

    def __init__(
        self, source: ControlSource, context: AuditContext, sample: TimestepSample, rng: np.random.Generator
    ) -> None:
        self._source, self._data, self._tokenizer, self._sample = source, context.data, context.tokenizer, sample
        self._rng = rng  # draws which own actions are dropped, where some are
        self._timesteps = timestep_tokenizer(source, context.tokenizer, context.text, fields=context.source.fields)
        self._leaves, self._action_leaves = self._timesteps.observation_codecs, self._timesteps.action_codecs
        self._action_spaces = [space for _, space in leaf_spaces(source.action_space, "action")]
        self._discrete_first = not any(isinstance(leaf, TextLeaf) for leaf in self._leaves)
        self._non_finite: dict[str, np.ndarray] = {}
        self._pixels: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # lowest and highest value of each pixel
        self._discrete: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # and of each observed discrete number
        self.records: list[int] = []
        self.hashes: list[bytes] = []
        self.fingerprints: list[np.ndarray] = []
        self.lengths: list[int] = []
        self.returns: list[float] = []
        self.terminated: list[bool] = []
        self.num_masked = 0
        self.tokens: dict[str, float] = {}
        self.numbers: dict[str, float] = {}
        self.num_encoded = 0  # timesteps
        self.windows: list[int] = []
        self.window_shares: list[float] = []
        self.problems: list[str] = []

    def read(self, index: int, episode: Episode) -> None:
        """Takes one episode into account; what of it cannot be encoded is a problem."""
        length = len(episode)
        self.records.append(index)
        self.hashes.append(episode_hash(episode))
        self.lengths.append(length)
        self.returns.append(episode.episode_return)
        self.terminated.append(episode.terminated)
        self.num_masked += 0 if episode.action_mask is None else int((~episode.action_mask).sum())
        observed = flatten(self._source.observation_space, episode.observations, "observation")
        acted = flatten(self._source.action_space, episode.actions, "action")
        observed = [part[:length] for part in observed]
        features = [np.zeros((length, 0), np.float32)]
        for watched, part in zip(self._leaves, observed, strict=True):
            features.append(self._features(watched, part))
            if not isinstance(watched, TextLeaf | ImageLeaf | ContinuousLeaf):
                _widen(self._discrete, watched.path, part)
        columns = {"features": np.concatenate(features, axis=1)}
        for leaf, part in zip([*self._leaves, *self._action_leaves], [*observed, *acted], strict=True):
            if isinstance(leaf, ContinuousLeaf):
                columns[leaf.path] = part
                missing = (~np.isfinite(part.reshape(length, -1))).sum(axis=0)
                self._non_finite[leaf.path] = self._non_finite.get(leaf.path, 0) + missing
        moves = [self._features(leaf, part) for leaf, part in zip(self._action_leaves, acted, strict=True)]
        steps = np.linspace(0, length - 1, _FINGERPRINT_STEPS).round().astype(int)
        self.fingerprints.append(np.concatenate([columns["features"], *moves], axis=1)[steps].reshape(-1))
        try:
            encoded = encode_episode(episode, self._timesteps, terminal_observation=False)
            tokens = [leaf.encode(part).tokens for leaf, part in zip(self._action_leaves, acted, strict=True)]
        except ValueError as error:
            self.problems.append(f"{self._source.name}: episode {index}: {error}")
            return
        self._count(encoded)
        for action, part in zip(self._action_leaves, tokens, strict=True):
            columns[f"tokens:{action.path}"] = part
            columns[f"previous:{action.path}"] = np.concatenate([part[:1], part[:-1]])
        self._sample.add({**columns, "episode": np.full(length, index), "first": np.arange(length) == 0})

    def _count(self, encoded: TokenSequence) -> None:
        encoded = without_own_actions(encoded, self._tokenizer, self._rng)
        values = None if encoded.numbers is None else encoded.numbers.values
        patch_mask = np.zeros(len(encoded), bool)
        patch_mask[encoded.patch_indices] = True
        kinds = token_kinds(
            encoded.tokens,
            encoded.local_positions,
            patch_mask,
            self._tokenizer,
            values=values,
            control=True,
            discrete_first=self._discrete_first,
        )
        counted = [(self.tokens, count_kinds(kinds))]
        if values is not None:
            counted.append((self.numbers, count_kinds(kinds, (values != self._tokenizer.padding_id).sum(axis=1))))
        for total, counts in counted:
            for name, count in counts.items():
                total[name] = total.get(name, 0.0) + count
        self.num_encoded += encoded.num_timesteps
        window = encoded.num_timesteps - last_start(encoded, self._data.context_length, self._data.max_patches)
        self.windows.append(window)
        self.window_shares.append(window / encoded.num_timesteps)

    def _features(self, leaf: Any, part: Any) -> np.ndarray:
        """Makes the (T, d) float32 by which timesteps are compared; `Any`: a codec and a batched leaf of its space."""
        if isinstance(leaf, TextLeaf | TextActionLeaf):
            table = {value: _text_features(value) for value in dict.fromkeys(part)}
            return np.stack([table[value] for value in part])
        if isinstance(leaf, ImageLeaf):
            _widen(self._pixels, leaf.path, part)
            return _pooled(part)
        return np.nan_to_num(part.reshape(len(part), -1).astype(np.float32))

    def constant_pixels(self) -> float | None:
        """Returns the share of pixel values that are the same in every image read."""
        if not self._pixels:
            return None
        return float(np.concatenate([(low == high).ravel() for low, high in self._pixels.values()]).mean())

    def constant_discrete(self) -> tuple[int, int]:
        """Counts the observed discrete numbers that are the same at every timestep read, and all of them."""
        fixed = [(low == high).ravel() for low, high in self._discrete.values()]
        return sum(int(each.sum()) for each in fixed), sum(len(each) for each in fixed)

    def field_audits(self) -> list[FieldAudit]:
        """Audits the fields of all continuous leaves; some episode must have been encoded."""
        columns = self._sample.columns()
        return [
            field
            for leaf in [*self._leaves, *self._action_leaves]
            if isinstance(leaf, ContinuousLeaf) and columns[leaf.path].size
            for field in audit_fields(leaf, columns[leaf.path], self._non_finite[leaf.path], self._tokenizer)
        ]

    def action_audits(self, rng: np.random.Generator) -> list[ActionAudit]:
        """Audits all action leaves; some episode must have been encoded."""
        columns = self._sample.columns()
        features = columns["features"]
        scales = features.std(axis=0)
        features = (features - features.mean(axis=0)) / np.where(scales > 0, scales, 1)
        queries, neighbours = nearest(features, columns["episode"], rng)
        audits = []
        for leaf, space in zip(self._action_leaves, self._action_spaces, strict=True):
            if not len(leaf.ranges):
                continue
            start = leaf.ranges[:, 0]
            labels = tuple(str(space.start + i) for i in range(space.n)) if isinstance(space, spaces.Discrete) else ()
            kinds = {ContinuousLeaf: "continuous", TextActionLeaf: "text"}
            table = ActionTable(
                path=leaf.path,
                kind=kinds.get(type(leaf), "discrete"),  # type: ignore[arg-type]
                tokens=columns[f"tokens:{leaf.path}"] - start,
                previous=columns[f"previous:{leaf.path}"] - start,
                labels=labels,
            )
            audits.append(audit_action(table, ~columns["first"], queries, neighbours, self._tokenizer.num_bins))
        return audits


def _widen(ranges: dict[str, tuple[np.ndarray, np.ndarray]], path: str, part: np.ndarray) -> None:
    """Extends the lowest and highest value of each element by those of (T, ...) more."""
    low, high = part.min(axis=0), part.max(axis=0)
    if path in ranges:
        low, high = np.minimum(low, ranges[path][0]), np.maximum(high, ranges[path][1])
    ranges[path] = np.asarray(low), np.asarray(high)


def _text_features(value: str) -> np.ndarray:
    """Counts hashed words with their places, so that other orders differ."""
    words = enumerate(value.split())
    cells = [zlib.crc32(f"{place} {word}".encode("utf-8", "replace")) % _TEXT_CELLS for place, word in words]
    return np.bincount(cells, minlength=_TEXT_CELLS).astype(np.float32) if cells else np.zeros(_TEXT_CELLS, np.float32)


def _pooled(frames: np.ndarray) -> np.ndarray:
    """Averages (T, height, width, channels) uint8 over a coarse grid of cells: (T, d) float32."""
    rows, columns = (np.linspace(0, size, min(size, _POOLED_SIDE) + 1).astype(int)[:-1] for size in frames.shape[1:3])
    sums = np.add.reduceat(np.add.reduceat(frames, rows, axis=1, dtype=np.float32), columns, axis=2)
    areas = np.diff([*rows, frames.shape[1]])[:, None] * np.diff([*columns, frames.shape[2]])[None]
    return (sums / areas[None, :, :, None]).reshape(len(frames), -1)
