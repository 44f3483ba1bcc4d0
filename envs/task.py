"""Task: one environment with everything that training and measuring need to know about it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

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


class MakeEnv(Protocol):
    """Builds a fresh environment, its time limit included."""

    def __call__(self, render_mode: str | None = None) -> gymnasium.Env[Any, Any]: ...


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Measured mean, standard deviation and number of episodes of the undiscounted return, and how they came about."""

    random_mean: float
    random_std: float
    random_episodes: int
    expert_mean: float
    expert_std: float
    expert_episodes: int
    date: str  # ISO 8601
    versions: str  # of the packages that decide the result
    source: str  # who measured, and how


@dataclass(frozen=True, kw_only=True)
class Task:
    """One environment as the agent meets it.

    Each of `variants` is a set of reset options that selects a different hidden task; what an episode asks is then
    shown by a demonstration of the same variant. `held_out_variants` are never trained.
    """

    name: str  # kebab-case, unique in the catalogue
    family: str  # the module that holds it
    description: str  # one sentence: what the agent has to do
    make: MakeEnv
    make_expert: Callable[[gymnasium.Env[Any, Any], np.random.Generator], Expert] | None = None
    max_episode_steps: int
    success: Callable[[float, Mapping[str, Any]], bool]  # of the episode return and the last info
    success_source: str  # who says that this is success
    scores: Scores | None = None
    tags: frozenset[str] = frozenset()  # what it exercises: pixels, symbols, text, discrete, continuous, context
    action_names: tuple[str, ...] = ()  # of a Discrete action space, in order
    variants: tuple[Mapping[str, Any], ...] = ({},)
    follows: Callable[[Mapping[str, Any], Mapping[str, Any]], bool] | None = None  # (variant, last info): was it done?
    held_out_variants: tuple[Mapping[str, Any], ...] = ()


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
