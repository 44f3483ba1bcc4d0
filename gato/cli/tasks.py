"""`gato tasks`: what can be played, with what expert, at what scores."""

import json
from dataclasses import asdict
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from gato.envs import all_tasks


def tasks(
    family: str | None = None,
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Lists the tasks. Example: gato tasks --family babyai

    Args:
        family: only the tasks of this family.
        as_json: print one JSON list instead of a table.
    """
    chosen = [task for task in all_tasks() if family is None or task.family == family]
    if not chosen:
        raise ValueError(f"no family {family!r}, known are {sorted({task.family for task in all_tasks()})}")
    if as_json:
        print(
            json.dumps(
                [
                    {
                        "name": task.name,
                        "family": task.family,
                        "description": task.description,
                        "expert": task.make_expert is not None,
                        "scores": asdict(task.scores) if task.scores else None,
                        "tags": sorted(task.tags),
                    }
                    for task in chosen
                ],
                indent=2,
            )
        )
        return
    table = Table(title=f"{len(chosen)} tasks")
    for heading in ("task", "family", "random", "expert", "about"):
        table.add_column(
            heading, justify="right" if heading in ("random", "expert") else "left", no_wrap=heading == "task"
        )
    for task in chosen:
        random, expert = (
            (f"{task.scores.random_mean:.1f}", f"{task.scores.expert_mean:.1f}") if task.scores else ("", "")
        )
        table.add_row(task.name, task.family, random, expert, task.description)
    Console().print(table)
