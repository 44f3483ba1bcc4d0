"""Windows: which timesteps of an episode, or tokens of a document, one row shows.

A window is drawn so that every alignment of row and episode is equally likely, also those in which the row reaches
beyond an end; these are moved inside. So the first and last timesteps are seen as often as those far from an end, those
beside them more often still, and a row is as full as whole timesteps allow. The paper says no more than uniformly
random subsequences (section 2.3).
"""

import numpy as np

from gato.tokenizer.demonstration import largest_timestep, last_start
from gato.tokenizer.sequence import TokenSequence

START_TIMESTEPS = 16  # of an episode count as its start, for sources with a `start_share`


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


def draw_length(shortest: int, longest: int, rng: np.random.Generator) -> int:
    """Draws how many tokens a window may take, from `shortest` to `longest`, as often 1 as 2 to 3 or 32 to 63."""
    drawn = np.exp(rng.uniform(np.log(shortest), np.log(longest + 1)))
    return min(int(drawn), longest)


def draw_span(document: TokenSequence, max_tokens: int, rng: np.random.Generator) -> TokenSequence:
    """Draws a random run of tokens of a document, which may be cut anywhere."""
    length = min(len(document), max_tokens)
    low = draw_start(len(document), length, rng)
    return document.slice(low, low + length)
