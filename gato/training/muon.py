"""Muon: matrices move along their orthogonalised momentum, everything else as AdamW moves it.

Which parameters: the matrices of the linear layers (`muon_mask`), each layer of a stack on its own. The token table,
which is also the output matrix, the position tables, the patch stem, norm gains and biases are left to AdamW with its
own betas: tables are looked up and not multiplied, and many batches of a mixture hold no image, where a momentum that
is brought to full size at every step would go on without a gradient.

Layers that are fused into one matrix are orthogonalised apart: queries, keys and values, and the two halves of the
GEGLU. Together, the part with the largest gradient would take most of the step, as the values take it from queries and
keys; apart, each moves by the same amount, as with AdamW. The price is an eighth more arithmetic in the iteration.

The scale: an orthogonal matrix of in x out has entries of RMS max(in, out) ** -0.5. Times max(in, out) ** 0.5 times
`muon_rms` every matrix moves by about that RMS times the rate, whatever its shape. AdamW's steps have an RMS of 0.2 to
0.4 of the rate, so 0.2 takes over AdamW's rate, schedule and weight decay.

Sources: Jordan et al. (2024), "Muon: An optimizer for hidden layers in neural networks": the iteration, five steps of
it, Nesterov momentum of 0.95, hidden matrices only, fused layers apart. Liu et al. (2025), "Muon is Scalable for LLM
Training", section 2.2: the RMS of 0.2 and weight decay.
"""

from typing import Any

import jax
import optax

from gato.config import OptimizerConfig
from gato.model.gato import Parameters, muon_mask

_FUSED = {"qkv": 3, "up": 2}  # layers whose columns are the columns of so many matrices, one after another
_LAST_TWO = optax.contrib.MuonDimensionNumbers(reduction_axis=-2, output_axis=-1)


def muon(config: OptimizerConfig, *, rest: optax.GradientTransformation) -> optax.GradientTransformation:
    """Builds the directions of Muon, without weight decay and rate. It keeps one momentum per number.

    Args:
        config: has the settings whose names begin with muon.
        rest: moves what Muon does not.
    """

    def labels(params: Parameters) -> Any:
        return jax.tree.map(lambda is_muon: "muon" if is_muon else "rest", muon_mask(params))

    return optax.partition({"muon": _orthogonalised(config), "rest": rest}, labels)


def _orthogonalised(config: OptimizerConfig) -> optax.GradientTransformation:
    inner = optax.contrib.scale_by_muon(
        beta=config.muon_momentum,
        ns_steps=config.muon_steps,
        weight_dimension_numbers=lambda updates: jax.tree.map(lambda _: _LAST_TWO, updates),
    )

    def scaled(x: jax.Array) -> jax.Array:
        return config.muon_rms * max(x.shape[-2:]) ** 0.5 * x

    def update(
        updates: Parameters, state: optax.contrib.MuonState, params: Parameters | None = None
    ) -> tuple[Parameters, optax.contrib.MuonState]:
        parts, state = inner.update(_apart(updates), state._replace(mu=_apart(state.mu)), params)
        return _fused(jax.tree.map(scaled, parts)), state._replace(mu=_fused(state.mu))

    return optax.GradientTransformation(inner.init, update)


def _apart(tree: Parameters) -> Parameters:
    """Turns fused matrices (..., in, parts x out) into (..., parts, in, out)."""

    def split(path: tuple[Any, ...], x: jax.Array) -> jax.Array:
        parts = _num_parts(path)
        return x if parts == 1 else x.reshape(*x.shape[:-1], parts, -1).swapaxes(-3, -2)

    return jax.tree.map_with_path(split, tree)


def _fused(tree: Parameters) -> Parameters:
    """Undoes `_apart`."""

    def join(path: tuple[Any, ...], x: jax.Array) -> jax.Array:
        if _num_parts(path) == 1:
            return x
        x = x.swapaxes(-3, -2)
        return x.reshape(*x.shape[:-2], -1)

    return jax.tree.map_with_path(join, tree)


def _num_parts(path: tuple[Any, ...]) -> int:
    return _FUSED.get(path[-2].key, 1)
