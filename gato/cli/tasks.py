"""`gato tasks`: what can be played, with what expert, at what scores."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

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
    table = Table(title=f"{len(chosen)} tasks")
    for heading in ("task", "random", "expert", "solved", "human", "views", "about"):
        numeric = heading in ("random", "expert", "solved", "human")
        table.add_column(
            heading, justify="right" if numeric else "left", no_wrap=True, min_width=28 if heading == "task" else None
        )
    for task in chosen:
        scores = task.scores
        expert = scores.expert if scores else None
        table.add_row(
            task.name,
            _mean(scores.random if scores else None),
            _mean(expert),
            "" if expert is None or expert.success is None else f"{expert.success:.0%}",
            _mean(task.human),
            ", ".join(task.views),
            task.description,
        )
    Console().print(table)


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
    Console().print(table)


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
