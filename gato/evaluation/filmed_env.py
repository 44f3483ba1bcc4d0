"""An environment that draws itself at some of its steps, small, so that the film of a long episode fits into memory."""

from collections.abc import Collection
from typing import Any

import gymnasium as gym
import numpy as np
from PIL import Image


class FilmedEnv(gym.Wrapper):
    """Keeps the frames of the episode under way, or of the last one."""

    def __init__(self, env: gym.Env, steps: Collection[int], max_width: int) -> None:
        """Draws nothing before an episode begins.

        Args:
            env: made with render_mode "rgb_array".
            steps: after how many steps it is drawn; after the last one it always is.
            max_width: pixels; wider frames are made smaller.
        """
        super().__init__(env)
        self._steps, self._max_width = frozenset(steps), max_width
        self._step = 0
        self.frames: dict[int, np.ndarray] = {}  # (height, width, 3) uint8, by the number of steps before

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        begun = super().reset(seed=seed, options=options)
        self._step = 0
        self.frames = {}
        self._draw(last=False)
        return begun

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = super().step(action)
        self._step += 1
        self._draw(last=terminated or truncated)
        return observation, reward, terminated, truncated, info

    def _draw(self, *, last: bool) -> None:
        """Raises ValueError where the environment returns no RGB array."""
        if not last and self._step not in self._steps:
            return
        frame: Any = self.env.render()
        if not isinstance(frame, np.ndarray) or frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            came = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
            raise ValueError(f"render() returned {came}, expected uint8 (height, width, 3)")
        if frame.shape[1] > self._max_width:
            size = self._max_width, max(1, round(frame.shape[0] * self._max_width / frame.shape[1]))
            self.frames[self._step] = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX))
        else:
            self.frames[self._step] = frame.copy()
