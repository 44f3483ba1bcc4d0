"""The paper's filter of demonstrations: which episodes of a dataset come near enough to its expert.

Source: Gato (Reed et al., 2022), section 3.1 and appendix E.
"""

import numpy as np

from gato.data.episode import Episode, Records
from gato.data.reading import readable

MAX_WINDOW = 1000  # episodes over which the expert's return is averaged


def expert_return(returns: np.ndarray) -> float:
    """Returns the best mean return of consecutive episodes: a tenth of all, at most `MAX_WINDOW`, at least one.

    Args:
        returns: (episodes,), in the order in which they were recorded.
    """
    window = min(MAX_WINDOW, len(returns) // 10)
    if window <= 1:  # exactly, where differences of running sums would round
        return float(returns.max())
    sums = np.concatenate([[0.0], np.cumsum(returns, dtype=np.float64)])
    return float((sums[window:] - sums[:-window]).max() / window)


def good_episodes(returns: np.ndarray, fraction: float) -> np.ndarray:
    """Marks the episodes, (episodes,) bool, whose return misses the expert's by at most 1 - `fraction` of it.

    For a positive expert return this is the paper's "at least `fraction` of it"; costs, which are negative, get the
    same leeway. NaN is never good.
    """
    known = returns[~np.isnan(returns)]
    if not len(known):
        return np.zeros(len(returns), bool)
    expert = expert_return(known)
    return returns >= expert - (1 - fraction) * abs(expert)


def episode_returns(source: Records[Episode], *, skip_bad: bool = False) -> np.ndarray:
    """Returns (episodes,) float64; reads every episode of a source that has no `episode_returns` of its own.

    Args:
        skip_bad: the return of an episode that cannot be read is NaN.
    """
    known = getattr(source, "episode_returns", None)
    try:
        if known:
            return np.array(known(), np.float64)
    except (ValueError, OSError):  # of one episode, which is found below
        if not skip_bad:
            raise
    returns = np.full(len(source), np.nan)
    for index, episode in readable(source, skip_bad=skip_bad):
        returns[index] = episode.episode_return
    return returns
