"""Episodes in which an expert advised other actions than were executed, as demonstrations of what it advised."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from gato.data.episode import ControlSource, Episode
from gato.data.returns import episode_returns


class AdvisedEpisodes:
    """The episodes of a source with the expert's actions, all of them to be learned, in place of the executed ones.

    Where an agent does not see its own actions, such a demonstration is as true as one without random actions, and
    none of its timesteps is without a target. Episodes without an expert's advice stay as they are.
    """

    def __init__(self, source: ControlSource) -> None:
        self._source = source
        self.name = source.name
        self.observation_space = source.observation_space
        self.action_space = source.action_space
        self.groups = source.groups

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Episode:
        episode = self._source[index]
        if episode.expert_actions is None:
            return episode
        return dataclasses.replace(episode, actions=episode.expert_actions, action_mask=None)

    def episode_returns(self) -> Sequence[float] | np.ndarray:
        """Returns what was reached by the executed actions."""
        return episode_returns(self._source)
