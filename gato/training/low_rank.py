"""Matrices that are trained by low-rank products only (LoRA): an optimizer of two thin factors per matrix.

A matrix W of shape (in, out) becomes W + alpha / rank * A B, with A of (in, rank) and B of (rank, out). A starts
random and B at zero, so the first step starts from W itself. The factors and their moments live in the optimizer's
state, and every step adds the change of the product to the matrix. So the parameters are plain weights at any time, as
an agent loads them, and what a checkpoint keeps for resuming holds the factors.

The chain rule gives the factors' gradients from that of the matrix: dA = alpha / rank * dW B^T and
dB = alpha / rank * A^T dW.
Source: LoRA (Hu et al., 2021), section 4.1.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

Matrices = dict[str, Any]  # nested dicts of arrays (..., in, out); leading axes count matrices


class Factors(NamedTuple):
    """The factors of one stack of matrices."""

    a: jax.Array  # (..., in, rank)
    b: jax.Array  # (..., rank, out)


class LowRankState(NamedTuple):
    """The state of `low_rank`."""

    factors: Any  # a tree like the matrices, of Factors
    inner: optax.OptState  # of the factors


def low_rank(
    inner: optax.GradientTransformation, *, rank: int, alpha: float, seed: int
) -> optax.GradientTransformation:
    """Builds an optimizer of matrices that updates their factors with another optimizer.

    Args:
        inner: of the factors.
        rank: at most the smaller side of any matrix.
        alpha: over rank, the scale of the products.
        seed: of the first factors.
    """
    scale = alpha / rank

    def init(params: Matrices) -> LowRankState:
        leaves, treedef = jax.tree.flatten(params)
        keys = jax.random.split(jax.random.key(seed), len(leaves))
        factors = jax.tree.unflatten(
            treedef, [_first_factors(leaf, rank, key) for leaf, key in zip(leaves, keys, strict=True)]
        )
        return LowRankState(factors=factors, inner=inner.init(factors))

    def update(updates: Matrices, state: LowRankState, params: Matrices | None = None) -> tuple[Matrices, LowRankState]:
        def gradients(gradient: jax.Array, factors: Factors) -> Factors:
            return Factors(a=scale * _product(gradient, factors.b.mT), b=scale * _product(factors.a.mT, gradient))

        def change(before: Factors, by: Factors) -> jax.Array:
            # (A + a) (B + b) - A B without the difference of two large products.
            return scale * (_product(by.a, before.b + by.b) + _product(before.a, by.b))

        grads = jax.tree.map(gradients, updates, state.factors)
        moved, inner_state = inner.update(grads, state.inner, state.factors)
        changes = jax.tree.map(change, state.factors, moved, is_leaf=lambda node: isinstance(node, Factors))
        return changes, LowRankState(factors=optax.apply_updates(state.factors, moved), inner=inner_state)

    return optax.GradientTransformation(init, update)


def _first_factors(matrix: jax.Array, rank: int, key: jax.Array) -> Factors:
    *stack, num_in, num_out = matrix.shape
    if rank > min(num_in, num_out):
        raise ValueError(
            f"optimizer.lora_rank is {rank}, more than the smaller side of a matrix of {num_in} x {num_out}: lower it"
        )
    a = num_in**-0.5 * jax.random.normal(key, (*stack, num_in, rank), jnp.float32)
    return Factors(a=a, b=jnp.zeros((*stack, rank, num_out), jnp.float32))


def _product(left: jax.Array, right: jax.Array) -> jax.Array:
    return jnp.matmul(left, right, precision="highest")
