"""Which parameters are trained: named parts of the network, the last blocks of the transformer, or some matrices.

A frozen parameter has no place in the optimizer's state and keeps its value to the bit. The trainable part is a tree
like that of the parameters, without the frozen leaves. The blocks' parameters are stacked along a leading layer axis;
where only the last blocks are trained, the part holds the last entries of that axis.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import traverse_util

from gato.batch import Batch
from gato.config import OptimizerConfig
from gato.model.gato import Parameters
from gato.model.loss import LossSums
from gato.training.step import LossFunction

_BLOCKS = ("transformer", "blocks")


def is_fully_trained(config: OptimizerConfig) -> bool:
    """Returns whether no parameter is frozen."""
    return config.lora_rank == 0 and config.last_layers == 0 and {"embedding", "transformer"} <= set(config.trained)


def select(params: Parameters, config: OptimizerConfig) -> Parameters:
    """Returns the trainable part; with a `lora_rank` the matrices that are trained by low-rank products.

    Args:
        params: of the whole network, or a tree of the same structure such as its gradients.
        config: names the part.

    Raises:
        ValueError: nothing is trained, or there are fewer blocks than `last_layers`.
    """
    part = {}
    for names, leaf in traverse_util.flatten_dict(params).items():
        if (count := _num_trainable(names, leaf, config)) != 0:
            part[names] = leaf if count is None else leaf[-count:]
    if not part:
        raise ValueError(
            f"none of the parameters {sorted(params)} is trained: check optimizer.trained {config.trained}"
        )
    return traverse_util.unflatten_dict(part)


def scatter(part: Parameters, like: Parameters) -> Parameters:
    """Returns a tree of the structure and shapes of `like`: the part's leaves in their places, zeros elsewhere."""
    moved = traverse_util.flatten_dict(part)

    def fill(names: tuple[str, ...], leaf: jax.Array) -> jax.Array:
        if names not in moved or moved[names].shape == leaf.shape:
            return moved.get(names, jnp.zeros_like(leaf))
        return jnp.concatenate([jnp.zeros_like(leaf[: -len(moved[names])]), moved[names]])

    return traverse_util.path_aware_map(fill, like)


def restrict(inner: optax.GradientTransformation, config: OptimizerConfig) -> optax.GradientTransformation:
    """Restricts an optimizer to the trainable part; all else gets updates of zero."""

    def init(params: Parameters) -> optax.OptState:
        return inner.init(select(params, config))

    def update(
        updates: Parameters, state: optax.OptState, params: Parameters | None = None
    ) -> tuple[Parameters, optax.OptState]:
        part = None if params is None else select(params, config)
        moved, state = inner.update(select(updates, config), state, part)
        return scatter(moved, updates), state

    return optax.GradientTransformation(init, update)


def freeze(loss_function: LossFunction, config: OptimizerConfig) -> LossFunction:
    """Returns the same loss with a gradient of zero for frozen parameters.

    So the norm of a gradient is that of the trainable part, and there is no backward pass for the rest.
    """
    if is_fully_trained(config):
        return loss_function

    def hold(names: tuple[str, ...], leaf: jax.Array) -> jax.Array:
        count = _num_trainable(names, leaf, config)
        if count is None:
            return leaf
        still = jax.lax.stop_gradient(leaf[: len(leaf) - count])
        return jnp.concatenate([still, leaf[-count:]]) if count else still

    def function(params: Parameters, batch: Batch, key: jax.Array | None) -> tuple[jax.Array, LossSums]:
        return loss_function(traverse_util.path_aware_map(hold, params), batch, key)

    return function


def num_trainable(params: Parameters, config: OptimizerConfig) -> int:
    """Counts the numbers that are trained; with a `lora_rank` those of the factors of the products."""
    leaves = jax.tree.leaves(select(params, config))
    if config.lora_rank:
        return sum(config.lora_rank * (leaf.size // leaf.shape[-1] + leaf.size // leaf.shape[-2]) for leaf in leaves)
    return sum(leaf.size for leaf in leaves)


def _num_trainable(names: tuple[str, ...], leaf: Any, config: OptimizerConfig) -> int | None:
    """Counts the last entries of a leaf's first axis that are trained; None for all of the leaf."""
    in_blocks = names[:2] == _BLOCKS
    if config.lora_rank:
        return None if in_blocks and names[-1] == "kernel" and names[-2] in config.lora_matrices else 0
    if "norms" in config.trained and names[-1] in ("scale", "bias"):
        return None
    if names[0] not in config.trained:
        return 0
    if not in_blocks or config.last_layers == 0:
        return None
    if config.last_layers > len(leaf):
        raise ValueError(f"optimizer.last_layers is {config.last_layers}, but the network has {len(leaf)} blocks")
    return None if config.last_layers == len(leaf) else config.last_layers
