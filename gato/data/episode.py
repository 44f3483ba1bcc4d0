"""The records that sources yield, the checks that make them safe to encode, and what a source is.

Observations and actions come in the batched form of Minari: a Dict space is a dict, a Tuple space a tuple, and each
leaf has time as its first axis (a list of str for Text).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

import gymnasium as gym
import numpy as np

Speaker: TypeAlias = Literal["user", "agent"]
_Item = TypeVar("_Item", covariant=True)


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One episode of T timesteps. Trees may have any structure that a space can describe, hence `Any`."""

    observations: Any  # leaves of T + 1 entries, the last one seen after the last action; or of T without it
    actions: Any  # leaves of T entries
    rewards: np.ndarray  # (T,) float
    terminated: bool  # the task ended the episode
    truncated: bool  # a time limit ended the episode
    action_mask: np.ndarray | None = None  # (T,) bool; False = the action is shown but not imitated; None = all are
    expert_actions: Any = None  # what an expert advised, where others were executed too; leaves of T entries, or None
    seed: int | None = None  # of the environment's reset
    options: dict[str, Any] | None = None  # of the environment's reset, JSON values; equal options are the same task

    def __post_init__(self) -> None:
        if self.rewards.ndim != 1 or not len(self.rewards):
            raise ValueError(f"rewards have shape {self.rewards.shape}, expected (T,) with T of 1 or more")
        if not np.isfinite(self.rewards).all():
            step = int(np.flatnonzero(~np.isfinite(self.rewards))[0])
            raise ValueError(f"reward {step} is {self.rewards[step]}, expected a finite number")
        _check_lengths(self.actions, "actions", (len(self),))
        if self.expert_actions is not None:
            _check_lengths(self.expert_actions, "expert_actions", (len(self),))
        _check_lengths(self.observations, "observations", (len(self), len(self) + 1))
        mask = self.action_mask
        if mask is not None and (mask.dtype != bool or mask.shape != self.rewards.shape):
            raise ValueError(f"action_mask is {mask.dtype} {mask.shape}, expected bool ({len(self)},)")

    def __len__(self) -> int:
        return len(self.rewards)

    def __repr__(self) -> str:
        parts = [f"{len(self)} timesteps"]
        for name, tree in (("observations", self.observations), ("actions", self.actions)):
            for path, leaf in tree_leaves(tree, name):
                kind = f"{leaf.dtype} {leaf.shape}" if isinstance(leaf, np.ndarray) else f"{len(leaf)} values"
                parts.append(f"{path}: {kind}")
        return f"Episode({', '.join(parts)}, terminated={self.terminated}, truncated={self.truncated})"

    @property
    def episode_return(self) -> float:
        return float(self.rewards.sum())


@dataclass(frozen=True, kw_only=True)
class Document:
    """A piece of running text."""

    text: str

    def __post_init__(self) -> None:
        if not self.text:
            raise ValueError("the document is empty")


@dataclass(frozen=True, kw_only=True)
class Dialogue:
    """What two speakers said, in order, perhaps about an image."""

    turns: tuple[tuple[Speaker, str], ...]
    image: np.ndarray | None = None  # (height, width) or (height, width, 1, 3 or 4) uint8

    def __post_init__(self) -> None:
        if not self.turns:
            raise ValueError("the dialogue has no turns")
        for number, (speaker, _) in enumerate(self.turns):
            if speaker not in ("user", "agent"):
                raise ValueError(f"the speaker of turn {number} is {speaker!r}, expected 'user' or 'agent'")
        if self.image is not None:
            _check_image(self.image)


@dataclass(frozen=True, kw_only=True)
class ImageText:
    """An image with its caption."""

    image: np.ndarray  # (height, width) or (height, width, 1, 3 or 4) uint8
    text: str

    def __post_init__(self) -> None:
        _check_image(self.image)
        if not self.text:
            raise ValueError("the caption of the image is empty")


Record: TypeAlias = Episode | Document | Dialogue | ImageText


class Records(Protocol[_Item]):
    """Anything of one kind by index, the same every time: records as they are stored, or their tokens."""

    name: str  # of the dataset in errors and metrics

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> _Item: ...


Source: TypeAlias = Records[Record]  # a dataset


@runtime_checkable
class ControlSource(Records[Episode], Protocol):
    """A dataset of episodes of one environment."""

    observation_space: gym.Space
    action_space: gym.Space
    groups: np.ndarray  # (episodes,) int; episodes of one group show the same task and may prompt one another


def tree_leaves(tree: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yields the leaves of a batched tree with their paths, like ("observations/camera", array)."""
    if isinstance(tree, Mapping):
        for key, part in tree.items():
            yield from tree_leaves(part, f"{path}/{key}")
    elif isinstance(tree, tuple):
        for index, part in enumerate(tree):
            yield from tree_leaves(part, f"{path}/{index}")
    else:
        yield path, tree


def _check_image(image: np.ndarray) -> None:
    shape = image.shape
    if image.dtype != np.uint8 or not image.size or not (len(shape) == 2 or shape[2:] in ((1,), (3,), (4,))):
        raise ValueError(f"the image is {image.dtype} {shape}, expected uint8 (height, width, 1, 3 or 4)")


def _check_lengths(tree: Any, path: str, allowed: tuple[int, ...]) -> None:
    lengths = {name: len(leaf) for name, leaf in tree_leaves(tree, path)}
    for name, length in lengths.items():
        if length not in allowed:
            expected = " or ".join(map(str, allowed))
            raise ValueError(f"{name} has {length} entries, expected {expected} to go with {allowed[0]} rewards")
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the {path} differ in length: {lengths}, expected one entry per timestep in each")
