"""Plays every expert under growing noise, and tells how much noise each of them makes up for.

A share of the executed actions is random. What the expert still reaches decides which noise its demonstrations get
(`Task.training_noise`): the last column is the highest share, at most 0.5, up to which success or normalised return is
at least half of that without noise. Success alone would not do, since in many tasks the random actions themselves cost
the points that separate success from a good return. Where the share is below 0.3, the script tries actions that lie a
quarter of the way from the expert's to a random one ("weak"). Families take turns, and the file keeps what is measured,
so the script may be stopped and started again at any time.

    python benchmarks/noise_recovery.py --minutes 20
    python benchmarks/noise_recovery.py --family box2d --episodes 20
    python benchmarks/noise_recovery.py --table
    python benchmarks/noise_recovery.py --write     # envs/noise.json, which the catalogue reads
"""

import argparse
import json
import random
import time
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from gato.envs import Task, select_tasks
from gato.evaluation.actors import ExpertActor
from gato.evaluation.rollout import rollout
from gato.evaluation.scores import normalized_score
from gato.evaluation.time_limit import TimeLimitExceededError
from gato.experiments.recording import CALL_LIMIT
from gato.files import replace_file
from gato.seeds import COLLECTION_SEED

LEVELS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
DECIDING = (0.1, 0.3, 0.5)
FEW = 0.3  # below this share weak actions are tried
WEAK = 0.25  # strength of these
RECOVERED = 0.5  # of what the expert reaches without noise
RESULTS = Path(__file__).parent / "results" / "noise_recovery.json"
EXCEPTIONS = Path(__file__).parents[1] / "envs" / "noise.json"


def spread(tasks: list[Task]) -> list[Task]:
    """Returns the tasks in a fixed random order in which families take turns."""
    families: dict[str, list[Task]] = {}
    for task in tasks:
        families.setdefault(task.family, []).append(task)
    for members in families.values():
        random.Random(0).shuffle(members)
    turns = zip_longest(*families.values())
    return [task for turn in turns for task in turn if task is not None]


def play(task: Task, noise: float, strength: float, episodes: int) -> dict[str, Any]:
    """Returns the numbers of one task at one share of random actions of one strength."""
    assert task.make_expert is not None
    seeds = range(COLLECTION_SEED, COLLECTION_SEED + episodes)
    options = [task.variants[seed % len(task.variants)] for seed in seeds]
    actor = ExpertActor(task.make_expert, cpu_seconds=CALL_LIMIT)
    returns, successes, steps = [], [], []
    begun = time.process_time()
    try:
        for done in rollout(task.make, actor, seeds, options=options, noise=(noise, noise), noise_strength=strength):
            returns.append(done.episode.episode_return)
            successes.append(task.success(done.episode.episode_return, done.info))
            steps.append(len(done.episode))
    except TimeLimitExceededError:
        pass  # the episodes before it count
    if not returns:
        return {"episodes": 0, "success": 0.0, "score": None}
    score = None
    if task.scores is not None and task.scores.expert is not None:
        score = normalized_score(float(np.mean(returns)), task.scores.random.mean, task.scores.expert.mean)
    return {
        "episodes": len(returns),
        "success": round(float(np.mean(successes)), 3),
        "score": None if score is None else round(score, 3),
        "steps": round(float(np.mean(steps)), 1),
        "cpu_seconds": round(time.process_time() - begun, 2),
    }


def name_of(share: float, strength: float = 1.0) -> str:
    """Returns the name under which the file keeps a share of random actions of one strength."""
    return f"{share:g}" if strength == 1 else f"{share:g} weak"


def is_measured(cells: dict[str, dict[str, Any]], strength: float = 1.0) -> bool:
    """Returns whether all shares that decide were played."""
    return {name_of(0), *(name_of(share, strength) for share in DECIDING)} <= cells.keys()


