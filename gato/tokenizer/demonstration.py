"""Demonstrations cut to the size of a prompt: one rule for training, acting and evaluation.

In training, half of the prompts are the end of an episode, which shows the goal, and half are drawn uniformly from it
(Gato, section 2.3). When acting, the first part of a demonstration stands there (section 2.4).
"""

from collections.abc import Sequence

import numpy as np

from gato.config import PromptPart
from gato.tokenizer.sequence import TokenSequence


def cut_demonstration(
    sequence: TokenSequence,
    part: PromptPart,
    max_tokens: int,
    *,
    max_patches: int | None = None,
    rng: np.random.Generator | None = None,
) -> TokenSequence:
    """Cuts as many whole timesteps as fit out of one episode.

    Args:
        sequence: the episode, perhaps with its last observation as a timestep without action.
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
        sizes = np.diff(sequence.starts)
        came = f"its largest has {sizes.max()} tokens" if len(sizes) else "it is empty"
        raise ValueError(
            f"no timestep of the demonstration fits into {max_tokens} tokens and {max_patches} patches, {came}: raise "
            "the prompt's max_tokens (or context_length), or do without demonstrations"
        )
    return sequence.timesteps(first, first + count)


def join_demonstrations(
    episodes: Sequence[TokenSequence],
    part: PromptPart,
    max_tokens: int,
    *,
    max_patches: int | None = None,
    rng: np.random.Generator | None = None,
) -> TokenSequence:
    """Joins the same part of several episodes; what one leaves of its equal share goes to those after it.

    Raises:
        ValueError: as `cut_demonstration`.
    """
    if max_patches is None:
        max_patches = max_tokens
    shown: list[TokenSequence] = []
    for waiting, sequence in zip(range(len(episodes), 0, -1), episodes, strict=True):
        shown.append(
            cut_demonstration(sequence, part, max_tokens // waiting, max_patches=max_patches // waiting, rng=rng)
        )
        max_tokens -= len(shown[-1])
        max_patches -= len(shown[-1].patches)
    return shown[0] if len(shown) == 1 else TokenSequence.concatenate(shown)


def last_start(sequence: TokenSequence, max_tokens: int, max_patches: int) -> int:
    """Returns the earliest timestep from which everything up to the end fits; the number of timesteps if none does."""
    starts = sequence.starts
    first = int(starts.searchsorted(starts[-1] - max_tokens))
    if len(sequence.patches):
        counts = _patch_counts(sequence)
        first = max(first, int(counts.searchsorted(counts[-1] - max_patches)))
    return min(first, sequence.num_timesteps)


def largest_timestep(sequence: TokenSequence) -> tuple[int, int]:
    """Returns the most tokens and the most patches of any one timestep."""
    num_patches = int(np.diff(_patch_counts(sequence)).max()) if len(sequence.patches) else 0
    return int((sequence.starts[1:] - sequence.starts[:-1]).max()), num_patches


def _patch_counts(sequence: TokenSequence) -> np.ndarray:
    """(timesteps + 1,): how many patches stand before each timestep, and before the end."""
    return sequence.patch_indices.searchsorted(sequence.starts)
