"""`gato exam`: does the agent know itself and its tasks?"""

from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from gato.envs import all_tasks, select_tasks
from gato.experiments.exam import right_by_kind, sit_exam, write_exam
from gato.inference.agent import Agent
from gato.release.shipped import default_weights, find_weights, outputs_folder

EXAM_FILE = "exam.jsonl"


def examine(
    run: Annotated[Path | None, tyro.conf.Positional] = None,
    tasks: tuple[str, ...] = (),
    family: tuple[str, ...] = (),
    questions: int = 400,
    seed: int = 1_000_000,
    out: Path | None = None,
) -> None:
    """Asks an agent about itself and its tasks. Example: gato exam runs/quickstart --family classic_control

    The wordings are none of those that it learned from. docs/evaluation.md tells what counts as right.

    Args:
        run: run, checkpoint or released folder; the agent that comes with the package if not given.
        tasks: that are asked about, by name or shell pattern; all of the catalogue if neither they nor families are
            given.
        family: all tasks of these families.
        questions: how many.
        seed: of the questions.
        out: file of all questions and answers, one JSON object per line; <run>/exam.jsonl if not given.
    """
    weights = default_weights() if run is None else find_weights(run)
    chosen = select_tasks(tasks, family) if tasks or family else list(all_tasks())
    answered = sit_exam(Agent.load(weights), chosen, num_questions=questions, seed=seed)
    path = out or outputs_folder(weights) / EXAM_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    write_exam(path, answered)
    table = Table("questions", "number", "right", "95 % interval", title="held-out wordings")
    for kind, share in right_by_kind(answered).items():
        number = sum(kind in ("all", one.question.kind) for one in answered)
        table.add_row(kind, str(number), f"{share.value:.0%}", f"{share.low:.0%} to {share.high:.0%}")
    console = Console()
    console.print(table)
    console.print(f"written to {path}", soft_wrap=True)
