"""Replay of demonstrations as an actor that learns nothing: what was done where it looked most like this.

This is the "retrieve and play" agent of REGENT (Sridhar et al., ICLR 2025), which plays the action of the one nearest
recorded state. How near two observations are, and what decides between equally near ones, is our own rule:

- Every leaf of the observation space weighs the same: its distance is the mean over its elements.
- Numbers are standardised element by element over the demonstrations; their squared difference counts. What never
  varies there tells no two timesteps apart and is left out.
- Images are averaged over square blocks, and their squared difference counts in units of the variance of the whole
  image, so that a pixel that hardly ever changes is not magnified.
- Discrete values and texts are equal or not; an unequal one counts as much as two independent draws of a standardised
  number do on average.
- Among equally near timesteps, the earliest one that is still to come in the episode being replayed is taken; without
  any, the earliest recorded one.
- Timesteps whose action is not to be imitated are never replayed.

Which leaves are images and which are discrete is the tokenizer's rule, so that replay and agent are shown the same.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from gato.config import TokenizerConfig
from gato.data.episode import Episode
from gato.evaluation.rollout import EpisodeStart, SlotwiseActor
from gato.tokenizer.rules import is_discrete, is_image
from gato.tokenizer.tree import flatten, leaf_spaces, unflatten

MAX_CELLS = 16  # blocks along the longer side of a image
_UNEQUAL = 2.0  # the mean squared difference of two independent numbers of variance 1
_CONSTANT = 1e-6  # standard deviations below this part of a number's size are rounding
_FRAMES = 64  # images that are widened to floats at a time
_FARTHEST = 1e6  # standard deviations; what lies beyond is as far, so that squares stay finite


class _Leaf(ABC):
    """How the values of one leaf of the observation space become columns that are compared."""

    equality = False  # columns are equal or not; otherwise their squared difference counts

    def __init__(self, path: str) -> None:
        self.path = path

    @abstractmethod
    def columns(self, values: Any) -> np.ndarray:
        """Returns (n, k) of n values, as they stand in an episode's tree."""


class _Numbers(_Leaf):
    def columns(self, values: Any) -> np.ndarray:
        array = np.asarray(values, np.float64)
        array = array.reshape(len(array), -1)
        if not np.isfinite(array).all():
            raise ValueError(
                f"{self.path} holds numbers that are not finite, expected finite ones: correct the environment or data"
            )
        return array