def made_up_for(cells: dict[str, dict[str, Any]], strength: float = 1.0) -> float:
    """Returns the highest share of random actions, at most 0.5, that the expert makes up for."""
    clean = cells[name_of(0)]

    def is_made_up_for(cell: dict[str, Any]) -> bool:
        pairs = [(cell[measure], clean[measure]) for measure in ("success", "score")]
        return any(before and after is not None and after >= RECOVERED * before for after, before in pairs)

    highest = 0.0
    for share in DECIDING:
        if not is_made_up_for(cells[name_of(share, strength)]):
            break
        highest = share
    return highest


def exception(cells: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Returns the fields of `Task` that differ from their defaults."""
    share = made_up_for(cells)
    if share < FEW and is_measured(cells, WEAK) and made_up_for(cells, WEAK) > share:
        weak = made_up_for(cells, WEAK)
        return {"noise_strength": WEAK} | ({} if weak == DECIDING[-1] else {"noise_share": weak})
    return {} if share == DECIDING[-1] else {"noise_share": share}


def print_table(results: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Prints success and normalised return of every task that is measured, family by family."""
    names = [*map(name_of, LEVELS), *(name_of(share, WEAK) for share in DECIDING)]
    print("success / normalised return at each share of random actions\n")
    print("| family | task | " + " | ".join(names) + " | made up for |")
    print("|---" * (len(names) + 3) + "|")
    for task in select_tasks(["*"]):
        cells = results.get(task.name, {})
        if is_measured(cells):
            shown = " | ".join(shown_cell(cells.get(name)) for name in names)
            noise = exception(cells)
            weak = ", weak" if "noise_strength" in noise else ""
            print(f"| {task.family} | {task.name} | {shown} | {noise.get('noise_share', DECIDING[-1]):g}{weak} |")


def shown_cell(cell: dict[str, Any] | None) -> str:
    """Returns what the table says of a task at one share."""
    if cell is None or not cell["episodes"]:
        return ""
    return f"{cell['success']:.2f}" + ("" if cell["score"] is None else f" / {cell['score']:.2f}")


def main() -> None:
    """Measures what the file does not hold yet, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", help="names or patterns; all tasks with an expert if none is given")
    parser.add_argument("--family", action="append", default=[])
    parser.add_argument("--episodes", type=int, default=4, help="of each task at each share")
    parser.add_argument("--minutes", type=float, default=1e9, help="no task is begun after so many")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--levels", type=float, nargs="+", default=LEVELS, choices=LEVELS, help="shares to play")
    parser.add_argument("--table", action="store_true", help="play nothing")
    parser.add_argument("--write", action="store_true", help="play nothing, write what decides the training data")
    options = parser.parse_args()
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    patterns = options.tasks if options.tasks or options.family else ["*"]
    tasks = [task for task in select_tasks(patterns, options.family) if task.make_expert is not None]
    end = time.monotonic() + 60 * options.minutes
    for task in [] if options.table or options.write else spread(tasks):
        cells = results.setdefault(task.name, {})

        def fill(share: float, strength: float, task: Task = task, cells: dict[str, Any] = cells) -> None:
            key = name_of(share, strength)
            if time.monotonic() < end and cells.get(key, {}).get("episodes", -1) < options.episodes:
                cells[key] = play(task, share, strength, options.episodes)
                lines = (f"{json.dumps(name)}: {json.dumps(cells)}" for name, cells in results.items())
                replace_file(options.out, "{\n" + ",\n".join(lines) + "\n}\n")

        for share in options.levels:
            fill(share, 1.0)
        if is_measured(cells) and made_up_for(cells) < FEW:
            for share in DECIDING:
                fill(share, WEAK)
    if options.write:
        found = {name: exception(cells) for name, cells in sorted(results.items()) if is_measured(cells)}
        exceptions = {name: fields for name, fields in found.items() if fields}
        replace_file(EXCEPTIONS, json.dumps(exceptions, indent=1) + "\n")
    else:
        print_table(results)


if __name__ == "__main__":
    main()
