"""Actions: how they are distributed, how often they only repeat, and how well the observation alone predicts them.

The measure is k nearest neighbours among the observations of other episodes, beside the repetition of the last action
and the most common (or mean) action: data on which repeating wins breeds copycats.
Source of the concern: de Haan et al. (2019), "Causal confusion in imitation learning".
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

NEIGHBOURS = 5
MAX_QUERIES = 600
MAX_REFERENCES = 4_000
MAX_SHOWN = 40  # values of a categorical action that are listed


@dataclass(frozen=True, kw_only=True)
class ActionTable:
    """Sampled timesteps of one action leaf."""

    path: str
    kind: Literal["discrete", "continuous", "text"]
    tokens: np.ndarray  # (n, k) int; the action, counted from the first legal id of each token
    previous: np.ndarray  # (n, k) int; the action one timestep before, any where there is none
    labels: tuple[str, ...] = ()  # of the values of a discrete leaf of one token, in order


@dataclass(frozen=True, kw_only=True)
class ActionAudit:
    """One leaf of the action space.

    Scores are the share of actions predicted exactly (discrete, text), or the share of variance explained, at most 1
    and below 0 where the mean is a better guess (continuous).
    """

    path: str
    kind: Literal["discrete", "continuous", "text"]
    num_timesteps: int
    repeat_share: float | None  # actions equal, token by token, to the one before them; None without any before
    counts: tuple[tuple[str, int], ...]  # discrete: of the values; continuous: of equal parts of the range of bins
    constant_score: float  # of always the most common (mean) action
    repeat_score: float | None  # of the action before
    neighbour_score: float | None  # of the nearest observations of other episodes; None with fewer than two episodes
    neighbour_changed_score: float | None  # the same where the action differs from the one before
    num_queries: int


def nearest(features: np.ndarray, episodes: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Finds the nearest neighbours of sampled timesteps among those of other episodes.

    Args:
        features: (n, d) float32, each column in comparable units.
        episodes: (n,) int; the episode of each.
        rng: draws queries and references.

    Returns:
        (q,) indices of the queries and (q, k) those of their neighbours; none with fewer than two episodes.
    """
    order = rng.permutation(len(features))
    queries, references = order[:MAX_QUERIES], np.sort(order[-MAX_REFERENCES:])
    if len(np.unique(episodes[references])) < 2:
        return np.zeros(0, np.int64), np.zeros((0, NEIGHBOURS), np.int64)
    points = features[references]
    distances = (points**2).sum(axis=1) - 2 * features[queries] @ points.T
    distances[episodes[queries][:, None] == episodes[references][None]] = np.inf
    count = min(NEIGHBOURS, len(references))
    found = np.argsort(distances, axis=1, kind="stable")[:, :count]
    usable = np.isfinite(np.take_along_axis(distances, found, axis=1)).all(axis=1)
    return queries[usable], references[found[usable]]


def audit_action(
    table: ActionTable, has_previous: np.ndarray, queries: np.ndarray, neighbours: np.ndarray, num_bins: int
) -> ActionAudit:
    """Measures one action leaf.

    Args:
        table: the sampled timesteps.
        has_previous: (n,) bool; False at the first timestep of an episode.
        queries: (q,) timesteps whose neighbours are known.
        neighbours: (q, k) timesteps.
        num_bins: of a continuous token.
    """
    same = (table.tokens == table.previous).all(axis=1)[has_previous]
    changed = has_previous & (table.tokens != table.previous).any(axis=1)
    is_changed = changed[queries]
    if table.kind == "continuous":
        true = table.tokens.astype(np.float64)
        predicted = true[neighbours].mean(axis=1) if len(queries) else np.zeros((0, true.shape[1]))
        neighbour = _explained(true[queries], predicted, true.mean(axis=0))
        neighbour_changed = _explained(true[queries][is_changed], predicted[is_changed], true.mean(axis=0))
        repeat = _explained(true[has_previous], table.previous[has_previous].astype(np.float64), true.mean(axis=0))
        constant: float = 0.0
    else:
        codes, places = np.unique(table.tokens, axis=0, return_inverse=True)
        places = places.reshape(-1)
        votes = np.array([np.bincount(row, minlength=1).argmax() for row in places[neighbours]], np.int64)
        right = votes == places[queries]
        neighbour, neighbour_changed = _mean(right), _mean(right[is_changed])
        repeat = _mean(same)
        constant = float(np.bincount(places, minlength=len(codes)).max() / len(places))
    return ActionAudit(
        path=table.path,
        kind=table.kind,
        num_timesteps=len(table.tokens),
        repeat_share=_mean(same),
        counts=_counts(table, num_bins),
        constant_score=constant,
        repeat_score=repeat,
        neighbour_score=neighbour,
        neighbour_changed_score=neighbour_changed,
        num_queries=len(queries),
    )


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _explained(true: np.ndarray, predicted: np.ndarray, mean: np.ndarray) -> float | None:
    """Computes the share of variance around the mean that a prediction explains, over all elements together."""
    variance = float(((true - mean) ** 2).sum())
    return 1 - float(((true - predicted) ** 2).sum()) / variance if variance else None


def _counts(table: ActionTable, num_bins: int) -> tuple[tuple[str, int], ...]:
    if table.kind == "continuous":
        parts = 20
        counts = np.bincount(np.minimum(table.tokens.ravel() * parts // num_bins, parts - 1), minlength=parts)
        edges = np.linspace(-1, 1, parts + 1)
        return tuple((f"{edges[i]:.1f} to {edges[i + 1]:.1f}", int(count)) for i, count in enumerate(counts))
    if table.labels:
        counts = np.bincount(table.tokens[:, 0], minlength=len(table.labels))
        listed = [(label, int(count)) for label, count in zip(table.labels, counts, strict=True)]
        if len(listed) > MAX_SHOWN:
            listed = sorted(listed, key=lambda item: -item[1])[:MAX_SHOWN]
        return tuple(listed)
    values, counts = np.unique(table.tokens, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MAX_SHOWN]
    if table.kind == "text":
        return tuple((f"text {rank + 1}", int(counts[i])) for rank, i in enumerate(order))
    return tuple((" ".join(map(str, values[i])), int(counts[i])) for i in order)
