"""The two sides of utilisation: what a batch costs, and what the devices could do at most."""

from collections.abc import Sequence

import jax
import numpy as np

from gato.batch import Batch
from gato.model.cost.chips import find_chip
from gato.model.cost.size import BatchCost


def batch_cost(batch: Batch, padding_id: int, num_processes: int = 1) -> BatchCost:
    """Counts what the network has to compute for a batch; padding and places without a patch cost nothing.

    Args:
        batch: numpy arrays.
        padding_id: of its tokens.
        num_processes: that share the whole batch. They take equally many rows, so each assumes that the others' rows
            cost as much as its own.
    """
    length = batch.tokens.shape[1]
    if batch.visible_from is None:
        attended = np.sum(np.square(batch.lengths, dtype=np.float64)) / 2
    else:
        places = np.arange(length)[None]
        # Half of itself, as in the half of a square: a segment of s tokens attends to s * s / 2.
        seen = places - batch.visible_from + 0.5
        attended = np.sum(seen, where=places < batch.lengths[:, None])
    return BatchCost(
        tokens=num_processes * float(np.sum(batch.lengths)),
        attended=num_processes * float(attended),
        targets=num_processes * float(np.sum(batch.loss_mask[:, 1:])),
        patches=num_processes * float(np.sum(batch.patch_indices < length)),
        **{name: num_processes * float(count) for name, count in _number_counts(batch, padding_id).items()},
    )


def _number_counts(batch: Batch, padding_id: int) -> dict[str, int]:
    """Counts what tokens of several numbers and actions of one token cost, by the fields of `BatchCost`."""
    if batch.values is None:
        return {}
    is_number = batch.values != padding_id
    counts = {"grouped": is_number.any(axis=2).sum(), "values": is_number.sum()}
    if batch.action_values is not None:
        legal_ids = batch.action_ranges[..., 1] - batch.action_ranges[..., 0]
        num_actions = batch.action_mask.sum(axis=1)
        counts["actions"] = num_actions.sum()
        counts["numbers"] = ((legal_ids > 0).sum(axis=1) * num_actions).sum()
        counts["legal_ids"] = (legal_ids.sum(axis=1) * num_actions).sum()
    return counts


def peak_of(devices: Sequence[jax.Device]) -> float | None:
    """Returns the operations per second that the devices reach together at best; None if one is not in the table."""
    peaks = [chip.peak_flops for device in devices if (chip := find_chip(device.device_kind)) is not None]
    return sum(peaks) if len(peaks) == len(devices) else None
