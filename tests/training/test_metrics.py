import numpy as np
import pytest

from gato.model.loss import LossSums
from gato.training.metrics import interval_metrics, loss_metrics
from gato.training.step import IntervalSums

# Two sources; the columns are text and action. The second source has text only, the third nothing.
SUMS = LossSums(
    loss_sum=np.float32([[2, 6], [9, 0], [0, 0]]),
    count=np.float32([[4, 8], [6, 0], [0, 0]]),
    correct=np.float32([[1, 5], [3, 0], [0, 0]]),
    changed_count=np.float32([[0, 4], [0, 0], [0, 0]]),
    changed_correct=np.float32([[0, 1], [0, 0], [0, 0]]),
)


def test_means_are_over_targets_and_absent_sources_have_no_entry():
    assert loss_metrics(SUMS, ("play", "read", "idle")) == pytest.approx(
        {
            "loss": 17 / 18,
            "loss_text": 11 / 10,
            "loss_action": 6 / 8,
            "loss/play": 8 / 12,
            "accuracy/play": 6 / 12,
            "accuracy_changed/play": 1 / 4,
            "loss/read": 9 / 6,
            "accuracy/read": 3 / 6,
        }
    )


def interval(updates):
    return IntervalSums(
        losses=SUMS,
        updates=np.int32(updates),
        grad_norm=np.float32(6),
        learning_rate=np.float32(0.5),
        skipped=np.int32(2),
        longest_skip=np.int32(1),
        not_finite=np.int32([0, 2, 0]),
    )


def test_interval_adds_the_optimizers_numbers():
    named = interval_metrics(interval(updates=4), ("play", "read", "idle"))
    assert (named["grad_norm"], named["learning_rate"], named["skipped"]) == (1.5, 0.5, 2)
    assert named["loss"] == pytest.approx(17 / 18)
    assert {name for name in named if name.startswith("not_finite")} == {"not_finite/read"}
    assert named["not_finite/read"] == 2


def test_interval_without_updates_has_no_gradient_norm():
    assert "grad_norm" not in interval_metrics(interval(updates=0), ("play", "read", "idle"))
