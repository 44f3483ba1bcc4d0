"""Windows: which timesteps of an episode, or tokens of a document, one row shows.

A window is drawn so that every alignment of row and episode is equally likely, also those in which the row reaches
beyond an end; these are moved inside. So the first and last timesteps are seen as often as those far from an end, those
beside them more often still, and a row is as full as whole timesteps allow. The paper says no more than uniformly
random subsequences (section 2.3).
"""

import numpy as np

from gato.tokenizer.sequence import TokenSequence

START_TIMESTEPS = 16  # of an episode count as its start, for sources with a `start_share`


def last_start(sequence: TokenSequence, max_tokens: int, max_patches: int) -> int:
    """The earliest timestep from which everything up to the end fits; the number of timesteps if not even one does."""
    starts = sequence.starts
    first = int(starts.searchsorted(starts[-1] - max_tokens))
    if len(sequence.patches):
        counts = _patch_counts(sequence)
        first = max(first, int(counts.searchsorted(counts[-1] - max_patches)))
    return min(first, sequence.num_timesteps)


def largest_timestep(sequence: TokenSequence) -> tuple[int, int]:
    """The most tokens and the most patches of any one timestep."""
    num_patches = int(np.diff(_patch_counts(sequence)).max()) if len(sequence.patches) else 0
    return int((sequence.starts[1:] - sequence.starts[:-1]).max()), num_patches


def _patch_counts(sequence: TokenSequence) -> np.ndarray:
    """(timesteps + 1,): how many patches stand before each timestep, and before the end."""
    return sequence.patch_indices.searchsorted(sequence.starts)


def draw_start(num_steps: int, window: int, rng: np.random.Generator) -> int:
    """Draws where a window of `window` out of `num_steps` steps starts, by the rule of this module."""
    return min(max(int(rng.integers(1 - window, num_steps)), 0), num_steps - window)


def draw_window(
    sequence: TokenSequence, max_tokens: int, max_patches: int, rng: np.random.Generator, *, start_share: float = 0.0
) -> TokenSequence:
    """Draws a random run of whole timesteps that fits; all of them if they fit.

    Args:
        start_share: of runs that begin in one of the first `START_TIMESTEPS` timesteps, each equally often.

    Raises:
        ValueError: one timestep alone is too large.
    """
    num_tokens, num_patches = largest_timestep(sequence)
    if num_tokens > max_tokens or num_patches > max_patches:
        raise ValueError(
            f"a timestep of {num_tokens} tokens, {num_patches} of them patches, does not fit into {max_tokens} "
            f"tokens and {max_patches} patches: raise context_length or max_patches, or shrink the observations"
        )
    window = sequence.num_timesteps - last_start(sequence, max_tokens, max_patches)
    if start_share and rng.random() < start_share:
        first = int(rng.integers(min(START_TIMESTEPS, sequence.num_timesteps - window + 1)))
    else:
        first = draw_start(sequence.num_timesteps, window, rng)
    return sequence.timesteps(first, first + sequence.num_fitting(first, max_tokens, max_patches))


def draw_span(document: TokenSequence, max_tokens: int, rng: np.random.Generator) -> TokenSequence:
    """Draws a random run of tokens of a document, which may be cut anywhere."""
    length = min(len(document), max_tokens)
    low = draw_start(len(document), length, rng)
    return document.slice(low, low + length)
