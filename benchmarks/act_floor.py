"""What an acting step costs at least on this device: every pass has to read the weights and the cache, and to multiply.

How fast the device reads and multiplies is measured in the same process, at the sizes in question: a matrix-vector
product over as many bytes as a pass reads, which may lie in a cache of the processor, and one product of two large
matrices.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import body
import jax
import jax.numpy as jnp
from timing import time_calls

from gato.config import ModelConfig, TokenizerConfig
from gato.model.cost.size import BatchCost, cache_bytes, parameter_counts, training_flops

_COLUMNS = 1024
_SIDES = {"cpu": 1024, "gpu": 8192}  # of the matrices whose product is timed
_CALLS = 10  # that are timed together


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One call of the network for all environments."""

    num_bytes: int  # read: matrices of the layers, legal rows of the head, visible keys and values
    num_flops: float  # matrix products and attention


def passes_of(
    task: body.Task, model: ModelConfig, tokenizer: TokenizerConfig, *, num_envs: int, visible: int
) -> list[Pass]:
    """The passes of one environment step: the observation, then all but the last action token.

    Args:
        visible: tokens in sight, those of the step included.
    """
    itemsize = jnp.dtype(model.compute_dtype).itemsize
    counts = parameter_counts(model, tokenizer)
    head = task.action_values * model.width
    num_bytes = itemsize * (counts["attention"] + counts["mlp"] + head) + cache_bytes(model, num_envs, visible)
    # Token by token, the last action token of the step before goes in with the observation.
    one_by_one = [task.observation_tokens + 2] + [1] * (task.action_tokens - 1)
    sizes = [task.tokens] if tokenizer.action_tokens == "parallel" else one_by_one
    num_patches = task.observation_tokens if task.picture_side else 0
    # Only tokens that predict an action token need more of the last layer than its keys and values.
    predicting = task.action_tokens if tokenizer.action_tokens == "parallel" else 1
    earlier, last = (dataclasses.replace(model, num_layers=count) for count in (model.num_layers - 1, 1))
    keys_and_values = counts["attention"] // model.num_layers // 2
    passes = []
    for number, size in enumerate(sizes):
        patches = num_patches if number == 0 else 0
        num_flops = (
            training_flops(earlier, tokenizer, _seeing(visible, tokens=size, patches=patches)) / 3
            + training_flops(last, tokenizer, _seeing(visible, tokens=predicting)) / 3
            + 2 * (size - predicting) * keys_and_values
            + 2 * predicting * head
        )
        passes.append(Pass(num_bytes=num_bytes, num_flops=num_envs * num_flops))
    return passes


def _seeing(visible: int, *, tokens: int, patches: int = 0) -> BatchCost:
    """Tokens that each attend to all that is in sight."""
    return BatchCost(tokens=tokens, attended=tokens * visible, targets=0, patches=patches)


def floor_ms(passes: list[Pass], dtype: str) -> float:
    """Milliseconds that these passes take at the rates of this device; each is bound by reading or by arithmetic."""
    flops_a_ms = _flops_a_ms(dtype)
    rates = {num_bytes: _bytes_a_ms(num_bytes, dtype) for num_bytes in {each.num_bytes for each in passes}}
    return sum(max(each.num_bytes / rates[each.num_bytes], each.num_flops / flops_a_ms) for each in passes)


def _bytes_a_ms(num_bytes: int, dtype: str) -> float:
    rows = num_bytes // (_COLUMNS * jnp.dtype(dtype).itemsize)
    matrix, vector = jnp.ones((rows, _COLUMNS), dtype), jnp.ones(_COLUMNS, dtype)
    product = jax.jit(jnp.matmul)
    return num_bytes / _best_ms(lambda: product(matrix, vector))


def _flops_a_ms(dtype: str) -> float:
    side = _SIDES["cpu" if jax.default_backend() == "cpu" else "gpu"]
    matrix = jnp.ones((side, side), dtype)
    product = jax.jit(jnp.matmul)
    return 2 * side**3 / _best_ms(lambda: product(matrix, matrix))


def _best_ms(call: Callable[[], jax.Array]) -> float:
    """Time of one of several calls that do not wait for one another, so that starting them does not count."""
    timings = time_calls(lambda: jax.block_until_ready([call() for _ in range(_CALLS)]), warmup=1, repeats=5)
    return min(timing.wall_ms for timing in timings) / _CALLS
