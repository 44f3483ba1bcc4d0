"""Mu-law companding and equal-width bins for continuous values.

Source: Gato (Reed et al., 2022), section 2.1 and appendix B.
"""

import numpy as np


def mu_law_encode(values: np.ndarray, mu: float, scale: float) -> np.ndarray:
    """Compresses unbounded floats towards [-1, 1], finely near zero.

    Args:
        values: floating array of any shape, in the environment's own units.
        mu: curvature; larger keeps more resolution near zero.
        scale: magnitude that maps to exactly 1.

    Returns:
        Array of the same shape and dtype; outside [-1, 1] where |values| > scale. Inverse: `mu_law_decode`.

    Source: Gato, appendix B: sgn(x) log(|x| mu + 1) / log(scale mu + 1).
    """
    return np.sign(values) * (np.log1p(mu * np.abs(values)) / np.log1p(mu * scale))


def mu_law_decode(values: np.ndarray, mu: float, scale: float) -> np.ndarray:
    """Inverts `mu_law_encode`; leaves its input untouched."""
    return np.sign(values) * (np.expm1(np.abs(values) * np.log1p(mu * scale)) / mu)


def to_bins(values: np.ndarray, num_bins: int) -> np.ndarray:
    """Returns the index of the equal-width bin over [-1, 1] that each value falls into.

    Args:
        values: floating array of any shape, free of NaN; clipped to [-1, 1] first.

    Returns:
        int32 array in [0, num_bins): a bin owns its lower edge, the last bin both of its edges.
    """
    position = (np.clip(values, -1.0, 1.0) + 1.0) * (num_bins / 2)
    return np.minimum(position.astype(np.int32), num_bins - 1)


def from_bins(bins: np.ndarray, num_bins: int) -> np.ndarray:
    """Returns centres of bins, float64 in (-1, 1), at most half a bin from every value that `to_bins` sent there."""
    return (np.asarray(bins, np.float64) + 0.5) * (2.0 / num_bins) - 1.0
