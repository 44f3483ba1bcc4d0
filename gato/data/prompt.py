"""Demonstration prompting: which episodes may prompt which, and which part of them is shown.

In the paper a quarter of the rows start with a part of an episode of the same agent on the same task: half of them with
its end, which shows the goal, half with a part drawn uniformly (section 2.3). When acting, the first part of a
demonstration stands there (section 2.4). Training and evaluation build prompts with the same functions.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from gato.data.window import last_start
from gato.tokenizer.sequence import TokenSequence

Part: TypeAlias = Literal["first", "end", "uniform"]


def demonstration(
    sequence: TokenSequence,
    part: Part,
    max_tokens: int,
    *,
    max_patches: int | None = None,
    rng: np.random.Generator | None = None,
) -> TokenSequence:
    """As many whole timesteps of one episode as fit.

    Args:
        tokens: the episode, perhaps with its last observation as a timestep without action.
        part: "first" or "end" of the episode, or "uniform": a run of timesteps that starts anywhere.
        max_tokens: longest prompt, in tokens of any kind.
        max_patches: most patches among them; None = no limit of their own.
        rng: draws the start; needed by "uniform" only.

    Raises:
        ValueError: no timestep fits, or no `rng` where one is needed.
    """
    if max_patches is None:
        max_patches = max_tokens
    first, latest = 0, last_start(sequence, max_tokens, max_patches)
    if part == "end":
        first = latest
    elif part == "uniform":
        if rng is None:
            raise ValueError("a uniform part of a demonstration needs an rng")
        first = int(rng.integers(min(latest, sequence.num_timesteps - 1) + 1))
    count = sequence.num_fitting(first, max_tokens, max_patches) if first < sequence.num_timesteps else 0
    if not count:
        largest = int(np.diff(sequence.starts).max())
        raise ValueError(
            f"no timestep of the demonstration fits into {max_tokens} tokens and {max_patches} patches, its largest "
            f"has {largest} tokens: raise prompt.max_tokens (or context_length), or set prompt.probability to 0"
        )
    return sequence.timesteps(first, first + count)


def join_demonstrations(
    episodes: Sequence[TokenSequence],
    part: Part,
    max_tokens: int,
    *,
    max_patches: int | None = None,
    rng: np.random.Generator | None = None,
) -> TokenSequence:
    """The same part of several episodes, one after another; what one leaves of its equal share goes to those after it.

    Raises:
        ValueError: as `demonstration`.
    """
    if max_patches is None:
        max_patches = max_tokens
    shown: list[TokenSequence] = []
    for waiting, sequence in zip(range(len(episodes), 0, -1), episodes, strict=True):
        shown.append(demonstration(sequence, part, max_tokens // waiting, max_patches=max_patches // waiting, rng=rng))
        max_tokens -= len(shown[-1])
        max_patches -= len(shown[-1].patches)
    return shown[0] if len(shown) == 1 else TokenSequence.concatenate(shown)


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
