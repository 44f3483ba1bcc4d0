"""What is to be played, as data: one spec per episode, decided before the first step."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from gato.evaluation.evaluation_task import EvaluationTask
from gato.evaluation.scores import Prompt, Variants
from gato.seeds import DEMONSTRATION_SEED, Stream, stream

NUM_TURNS: Final = 10  # different demonstrations of one variant that its episodes take turns with

RecordKey: TypeAlias = tuple[str, Prompt, Variants]  # task, prompt and group of variants of one score
EpisodeKey: TypeAlias = tuple[str, Prompt, Variants, int]


@dataclass(frozen=True, kw_only=True)
class Demonstrations:
    """What an episode is shown: experts' episodes of one variant of a task, by their seeds."""

    task: str
    variant: int
    seeds: tuple[int, ...]

    @property
    def rng(self) -> np.random.Generator:
        """Draws what the prompt shows of them: the same prompt comes out whenever it is asked for."""
        return stream(Stream.PROMPT, *self.seeds)


@dataclass(frozen=True, kw_only=True)
class PlannedEpisode:
    """Which episode of a plan it is."""

    task: str
    prompt: Prompt
    variants: Variants
    episode: int  # counted from 0 within task, prompt and variants
    variant: int
    seed: int

    @property
    def record_key(self) -> RecordKey:
        """Episodes of equal ones make one score."""
        return self.task, self.prompt, self.variants

    @property
    def key(self) -> EpisodeKey:
        return *self.record_key, self.episode


@dataclass(frozen=True, kw_only=True)
class EpisodeSpec(PlannedEpisode):
    """One episode of a plan: what is asked, and what is shown before it."""

    shown: Demonstrations | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All episodes of an evaluation in the order of its records, and the tasks that have none, with the reason."""

    specs: tuple[EpisodeSpec, ...]
    left_out: dict[str, str] = field(default_factory=dict)


def plan_scores(
    tasks: Sequence[EvaluationTask], prompt: Prompt, *, episodes: int, seed: int, demonstrations: int = 1
) -> Plan:
    """Plans every task under one kind of prompt, its episodes taking turns with its trained variants.

    A wrong prompt is of another of the tasks with the same spaces, and where there is none, of another variant.

    Args:
        tasks: in the order of the records.
        prompt: of all of them.
        episodes: of each task.
        seed: of the first episode.
        demonstrations: shown one after another in one prompt.
    """
    specs: list[EpisodeSpec] = []
    left_out: dict[str, str] = {}
    for task in tasks:
        num_variants = len(task.task.variants)
        others = [
            other for other in tasks if other.name != task.name and other.has_expert and other.has_spaces_of(task)
        ]
        if prompt == "right" and not task.has_expert:
            left_out[task.name] = "it has no expert to demonstrate it"
        elif prompt == "wrong" and not others and (num_variants == 1 or not task.has_expert):
            left_out[task.name] = (
                "no other task of this evaluation has its spaces and an expert, and it has no variants"
            )
        else:
            for episode in range(episodes):
                variant = episode % num_variants
                shown = None
                if prompt == "right":
                    shown = _shown(task, variant, episode // num_variants, demonstrations)
                elif prompt == "wrong" and others:
                    turn, which = divmod(episode, len(others))
                    other = others[which]
                    num_others = len(other.task.variants)
                    shown = _shown(other, turn % num_others, turn // num_others, demonstrations)
                elif prompt == "wrong":
                    wrong = _another(np.random.default_rng([seed, episode]), variant, range(num_variants))
                    shown = _shown(task, wrong, episode // num_variants, demonstrations)
                specs.append(
                    EpisodeSpec(
                        task=task.name,
                        prompt=prompt,
                        variants="all",
                        episode=episode,
                        seed=seed + episode,
                        variant=variant,
                        shown=shown,
                    )
                )
    return Plan(specs=tuple(specs), left_out=left_out)


def plan_ablation(tasks: Sequence[EvaluationTask], *, episodes: int, seed: int, demonstrations: int = 1) -> Plan:
    """Plans the same episodes under a right, a wrong and no demonstration, of trained and of held-out variants apart.

    The variants of a task look alike at the start, so only the demonstration can tell which one is wanted. A wrong one
    comes from another variant of the same group, drawn at random.

    Args:
        tasks: whose variants differ in nothing that the agent sees; in the order of the records.
        episodes: of each prompt in each group.
        seed: of the first episode of each.
        demonstrations: shown one after another in one prompt.
    """
    specs: list[EpisodeSpec] = []
    left_out: dict[str, str] = {}
    for task in tasks:
        trained, total = len(task.task.variants), len(task.variants)
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
                specs += [
                    EpisodeSpec(
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
    return Plan(specs=tuple(specs), left_out=left_out)


def _another(rng: np.random.Generator, variant: int, group: range) -> int:
    others = [choice for choice in group if choice != variant]
    return others[int(rng.integers(len(others)))]


def _shown(task: EvaluationTask, variant: int, turn: int, demonstrations: int) -> Demonstrations:
    """Chooses seeds of which none belongs to two variants or to two turns."""
    num_variants = len(task.variants)
    first = turn % NUM_TURNS * demonstrations
    seeds = (DEMONSTRATION_SEED + num_variants * (first + number) + variant for number in range(demonstrations))
    return Demonstrations(task=task.name, variant=variant, seeds=tuple(seeds))
