"""Gato at the size of `body`, and timesteps of its tasks as Gymnasium spaces and random episodes."""

import dataclasses
import math
from importlib.metadata import version
from typing import Any

import body
import jax
import numpy as np
from gymnasium import spaces

from gato.config import ModelConfig, TokenizerConfig
from gato.model.gato import Parameters

TOKENIZER = TokenizerConfig()
MODEL = ModelConfig(
    width=body.WIDTH,
    num_layers=body.NUM_LAYERS,
    num_heads=body.NUM_HEADS,
    head_dim=body.WIDTH // body.NUM_HEADS,
    mlp_width=1376,  # as many parameters in the blocks as GPT-2's two matrices of 1,024
    stochastic_depth=0.0,  # the other side drops nothing either
)
assert TOKENIZER.vocab_size == body.VOCAB_SIZE

PATCH_STEMS = {"residual": MODEL, "tiles": dataclasses.replace(MODEL, patch_stem="tiles", patch_channels=64)}


def task_spaces(task: body.Task) -> tuple[spaces.Space, spaces.Space]:
    """Observation and action space."""
    if task.picture_side:
        observation: spaces.Space = spaces.Box(0, 255, (task.picture_side, task.picture_side, 3), np.uint8)
    elif task.action_tokens > 1:
        observation = spaces.Box(-np.inf, np.inf, (task.observation_tokens,), np.float32)
    else:
        observation = spaces.MultiDiscrete([11] * task.observation_tokens)
    if task.action_tokens > 1:
        return observation, spaces.Box(-1, 1, (task.action_tokens,), np.float32)
    return observation, spaces.Discrete(task.action_values)


def random_members(space: spaces.Space, count: int) -> np.ndarray:
    """Batched over time; the same at every call."""
    space.seed(0)
    return np.stack([space.sample() for _ in range(count)])


def count_parameters(params: Parameters) -> dict[str, int]:
    """In all, and in the blocks of the Transformer."""

    def count(tree: Any) -> int:  # Any: any part of the nested dicts
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))

    return {"all": count(params), "blocks": count(params["transformer"]["blocks"])}


def versions() -> dict[str, str]:
    """Of what decides the speed."""
    return {name: version(name) for name in ("jax", "jaxlib", "flax", "optax", "numpy")}
