"""What is to be played, as data: one cell an episode, decided before the first step."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from gato.evaluation.scores import Prompt, Variants
from gato.seeds import DEMONSTRATION_SEED

NUM_TURNS: Final = 10  # different demonstrations of one variant that its episodes take turns with


@dataclass(frozen=True, kw_only=True)
class PlannedTask:
    """What planning has to know of a task.

    Variants are counted from 0: those that may be trained on, then the held-out ones.
    """

    name: str
    num_variants: int = 1
    num_held_out: int = 0
    has_expert: bool = True
    spaces: Any = None  # equal where a demonstration of one task can stand before an episode of the other


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The demonstrations that an episode starts with: of which task and variant, and the seed of each."""

    task: str
    variant: int
    seeds: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One episode: what is asked, and what is shown."""

    task: str
    prompt: Prompt
    variants: Variants
    episode: int  # counted from 0 within task, prompt and variants
    seed: int
    variant: int
    shown: Shown | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All episodes of an evaluation in the order of its records, and the tasks that have none, with the reason."""

    cells: tuple[Cell, ...]
    left_out: dict[str, str] = field(default_factory=dict)


def plan_scores(
    tasks: Sequence[PlannedTask], prompt: Prompt, *, episodes: int, seed: int, demonstrations: int = 1
) -> Plan:
    """Every task under one kind of prompt, its episodes taking turns with its trained variants.

    A wrong prompt is of another of the tasks with the same spaces, and where there is none, of another variant.

    Args:
        tasks: in the order of the records.
        prompt: of all of them.
        episodes: a task.
        seed: of the first episode.
        demonstrations: shown one after another in one prompt.
    """
    cells: list[Cell] = []
    left_out: dict[str, str] = {}
    for task in tasks:
        others = [other for other in tasks if other != task and other.has_expert and other.spaces == task.spaces]
        if prompt == "right" and not task.has_expert:
            left_out[task.name] = "it has no expert to demonstrate it"
        elif prompt == "wrong" and not others and (task.num_variants == 1 or not task.has_expert):
            left_out[task.name] = (
                "no other task of this evaluation has its spaces and an expert, and it has no variants"
            )
        else:
            for episode in range(episodes):
                variant = episode % task.num_variants
                shown = None
                if prompt == "right":
                    shown = _shown(task, variant, episode // task.num_variants, demonstrations)
                elif prompt == "wrong" and others:
                    turn, which = divmod(episode, len(others))
                    other = others[which]
                    shown = _shown(other, turn % other.num_variants, turn // other.num_variants, demonstrations)
                elif prompt == "wrong":
                    wrong = _another(np.random.default_rng([seed, episode]), variant, range(task.num_variants))
                    shown = _shown(task, wrong, episode // task.num_variants, demonstrations)
                cells.append(
                    Cell(
                        task=task.name,
                        prompt=prompt,
                        variants="all",
                        episode=episode,
                        seed=seed + episode,
                        variant=variant,
                        shown=shown,
                    )
                )
    return Plan(cells=tuple(cells), left_out=left_out)


def plan_study(tasks: Sequence[PlannedTask], *, episodes: int, seed: int, demonstrations: int = 1) -> Plan:
    """The same episodes under a right, a wrong and no demonstration, of trained and of held-out variants apart.

    The variants of a task look alike at the start, so only the demonstration can tell which one is wanted. A wrong one
    comes from another variant of the same group, drawn at random.

    Args:
        tasks: whose variants differ in nothing that the agent sees; in the order of the records.
        episodes: of each prompt in each group.
        seed: of the first episode of each.
        demonstrations: shown one after another in one prompt.
    """
    cells: list[Cell] = []
    left_out: dict[str, str] = {}
    for task in tasks:
        trained, total = task.num_variants, task.num_variants + task.num_held_out
        if not task.has_expert or total < 2:
            left_out[task.name] = "a wrong demonstration needs an expert and two variants"
            continue
        groups: dict[Variants, range] = {"trained": range(trained), "held-out": range(trained, total)}
        for variants, group in groups.items():
            rng = np.random.default_rng(seed)
            asked = [group[episode % len(group)] for episode in range(episodes)] if group else []
            # A group of one takes its wrong demonstrations from the other.
            wrong = [_another(rng, variant, group if len(group) > 1 else range(total)) for variant in asked]
            shown: dict[Prompt, list[int] | None] = {"right": asked, "wrong": wrong, "none": None}
            for prompt, choices in shown.items():
                cells += [
                    Cell(
                        task=task.name,
                        prompt=prompt,
                        variants=variants,
                        episode=episode,
                        seed=seed + episode,
                        variant=variant,
                        shown=None
                        if choices is None
                        else _shown(task, choices[episode], episode // len(group), demonstrations),
                    )
                    for episode, variant in enumerate(asked)
                ]
    return Plan(cells=tuple(cells), left_out=left_out)


def _another(rng: np.random.Generator, variant: int, group: range) -> int:
    others = [choice for choice in group if choice != variant]
    return others[int(rng.integers(len(others)))]


def _shown(task: PlannedTask, variant: int, turn: int, demonstrations: int) -> Shown:
    """No seed belongs to two variants or to two turns."""
    num_variants = task.num_variants + task.num_held_out
    first = turn % NUM_TURNS * demonstrations
    seeds = (DEMONSTRATION_SEED + num_variants * (first + number) + variant for number in range(demonstrations))
    return Shown(task=task.name, variant=variant, seeds=tuple(seeds))
