"""What few-shot fine-tuning reached, as a table."""

from collections.abc import Sequence

import numpy as np

from gato.evaluation.few_shot import FewShotResults, curve
from gato.reports.format import UNKNOWN, minus
from gato.reports.table import Table


def few_shot_table(results: FewShotResults) -> Table:
    """Lists each start and number of episodes: means over the cascades with their standard deviation."""
    rows = tuple(
        (
            "the checkpoint" if point.start == "checkpoint" else "scratch",
            f"{point.episodes:,}",
            str(len(point.scores)),
            _spread(point.scores),
            _spread(point.retested),
        )
        for point in curve(results)
    )
    headings = ("from", "episodes", "cascades", f"best smoothed {results.score_name}", "best checkpoint retested")
    return Table(headings=headings, rows=rows)


def _spread(values: Sequence[float]) -> str:
    if not values:
        return UNKNOWN
    mean = f"{np.mean(values):.3g}"
    return minus(mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.2g}")
