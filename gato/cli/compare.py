"""`gato compare`: two checkpoints on the tasks that both were measured on, as tables, a chart and a file."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from gato.evaluation.comparison import Comparison, compare
from gato.evaluation.scores import ScoreRecord, read_scores
from gato.files import replace_file, replace_json
from gato.reports.comparison_plot import comparison_plot
from gato.reports.profile_plot import profile_plot
from gato.reports.style import save_figure
from gato.reports.tables import (
    comparison_latex,
    comparison_markdown,
    group_comparison_table,
    not_compared,
    task_comparison_table,
)
from gato.run_files import EVALUATION_FOLDER, SCORES_FILE

COMPARISON_VERSION = 1  # of compare.json


def compare_scores(
    a: Annotated[Path, tyro.conf.Positional],
    b: Annotated[Path, tyro.conf.Positional],
    out: Path = Path("comparison"),
    latex: bool = False,
) -> None:
    """Compares two measurements. Example: gato compare runs/before runs/after --out comparison

    Args:
        a: what B is compared with: a file of scores, or a folder with scores.json or evaluation/scores.json.
        b: what may be better or worse; differences are B - A.
        out: folder for compare.json, compare.md, compare.png and, with several tasks, profile.png.
        latex: also write compare.tex, tables with the rules of booktabs.
    """
    console = Console()
    records_a, records_b = (read_scores(_scores_file(path)) for path in (a, b))
    comparison = compare(records_a, records_b, name_a=str(a), name_b=str(b))
    out.mkdir(parents=True, exist_ok=True)
    replace_json(out / "compare.json", _content(comparison))
    replace_file(out / "compare.md", comparison_markdown(comparison))
    if latex:
        replace_file(out / "compare.tex", comparison_latex(comparison))
    if comparison.groups:
        save_figure(out / "compare.png", comparison_plot(comparison))
    tasks = [task.a.task for task in comparison.tasks]
    if comparison.groups and 1 < len(tasks) == len(set(tasks)):
        runs: dict[str, list[ScoreRecord]] = {
            f"A: {a}": [task.a for task in comparison.tasks],
            f"B: {b}": [task.b for task in comparison.tasks],
        }
        save_figure(out / "profile.png", profile_plot(runs))
    console.print(f"A: {a}\nB: {b}", soft_wrap=True, highlight=False)
    for table in (task_comparison_table(comparison), group_comparison_table(comparison)):
        console.print(f"\n{table}", soft_wrap=True, highlight=False)
    for sentence in not_compared(comparison):
        console.print(sentence, soft_wrap=True, highlight=False)
    console.print(f"written to {out}", soft_wrap=True)


def _scores_file(path: Path) -> Path:
    """Returns the file itself, or the one in a folder."""
    choices = [path / SCORES_FILE, path / EVALUATION_FOLDER / SCORES_FILE] if path.is_dir() else [path]
    for choice in choices:
        if choice.is_file():
            return choice
    looked = " and ".join(str(choice) for choice in choices)
    raise FileNotFoundError(f"no scores in {path} (looked for {looked}): run `gato evaluate` first")


def _content(comparison: Comparison) -> dict[str, Any]:
    """Returns plain data for JSON; `Any` because it nests. The returns stay in the files of scores."""
    content = asdict(comparison)
    for task in content["tasks"]:
        for side in ("a", "b"):
            del task[side]["returns"]
    return {"version": COMPARISON_VERSION, **content}
