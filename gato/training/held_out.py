"""The loss on data that training never sees."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import jax

from gato.batch import Batch
from gato.model.gato import Parameters
from gato.model.loss import LossSums
from gato.training.metrics import loss_metrics
from gato.training.step import LossFunction, make_loss_step, no_losses


class LossMeter:
    """Sums the loss of parameters over batches, without a gradient; compiles once per shape of a batch."""

    def __init__(
        self, loss_function: LossFunction, num_sources: int, *, put: Callable[[Batch], Batch] = jax.device_put
    ) -> None:
        """Takes a loss of so many sources; `put` brings a batch to the devices."""
        self._loss_step, self._num_sources, self._put = make_loss_step(loss_function), num_sources, put

    def __call__(self, params: Parameters, batches: Iterable[Batch]) -> LossSums:
        """Returns the sums over all batches, on the host.

        They add up on the device in float32. Over millions of targets, measure batch after batch and add the results in
        float64.
        """
        losses = no_losses(self._num_sources)
        for batch in batches:
            losses = self._loss_step(params, losses, self._put(batch))
        return jax.device_get(losses)


class HeldOutLoss:
    """An evaluator that averages over the same batches every time; names get the prefix held_out/."""

    def __init__(
        self,
        loss_function: LossFunction,
        make_batches: Callable[[], Iterator[Batch]],
        num_batches: int,
        source_names: Sequence[str],
        *,
        put: Callable[[Batch], Batch] = jax.device_put,
    ) -> None:
        """Takes what an evaluator of `train` needs.

        Args:
            make_batches: starts the held-out data from its beginning.
            put: brings a batch to the devices.
        """
        self._meter = LossMeter(loss_function, len(source_names), put=put)
        self._make_batches, self._num_batches, self._source_names = make_batches, num_batches, source_names

    def __call__(self, params: Parameters, step: int) -> dict[str, float]:
        batches = self._make_batches()
        losses = self._meter(params, (next(batches) for _ in range(self._num_batches)))
        named = loss_metrics(losses, self._source_names)
        return {f"held_out/{name}": value for name, value in named.items()}
