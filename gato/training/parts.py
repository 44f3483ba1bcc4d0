"""Which parameters move: named parts of the network, the last blocks of the transformer, or some of its matrices.

What does not move has no place in the optimizer's state, and keeps its value to the bit. A part is a tree like that of
the parameters, without the leaves that stay. The blocks' parameters are stacked along a leading layer axis; where only
the last blocks move, a part holds the last entries of that axis.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from gato.batch import Batch
from gato.config import OptimizerConfig
from gato.model.gato import Parameters
from gato.model.loss import LossSums
from gato.training.step import LossFunction

_BLOCKS = ["transformer", "blocks"]


def moves_all(config: OptimizerConfig) -> bool:
    """Whether no parameter is kept from moving."""
    return config.lora_rank == 0 and config.last_layers == 0 and {"embedding", "transformer"} <= set(config.trained)


def chosen(params: Parameters, config: OptimizerConfig) -> Parameters:
    """The part that moves; with a `lora_rank` the matrices that move by low-rank products.

    Args:
        params: of the whole network, or a tree of the same structure such as its gradients.
        config: names the part.

    Raises:
        ValueError: nothing moves, or there are fewer blocks than `last_layers`.
    """
    part: Parameters = {}
    for path, leaf in jax.tree.leaves_with_path(params):
        names = _names(path)
        if (count := _num_moving(names, leaf, config)) == 0:
            continue
        place = part
        for name in names[:-1]:
            place = place.setdefault(name, {})
        place[names[-1]] = leaf if count is None else leaf[-count:]
    if not part:
        raise ValueError(f"none of the parameters {sorted(params)} moves: check optimizer.trained {config.trained}")
    return part


def spread(part: Parameters, like: Parameters) -> Parameters:
    """A tree of the structure and shapes of `like`: what the part holds at its place, zeros elsewhere."""

    def fill(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
        found: Any = part
        for name in _names(path):
            if name not in found:
                return jnp.zeros_like(leaf)
            found = found[name]
        if found.shape == leaf.shape:
            return found
        return jnp.concatenate([jnp.zeros_like(leaf[: -len(found)]), found])

    return jax.tree.map_with_path(fill, like)


def on_part(inner: optax.GradientTransformation, config: OptimizerConfig) -> optax.GradientTransformation:
    """An optimizer that sees and moves the chosen part only; all else gets updates of zero."""

    def init(params: Parameters) -> optax.OptState:
        return inner.init(chosen(params, config))

    def update(
        updates: Parameters, state: optax.OptState, params: Parameters | None = None
    ) -> tuple[Parameters, optax.OptState]:
        part = None if params is None else chosen(params, config)
        moved, state = inner.update(chosen(updates, config), state, part)
        return spread(moved, updates), state

    return optax.GradientTransformation(init, update)


def only_moving(loss_function: LossFunction, config: OptimizerConfig) -> LossFunction:
    """The same loss, whose gradient is zero for what does not move.

    So the norm of a gradient is that of what moves, and no backward pass is made for the rest.
    """
    if moves_all(config):
        return loss_function

    def hold(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
        count = _num_moving(_names(path), leaf, config)
        if count is None:
            return leaf
        still = jax.lax.stop_gradient(leaf[: len(leaf) - count])
        return jnp.concatenate([still, leaf[-count:]]) if count else still

    def function(params: Parameters, batch: Batch, key: jax.Array | None) -> tuple[jax.Array, LossSums]:
        return loss_function(jax.tree.map_with_path(hold, params), batch, key)

    return function


def num_moving(params: Parameters, config: OptimizerConfig) -> int:
    """How many numbers are trained; with a `lora_rank` those of the factors of the products."""
    leaves = jax.tree.leaves(chosen(params, config))
    if config.lora_rank:
        return sum(config.lora_rank * (leaf.size // leaf.shape[-1] + leaf.size // leaf.shape[-2]) for leaf in leaves)
    return sum(leaf.size for leaf in leaves)


def _num_moving(names: list[str], leaf: Any, config: OptimizerConfig) -> int | None:
    """How many of the last entries of a leaf's first axis move; None for all of the leaf."""
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


def _names(path: tuple[Any, ...]) -> list[str]:
    return [entry.key for entry in path]
