"""Task: one environment with everything that training and measuring need to know about it."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import gymnasium
import numpy as np

# Observations, actions and infos have whatever type the environment's spaces say, hence `Any` below.


class Expert(Protocol):
    """A scripted demonstrator of one environment.

    It may read the environment's privileged state. It is asked at every observation, and stays correct when the
    environment executes other actions than it gave, as noisy demonstrations need.
    """

    def reset(self) -> None:
        """Starts an episode; called after every `env.reset`."""

    def act(self, observation: Any) -> Any:
        """The action for the observation that the environment returned last."""


# Builds a fresh environment, its time limit included, from `render_mode` and, where the task has views, `view`. An
# episode depends on the seed and the options of `env.reset` alone, never on the episodes before it.
MakeEnv: TypeAlias = Callable[..., gymnasium.Env[Any, Any]]


@dataclass(frozen=True, kw_only=True)
class Score:
    """A mean undiscounted return and where it comes from; what a source does not tell is None."""

    mean: float
    std: float | None = None  # between episodes
    episodes: int | None = None
    steps: float | None = None  # mean length of an episode
    success: float | None = None  # share of episodes
    date: str  # ISO 8601, of the measurement or the publication
    versions: str | None = None  # of the packages that decide the result
    source: str  # who measured, and how

    @property
    def standard_error(self) -> float | None:
        """Of the mean."""
        return None if self.std is None or self.episodes is None else self.std / math.sqrt(self.episodes)


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a task's returns are compared with."""

    random: Score  # uniform actions
    expert: Score | None = None  # the task's own expert
    human: Score | None = None  # as the literature has it

    @property
    def reference(self) -> Score | None:
        """What counts as 1 in a normalised score: the expert, and the human where there is none."""
        return self.expert or self.human


@dataclass(frozen=True, kw_only=True)
class Task:
    """One environment as the agent meets it.

    `views` are ways to show the same environment, such as symbols or pixels, in which expert and chance score the same;
    the first is the one that the plain task name stands for.

    Each of `variants` is a set of reset options that selects a different hidden task; what an episode asks is then
    shown by a demonstration of the same variant. `held_out_variants` are never trained.
    """

    name: str  # kebab-case, unique in the catalogue
    family: str  # the module that holds it
    description: str  # one sentence: what the agent has to do
    make: MakeEnv
    make_expert: Callable[[gymnasium.Env[Any, Any], np.random.Generator], Expert] | None = None
    expert_solves: bool = True  # False marks an expert below what the field calls solved
    max_episode_steps: int
    success: Callable[[float, Mapping[str, Any]], bool]  # of the episode return and the last info
    success_source: str  # who says that this is success
    human: Score | None = None  # from the literature
    scores: Scores | None = None  # measured; the catalogue fills them in
    # What it exercises: pixels, symbols, text, discrete, continuous, context; and held-out for a task never trained.
    tags: frozenset[str] = frozenset()
    packages: tuple[str, ...] = ()  # distributions beside gymnasium and numpy that decide what happens
    views: Mapping[str, frozenset[str]] = field(default_factory=dict)  # name to the tags of that view alone
    action_names: tuple[str, ...] = ()  # of a Discrete action space, in order
    variants: tuple[Mapping[str, Any], ...] = ({},)
    follows: Callable[[Mapping[str, Any], Mapping[str, Any]], bool] | None = None  # (variant, last info): was it done?
    held_out_variants: tuple[Mapping[str, Any], ...] = ()
    # The share of random actions that the expert makes up for, at most a half, and how far these lie on the way from
    # the expert's action to a uniform one; measured, and filled in by the catalogue.
    noise_share: float = 0.5
    noise_strength: float = 1.0
    not_replayable: str | None = None  # why the recorded actions do not give the same episode again; None = they do

    @property
    def training_noise(self) -> tuple[float, float]:
        """Returns the range of the share of random actions in episodes to train on, in whose middle `noise_share` lies.

        So the expert reaches the goal in about half of them, and at every share it shows what to do next.
        """
        return round(0.2 * self.noise_share, 3), round(1.8 * self.noise_share, 3)

    def seen_as(self, view: str) -> "Task":
        """The same task in another view, named `<name>-<view>`; the first view has the plain name.

        Raises:
            ValueError: there is no such view.
        """
        if view not in self.views:
            raise ValueError(f"task {self.name!r} has no view {view!r}, it has {sorted(self.views)}")
        first = next(iter(self.views))
        return dataclasses.replace(
            self,
            name=self.name if view == first else f"{self.name}-{view}",
            make=functools.partial(self.make, view=view),
            tags=self.tags - self.views[first] | self.views[view],
            views={},
        )


@dataclass(frozen=True)
class ReactiveExpert:
    """An expert that is a function of the current observation."""

    rule: Callable[[Any], Any]

    def reset(self) -> None:
        """Nothing is remembered between steps."""

    def act(self, observation: Any) -> Any:
        return self.rule(observation)


def reactive(rule: Callable[[Any], Any]) -> Callable[[gymnasium.Env[Any, Any], np.random.Generator], Expert]:
    """Turns a rule (observation -> action) into what `Task.make_expert` expects."""

    def make_expert(env: gymnasium.Env[Any, Any], rng: np.random.Generator) -> Expert:
        return ReactiveExpert(rule)

    return make_expert
