import dataclasses

import jax
import numpy as np
import pytest

from gato.batch import Batch
from gato.model.cost.size import BatchCost
from gato.training.throughput import batch_cost, peak_of

PADDING = 99  # id


@pytest.fixture
def batch() -> Batch:
    """Two rows of 5 and 3 tokens in 6 places; 3 targets, one of them at a row's beginning, and 1 patch."""
    targets = np.zeros((2, 6), bool)
    targets[0, [0, 2, 4]] = True
    return Batch(
        tokens=np.zeros((2, 6), np.int32),
        local_positions=np.zeros((2, 6), np.int32),
        loss_mask=targets,
        changed_mask=np.zeros((2, 6), bool),
        row_weights=np.ones(2, np.float32),
        source_ids=np.zeros(2, np.int32),
        lengths=np.int32([5, 3]),
        patches=np.zeros((2, 2, 16, 16, 3), np.uint8),
        patch_indices=np.int32([[1, 6], [6, 6]]),
        patch_intervals=np.zeros((2, 2, 4), np.int32),
    )


def test_work_leaves_padding_empty_places_and_what_is_no_target_out(batch):
    assert batch_cost(batch, PADDING) == BatchCost(tokens=8, attended=(25 + 9) / 2, targets=2, patches=1)


def test_hidden_parts_of_the_past_are_no_work(batch):
    # The first row holds a pair of 2 tokens and one of 3, the second one of 3; padding sees from anywhere.
    visible_from = np.int32([[0, 0, 2, 2, 2, 0], [0, 0, 0, 0, 0, 0]])
    apart = batch_cost(dataclasses.replace(batch, visible_from=visible_from), PADDING)
    assert apart.attended == (4 + 9 + 9) / 2
    together = batch_cost(dataclasses.replace(batch, visible_from=np.zeros((2, 6), np.int32)), PADDING)
    assert together == batch_cost(batch, PADDING)


def test_long_rows_do_not_overflow(batch):
    assert batch_cost(dataclasses.replace(batch, lengths=np.int32([100_000, 100_000])), PADDING).attended == 1e10


@dataclasses.dataclass(frozen=True)
class Device:
    device_kind: str


def test_peaks_add_up_and_one_unknown_device_leaves_them_unknown():
    assert peak_of([Device("NVIDIA H200"), Device("NVIDIA H200")]) == 2 * 989e12
    assert peak_of([Device("NVIDIA H200"), Device("cpu")]) is None
    assert peak_of(jax.devices("cpu")) is None


def test_numbers_are_counted_where_they_are_held_and_scored_among_their_legal_ids(batch):
    batch = dataclasses.replace(
        batch,
        values=np.array([[[1, 2], [3, PADDING], *[[PADDING] * 2] * 4], [[PADDING] * 2] * 6], np.int32),
        action_values=np.full((2, 6, 2), PADDING, np.int32),
        action_mask=np.array([[True, True, False, False, False, False], [False] * 6]),
        action_ranges=np.array([[[10, 20], [30, 33]], [[10, 20], [0, 0]]], np.int32),
    )
    cost = batch_cost(batch, PADDING)
    assert (cost.grouped, cost.values, cost.actions, cost.numbers, cost.legal_ids) == (2, 3, 2, 4, 26)
