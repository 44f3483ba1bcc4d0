"""`gato evaluate`: scores of a checkpoint with intervals, as a file, tables, charts and a page with episodes to see."""

from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from gato.experiments.evaluation import EvaluationOptions, run_evaluation
from gato.experiments.reporter import ConsoleReporter


def evaluate(
    checkpoint: Annotated[Path, tyro.conf.Positional],
    options: Annotated[EvaluationOptions, tyro.conf.arg(name="")] = EvaluationOptions(),  # noqa: B008
) -> None:
    """Measures an agent. Example: gato evaluate runs/quickstart --tasks cartpole --episodes 50

    Called again after it was stopped, it goes on where it was and ends with the same scores.

    Args:
        checkpoint: run folder or checkpoint folder.
        options: what is measured, and how.
    """
    run_evaluation(checkpoint, options, ConsoleReporter(Console()))
