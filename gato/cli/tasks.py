"""`gato tasks`: the tasks, their experts and their scores."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from gato.cli.whole_table import print_whole
from gato.envs import PAPER_DOMAINS, Score, Task, select_tasks


def tasks(
    patterns: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    family: tuple[str, ...] = (),
    paper: bool = False,
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Lists the tasks. Example: gato tasks --family babyai

    Args:
        patterns: names, or shell patterns such as 'metaworld-*'; all tasks if neither they nor families are given.
        family: only the tasks of these families.
        paper: list the control domains of the paper's table 1 instead, and which of them run here.
        as_json: print one JSON list instead of a table.
    """
    if paper:
        _list_domains(as_json)
        return
    chosen = select_tasks(patterns or (() if family else ("*",)), family)
    if as_json:
        print(json.dumps([_facts(task) for task in chosen], indent=2))
        return
    print_whole(Console(), _table(chosen))


def _table(chosen: Sequence[Task]) -> Table:
    """Returns the tasks with those columns that are not empty for all of them."""
    rows = []
    for task in chosen:
        scores = task.scores
        expert = scores.expert if scores else None
        rows.append(
            {
                "task": task.name,
                "random": _mean(scores.random if scores else None),
                "expert": _mean(expert),
                "solved": "" if expert is None or expert.success is None else f"{expert.success:.0%}",
                "human": _mean(task.human),
                "views": ", ".join(task.views),
                "about": task.description,
            }
        )
    table = Table(title=f"{len(chosen)} task{'s' if len(chosen) != 1 else ''}")
    headings = [heading for heading in rows[0] if any(row[heading] for row in rows)] if rows else ["task"]
    for heading in headings:
        numeric = heading in ("random", "expert", "solved", "human")
        table.add_column(
            heading, justify="right" if numeric else "left", no_wrap=numeric or heading == "task", overflow="fold"
        )
    for row in rows:
        table.add_row(*(row[heading] for heading in headings))
    return table


def _list_domains(as_json: bool) -> None:
    if as_json:
        print(json.dumps([asdict(domain) for domain in PAPER_DOMAINS], indent=2))
        return
    table = Table(title="Control domains of A Generalist Agent (2022), table 1")
    table.add_column("domain", no_wrap=True)
    table.add_column("tasks there", justify="right")
    table.add_column("here", no_wrap=True)
    table.add_column("why")
    for domain in PAPER_DOMAINS:
        table.add_row(domain.name, str(domain.num_tasks), domain.standing, domain.remark)
    print_whole(Console(), table)


def _facts(task: Task) -> dict[str, Any]:
    return {
        "name": task.name,
        "family": task.family,
        "description": task.description,
        "expert": task.make_expert is not None,
        "expert_solves": task.make_expert is not None and task.expert_solves,
        "max_episode_steps": task.max_episode_steps,
        "success_source": task.success_source,
        "scores": asdict(task.scores) if task.scores else None,
        "human": asdict(task.human) if task.human else None,
        "tags": sorted(task.tags),
        "views": list(task.views),
    }


def _mean(score: Score | None) -> str:
    return "" if score is None else f"{score.mean:.4g}"
