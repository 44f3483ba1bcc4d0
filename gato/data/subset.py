"""Few-shot subsets: which episodes of a source a run is trained on; `build_mixture` takes them as `episodes`.

From the episodes of highest return a cascade draws an order, and its subset of n episodes is the first n of them. So
within a cascade the smaller subset is part of the larger, and each cascade is an independent draw.

Source: Gato (Reed et al., 2022), section 5 and appendix E.
"""

import numpy as np

from gato.config import DataConfig, SourceConfig, TokenizerConfig
from gato.data.encoded import SequenceCache
from gato.data.opened import open_encoded
from gato.data.split import training_records
from gato.tokenizer.text import TextTokenizer


def open_pool(
    source: SourceConfig, data: DataConfig, tokenizer: TokenizerConfig, text: TextTokenizer | None, *, best: int
) -> np.ndarray:
    """Returns the episodes that subsets of a source are drawn from: ascending indices, none of them held out.

    Args:
        source: one of episodes.
        text: needed where the source holds text.
        best: so many of the highest return are taken, after the source's own `min_return`; of equal ones the earlier.

    Raises:
        FileNotFoundError, ValueError: the source cannot be opened, holds no episodes, or none of them can be used.
    """
    encoded, facts = open_encoded(source, data, tokenizer, text, SequenceCache(0), with_returns=True)
    if facts.kind != "control" or facts.returns is None:
        raise ValueError(f"{encoded.name} holds no episodes: few-shot subsets are drawn from a source of episodes")
    returns = np.array(facts.returns, np.float64)
    trained = training_records(encoded, source, returns)
    pool = best_episodes(returns, trained[~np.isnan(returns[trained])], best)
    if not len(pool):
        raise ValueError(f"{encoded.name}: none of its {len(encoded)} episodes can be trained on: lower min_return")
    return pool


def best_episodes(returns: np.ndarray, candidates: np.ndarray, count: int) -> np.ndarray:
    """Returns the candidates of highest return, at most `count`; ascending indices."""
    order = np.argsort(-returns[candidates], kind="stable")
    return np.sort(candidates[order[:count]])


def draw_subset(pool: np.ndarray, count: int, cascade: int) -> np.ndarray:
    """Draws the first `count` episodes of a cascade's order, in that order; depends on the arguments only.

    Args:
        pool: indices of episodes.
        count: in [1, len(pool)], or 0 for all of them.
        cascade: number of the draw, 0 or more.

    Raises:
        ValueError: the pool holds fewer.
    """
    if count > len(pool):
        raise ValueError(f"a subset of {count} episodes was asked for, but there are {len(pool)} to draw from")
    return np.random.default_rng([cascade]).permutation(pool)[: count or len(pool)]
