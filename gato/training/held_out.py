"""The loss on data that training never sees."""

from collections.abc import Callable, Iterator, Sequence

import jax

from gato.batch import Batch
from gato.model.gato import Parameters
from gato.training.metrics import loss_metrics
from gato.training.step import LossFunction, make_loss_step, no_losses


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
        """An evaluator for `train`.

        Args:
            make_batches: starts the held-out data from its beginning.
            put: brings a batch to the devices.
        """
        self._loss_step = make_loss_step(loss_function)
        self._put = put
        self._make_batches = make_batches
        self._num_batches = num_batches
        self._source_names = source_names

    def __call__(self, params: Parameters, step: int) -> dict[str, float]:
        losses = no_losses(len(self._source_names))
        batches = self._make_batches()
        for _ in range(self._num_batches):
            losses = self._loss_step(params, losses, self._put(next(batches)))
        named = loss_metrics(jax.device_get(losses), self._source_names)
        return {f"held_out/{name}": value for name, value in named.items()}
