"""Which episodes may demonstrate the task of which (Gato, section 2.3: of the same agent on the same task)."""

import numpy as np


class Partners:
    """Draws which episodes demonstrate the task of a given one: others of its group, never itself."""

    def __init__(self, groups: np.ndarray, allowed: np.ndarray) -> None:
        """Sorts the episodes by group.

        Args:
            groups: (episodes,) int; the group of every episode.
            allowed: indices of the episodes that may be shown.
        """
        self._groups = groups
        order = allowed[np.argsort(groups[allowed], kind="stable")]
        found, starts = np.unique(groups[order], return_index=True)
        self._members = dict(zip(found.tolist(), np.split(order, starts[1:]), strict=True))

    def draw(self, episode: int, count: int, rng: np.random.Generator) -> np.ndarray:
        """Up to `count` different episodes; fewer where the group has no more, none where the episode stands alone."""
        members = self._members.get(int(self._groups[episode]), np.zeros(0, np.int64))
        others = members[members != episode]
        return rng.choice(others, size=min(count, len(others)), replace=False) if len(others) else others