class _Image(_Leaf):
    def __init__(self, path: str, shape: tuple[int, ...]) -> None:
        super().__init__(path)
        side = -(-max(shape[:2]) // MAX_CELLS)
        self._rows, self._columns = (np.arange(0, size, side) for size in shape[:2])
        heights, widths = (np.diff([*np.arange(0, size, side), size]) for size in shape[:2])
        self._counts = np.outer(heights, widths).astype(np.float32)

    def columns(self, values: Any) -> np.ndarray:
        parts = [self._averages(values[low : low + _FRAMES]) for low in range(0, len(values), _FRAMES)]
        return np.concatenate(parts)

    def _averages(self, frames: np.ndarray) -> np.ndarray:
        sums = np.add.reduceat(np.asarray(frames, np.float32), self._rows, axis=1)
        sums = np.add.reduceat(sums, self._columns, axis=2)
        return (sums / self._counts[None, :, :, None]).reshape(len(sums), -1)


class _Choices(_Leaf):
    equality = True

    def columns(self, values: Any) -> np.ndarray:
        array = np.asarray(values)
        return array.reshape(len(array), -1)


class _Texts(_Leaf):
    """A text stands as the number that it has among those seen so far."""

    equality = True

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._numbers: dict[str, int] = {}

    def columns(self, values: Any) -> np.ndarray:
        return np.array([[self._numbers.setdefault(str(value), len(self._numbers))] for value in values])


def _leaf(path: str, space: gym.Space, tokenizer: TokenizerConfig) -> _Leaf:
    match space:
        case gym.spaces.Text():
            return _Texts(path)
        case gym.spaces.Box():
            if is_image(space, tokenizer):
                return _Image(path, space.shape)
            return _Choices(path) if is_discrete(space, tokenizer) else _Numbers(path)
        case gym.spaces.Discrete() | gym.spaces.MultiDiscrete() | gym.spaces.MultiBinary():
            return _Choices(path)
    raise ValueError(
        f"{path} is {type(space).__name__}, expected Discrete, MultiDiscrete, MultiBinary, Box or Text: wrap the "
        "environment so that it uses one of these"
    )


class Memory:
    """The timesteps of demonstrations, to be looked up by observation; not changed by it."""

    def __init__(
        self,
        observation_space: gym.Space,
        action_space: gym.Space,
        episodes: Iterable[Episode],
        tokenizer: TokenizerConfig,
    ) -> None:
        """Keeps what is compared of every timestep, and its action.

        Args:
            observation_space: of the episodes.
            action_space: likewise.
            episodes: read once, in this order.
            tokenizer: tells images and discrete values.

        Raises:
            ValueError: no timestep whose action is to be imitated, a number that is not finite, or a kind of space that
                cannot be compared.
        """
        self._observation_space, self._action_space = observation_space, action_space
        self._leaves = [_leaf(path, space, tokenizer) for path, space in leaf_spaces(observation_space, "observation")]
        columns: list[list[np.ndarray]] = [[] for _ in self._leaves]
        actions: list[Any] = []  # of the action space, which says what they are
        episode_of: list[np.ndarray] = []
        for number, episode in enumerate(episodes):
            imitated = np.arange(len(episode)) if episode.action_mask is None else np.flatnonzero(episode.action_mask)
            seen = flatten(observation_space, episode.observations, "observation")
            for kept, leaf, values in zip(columns, self._leaves, seen, strict=True):
                kept.append(leaf.columns(values)[imitated])
            done = flatten(action_space, episode.actions, "action")
            actions += [unflatten(action_space, iter([leaf[t] for leaf in done])) for t in imitated]
            episode_of.append(np.full(len(imitated), number))
        if not actions:
            raise ValueError("the demonstrations hold no timestep whose action is to be imitated: give others")
        self._actions = actions
        self._episode_of = np.concatenate(episode_of)
        joined = [np.concatenate(kept) for kept in columns]
        self._scales = [_scale(leaf, values) for leaf, values in zip(self._leaves, joined, strict=True)]
        self._numbers = self._compared(joined)
        self._squares = np.square(self._numbers, dtype=np.float32).sum(axis=1)
        self._choices = [values for leaf, values in zip(self._leaves, joined, strict=True) if leaf.equality]

    def __len__(self) -> int:
        return len(self._actions)

    def action(self, timestep: int) -> Any:
        """Returns what was done there, a member of the action space."""
        return self._actions[timestep]

    def nearest(self, observation: Any, last: int | None = None) -> int:
        """Returns the timestep that this module's rule gives.

        Args:
            observation: a member of the observation space.
            last: the timestep that was replayed before it in this episode.
        """
        leaves = flatten(self._observation_space, observation, "observation")
        columns = [leaf.columns(_batch_of_one(value)) for leaf, value in zip(self._leaves, leaves, strict=True)]
        unequal = np.zeros(len(self))
        asked = [values for leaf, values in zip(self._leaves, columns, strict=True) if leaf.equality]
        for recorded, value in zip(self._choices, asked, strict=True):
            unequal += _UNEQUAL / max(value.size, 1) * (recorded != value).sum(axis=1)
        (query,) = self._compared(columns)
        # The expansion of the square costs one matrix product. Its rounding is bounded, and whatever may be nearest
        # within it is compared exactly, so that equal observations are equally near.
        square = np.square(query).sum()
        rough = self._squares - 2 * (self._numbers @ query) + square + unequal
        slack = 4 * (len(query) + 2) * np.finfo(np.float32).eps * (self._squares + square)
        candidates = np.flatnonzero(rough - slack <= (rough + slack).min())
        exact = unequal[candidates] + np.square(self._numbers[candidates].astype(np.float64) - query).sum(axis=1)
        ties = candidates[exact == exact.min()]
        if last is not None:
            ahead = ties[(ties > last) & (self._episode_of[ties] == self._episode_of[last])]
            ties = ahead if len(ahead) else ties
        return int(ties[0])

    def _compared(self, columns: Sequence[np.ndarray]) -> np.ndarray:
        """Returns (n, k) float32, whose squared differences add up to the distances of number and image leaves."""
        parts = [np.zeros((len(columns[0]) if columns else 0, 0), np.float32)]
        for leaf, values, scale in zip(self._leaves, columns, self._scales, strict=True):
            if not leaf.equality:
                centre, spread = scale
                standard = np.clip((values - centre) / spread, -_FARTHEST, _FARTHEST)
                parts.append((standard / np.sqrt(max(values.shape[1], 1))).astype(np.float32))
        return np.concatenate(parts, axis=1)


class NearestNeighbourActor(SlotwiseActor):
    """Replays the demonstrations that each job's `prompt` gives as a `Memory`."""

    def __init__(self) -> None:
        self._memories: dict[int, Memory] = {}  # by slot, as the next
        self._last: dict[int, int | None] = {}

    def reset(self, starts: Sequence[EpisodeStart]) -> None:
        for start in starts:
            assert start.job.prompt is not None  # an episode without demonstrations has nothing to replay
            self._memories[start.slot], self._last[start.slot] = start.job.prompt(), None

    def act_in(self, slot: int, observation: Any) -> Any:
        memory = self._memories[slot]
        self._last[slot] = timestep = memory.nearest(observation, self._last[slot])
        return memory.action(timestep)


def _batch_of_one(value: Any) -> Any:
    return [value] if isinstance(value, str) else np.asarray(value)[None]


def _scale(leaf: _Leaf, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns centre and spread, (k,) each; infinite spread makes a column vanish."""
    if leaf.equality:
        return np.zeros(0), np.zeros(0)
    centre, spread = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
    varies = spread > _CONSTANT * np.maximum(np.abs(centre), _CONSTANT)
    if isinstance(leaf, _Image):
        whole = np.sqrt(np.square(spread).mean())
        return centre, np.full_like(spread, whole if varies.any() else np.inf)
    return centre, np.where(varies, spread, np.inf)
