"""Records that a program already holds or loads in its own way, as a source: any sequence, or a finite iterator.

What comes from elsewhere is checked here as a storage format would be: each record's type, and each episode against the
spaces that it is said to belong to.
"""

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import gymnasium as gym
import numpy as np

from gato.data.episode import Dialogue, Document, Episode, ImageText
from gato.data.reading import located
from gato.data.sources.groups import group_ids
from gato.data.validation import check_members


class MemorySource:
    """Documents, dialogues and images with text."""

    def __init__(self, records: Iterable[Document | Dialogue | ImageText], name: str) -> None:
        """Takes the records.

        Args:
            records: a sequence, which is asked for a record each time one is needed and must then give the same one for
                the same index; or another iterable, which is run to its end at once and held in memory.
            name: names the source in errors and metrics.

        Raises:
            ValueError: no records.
            TypeError: a record of another type; those of a sequence are checked when they are taken.
        """
        self.name = name
        self._records = _listed(records, name)
        if self._records is not records:
            for index in range(len(self)):
                self[index]

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Document | Dialogue | ImageText:
        kinds = Document | Dialogue | ImageText
        return _taken(self._records, index, self.name, kinds, "Document, Dialogue or ImageText")


class MemoryControlSource:
    """Episodes of one environment."""

    def __init__(
        self,
        episodes: Iterable[Episode],
        name: str,
        *,
        observation_space: gym.Space,
        action_space: gym.Space,
        groups: Sequence[int] | np.ndarray | None = None,
    ) -> None:
        """Takes the episodes.

        Args:
            episodes: as the records of `MemorySource`.
            name: names the source in errors and metrics.
            observation_space: every observation is a member, as every episode is checked for when it is taken.
            action_space: the same of actions.
            groups: one integer per episode; episodes with equal ones show the same task and may prompt one another.
                None = those with equal `options`; to read these, all episodes are taken once.

        Raises:
            ValueError: no episodes, one that does not fit the spaces, or as many groups as there are not episodes.
            TypeError: an episode of another type.
        """
        self.name = name
        self.observation_space, self.action_space = observation_space, action_space
        self._episodes = _listed(episodes, name)
        if self._episodes is not episodes and groups is not None:
            for index in range(len(self)):
                self[index]
        if groups is None:
            groups = group_ids(self._task(index) for index in range(len(self)))
        self.groups: np.ndarray = np.asarray(groups)
        if self.groups.shape != (len(self),) or self.groups.dtype.kind not in "iu":
            came = f"{self.groups.dtype} {self.groups.shape}"
            raise ValueError(f"{name}: groups are {came}, expected one integer for each of the {len(self)} episodes")

    def __len__(self) -> int:
        return len(self._episodes)

    def __getitem__(self, index: int) -> Episode:
        episode = _taken(self._episodes, index, self.name, Episode, "Episode")
        with located(f"{self.name}: episode {index}"):
            check_members(self.observation_space, episode.observations, "observations")
            check_members(self.action_space, episode.actions, "actions")
        return episode

    def _task(self, index: int) -> str:
        episode = self[index]
        try:
            return json.dumps(episode.options or {}, sort_keys=True)
        except TypeError as error:
            raise ValueError(f"{self.name}: episode {index}: its options are no JSON ({error}): give groups") from error


def _listed(records: Iterable[Any], name: str) -> Sequence[Any]:
    """Returns the records themselves if they can be asked for by index, or else all of them in a list."""
    if isinstance(records, str | bytes | Mapping | Set):
        raise TypeError(f"{name}: {type(records).__name__} came, expected records in an order: a list or an iterator")
    listed: Any = records if hasattr(records, "__getitem__") and hasattr(records, "__len__") else list(records)
    if not len(listed):
        raise ValueError(f"{name}: no records came, expected at least one")
    return listed


def _taken(records: Sequence[Any], index: int, name: str, kind: Any, expected: str) -> Any:
    if not 0 <= index < len(records):
        raise IndexError(f"{name}: record {index} of {len(records)}")
    if not isinstance(record := records[index], kind):
        raise TypeError(f"{name}: record {index} is {type(record).__name__}, expected {expected} of gato.data.episode")
    return record
