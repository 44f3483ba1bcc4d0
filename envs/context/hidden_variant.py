"""What the environments of the suite share: which variant an episode asks for shows nowhere but in its last info."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np

# Observations and actions are whatever the spaces of the wrapped environment say, hence `Any`.


class HiddenVariant(gymnasium.Wrapper[Any, Any, Any, Any], ABC):
    """An environment that asks for one of several variants and tells nothing of which.

    The reset options are a variant; without any, one is drawn. The start of an episode depends on the seed alone.
    Infos are empty but for the last one, which holds `success` and what else `outcome` tells of the episode.
    """

    # Of the reset options: each variant has all of these.
    option_names: ClassVar[tuple[str, ...]]

    def __init__(self, env: gymnasium.Env[Any, Any], variants: Sequence[Mapping[str, Any]]) -> None:
        """Hides the variants in `env`; those given here are drawn from where `reset` names none."""
        super().__init__(env)
        self.variant: Mapping[str, Any] = variants[0]
        self._variants = variants
        self._rng = np.random.default_rng()

    @abstractmethod
    def begin(self, seed: int | None) -> Any:
        """Starts an episode of `self.variant`; the first observation, which may not depend on it."""

    @abstractmethod
    def advance(self, action: Any) -> tuple[Any, float, bool, bool]:
        """(observation, reward, terminated, truncated) of one step."""

    @abstractmethod
    def outcome(self) -> dict[str, Any]:
        """What the episode that has just ended came to: `success`, and what tells which variant it would suit."""

    def check(self, variant: Mapping[str, Any]) -> None:
        """Raises ValueError where the values of a variant make no sense; its names are checked already."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts an episode.

        Raises:
            ValueError: the options are no variant.
        """
        if seed is not None:
            # A stream of its own (gato.seeds lists all of them): a drawn variant changes nothing of what the
            # environment draws, nor of the noise of a rollout.
            self._rng = np.random.default_rng([seed, 4])
        drawn = self._variants[int(self._rng.integers(len(self._variants)))]
        variant = options or drawn
        if set(variant) != set(self.option_names):
            raise ValueError(f"reset options are {sorted(variant)}, expected {sorted(self.option_names)}, or none")
        self.check(variant)
        self.variant = variant
        return self.begin(seed), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated = self.advance(action)
        over = terminated or truncated
        return observation, float(reward), terminated, truncated, self.outcome() if over else {}


def succeeded(episode_return: float, info: Mapping[str, Any]) -> bool:
    """What the last info of an episode says; before it, nothing is known."""
    return bool(info.get("success", False))
