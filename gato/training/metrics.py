"""Names and values of the metrics of a run, from sums over an interval."""

from collections.abc import Sequence

import jax

from gato.model.cost.size import model_flops_utilization
from gato.model.loss import TARGET_KINDS, LossSums
from gato.training.step import IntervalSums


def loss_metrics(losses: LossSums, source_names: Sequence[str]) -> dict[str, float]:
    """Returns means per target, in nats and fractions; what had no targets has no entry.

    Names: loss, loss_text, loss_action, loss/<source>, accuracy/<source>, accuracy_changed/<source>. The last one
    counts only actions that differ from the action before: an agent that repeats its last action scores 0 there.

    Args:
        losses: host arrays, one row per source.
    """
    named = {"loss": _quotient(losses.loss_sum.sum(), losses.count.sum())}
    for index, kind in enumerate(TARGET_KINDS):
        named[f"loss_{kind}"] = _quotient(losses.loss_sum[:, index].sum(), losses.count[:, index].sum())
    for row, source in enumerate(source_names):
        named[f"loss/{source}"] = _quotient(losses.loss_sum[row].sum(), losses.count[row].sum())
        named[f"accuracy/{source}"] = _quotient(losses.correct[row].sum(), losses.count[row].sum())
        named[f"accuracy_changed/{source}"] = _quotient(
            losses.changed_correct[row].sum(), losses.changed_count[row].sum()
        )
    return {name: value for name, value in named.items() if value is not None}


def interval_metrics(interval: IntervalSums, source_names: Sequence[str]) -> dict[str, float]:
    """Returns the losses of an interval, and learning_rate, grad_norm and skipped of the optimizer.

    Where the loss of a source was not finite, not_finite/<source> counts the steps.

    Args:
        interval: host arrays.
    """
    named = loss_metrics(interval.losses, source_names)
    named["learning_rate"] = float(interval.learning_rate)
    if (grad_norm := _quotient(interval.grad_norm, interval.updates)) is not None:
        named["grad_norm"] = grad_norm
    named["skipped"] = int(interval.skipped)
    for source, count in zip(source_names, interval.not_finite, strict=True):
        if count:
            named[f"not_finite/{source}"] = int(count)
    return named


def speed_metrics(num_tokens: int, flops: float, seconds: float, peak_flops: float | None) -> dict[str, float]:
    """Returns tokens_per_second, and mfu where both sides of it are known.

    Args:
        num_tokens: tokens without padding, of all processes.
        flops: necessary operations for them, of all processes; 0 = not counted.
        seconds: of training alone.
        peak_flops: operations per second of all devices together; None = unknown.
    """
    named = {"tokens_per_second": num_tokens / seconds}
    if flops and peak_flops is not None:
        named["mfu"] = model_flops_utilization(flops, seconds, peak_flops)
    return named


def _quotient(total: jax.Array, count: jax.Array) -> float | None:
    return float(total) / float(count) if count else None
