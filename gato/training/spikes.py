"""Reports when the loss jumps far above its recent values: the run goes on, but somebody should look.

Gradients are clipped, so one bad batch moves the parameters no further than any other. The rest is done by hand: PaLM
went back some hundred steps and left out the batches after them (Chowdhery et al., 2022, section 5.1).
"""

import statistics
from collections import deque
from collections.abc import Callable, Iterable, Mapping

_WINDOW = 20  # lines of metrics that are compared with
_LEAST = 5  # lines before anything is reported
_FACTOR = 2.0  # times the median


class SpikeWatch:
    """A metric writer that compares each interval's loss with the median of those before."""

    def __init__(self, report: Callable[[str], None], earlier: Iterable[Mapping[str, float]] = ()) -> None:
        """Starts with earlier lines of metrics, those of a resumed run."""
        self._report = report
        self._losses: deque[float] = deque(maxlen=_WINDOW)
        for values in earlier:
            self._take(values)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        median = statistics.median(self._losses) if len(self._losses) >= _LEAST else None
        loss = values.get("loss")
        if loss is not None and median is not None and loss > _FACTOR * median:
            self._report(
                f"loss spike at step {step}: {loss:.4f}, {loss / median:.1f} times the median {median:.4f} of the last "
                f"{len(self._losses)} lines; if it does not come down, continue from a checkpoint before it, with a "
                "lower optimizer.peak_lr in a new run, or look at the data of these steps"
            )
        self._take(values)

    def close(self) -> None:
        """Does nothing: no file is open."""

    def _take(self, values: Mapping[str, float]) -> None:
        if (loss := values.get("loss")) is not None:
            self._losses.append(loss)
