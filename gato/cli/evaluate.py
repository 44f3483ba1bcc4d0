"""`gato evaluate`: scores of a checkpoint with intervals, as a file, tables, charts and a page with episodes to see."""

from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from gato.experiments.evaluation import EvaluationOptions, run_evaluation
from gato.experiments.reporter import ConsoleReporter
from gato.release.shipped import default_weights, find_weights


def evaluate(
    checkpoint: Annotated[Path | None, tyro.conf.Positional] = None,
    options: Annotated[EvaluationOptions, tyro.conf.arg(name="")] = EvaluationOptions(),  # noqa: B008
) -> None:
    """Measures an agent. Example: gato evaluate runs/quickstart --tasks cartpole --episodes 50

    Called again after it was stopped, it goes on where it was and ends with the same scores.

    Args:
        checkpoint: run, checkpoint or released folder; the agent that comes with the package if not given.
        options: what is measured, and how.
    """
    run_evaluation(
        default_weights() if checkpoint is None else find_weights(checkpoint), options, ConsoleReporter(Console())
    )
