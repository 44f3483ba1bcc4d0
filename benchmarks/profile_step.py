"""Where a training step's time goes: its parts timed alone, forward and backward, beside the whole step.

    taskset -c 0 python benchmarks/profile_step.py --task halfcheetah-like

Every round times each part once, so that whatever else the machine does falls on all of them. A part's arithmetic is
what no implementation can do without (`gato.model.cost.size.training_flops`), and is set against the rate of a large
matrix product in the same round. What is computed more than once, or for padding, so shows as a lower rate.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import body
import jax
import jax.numpy as jnp
import numpy as np
import ours
from flax import nnx
from timing import time_call
from train_speed import make_training_batch, make_training_call

from gato.config import ModelConfig, OptimizerConfig
from gato.model.attention import Attention, causal_attention
from gato.model.cost.size import BatchCost, flops_per_patch, training_flops
from gato.model.embedding import Embedding
from gato.model.gato import init_parameters, rebuild
from gato.model.loss import loss
from gato.model.rotary import rotation_of
from gato.model.transformer import GatedMLP
from gato.training.optimizer import make_optimizer

_PEAK_SIDE = 1024  # of the square matrices whose product sets the pace
_PEAK = "matrix product"
_WHOLE = "whole step"


@dataclass(frozen=True, kw_only=True)
class Part:
    """Something to time."""

    name: str
    call: Callable[[], Any]
    uses: int = 1  # in one step
    flops: float = 0  # of one use; 0 where counting says nothing
    inside: bool = False  # of the part before it, so that it does not count twice
    cpu_ms: list[float] = field(default_factory=list)  # of one use, round by round

    @property
    def step_ms(self) -> float:
        return self.uses * median(self.cpu_ms)


def both_ways(function: Callable, *inputs: Any) -> Callable[[], Any]:  # Any: any pytrees of arrays
    """A call of a function and of its backward pass to all inputs, jitted."""
    outputs = jax.eval_shape(function, *inputs)
    cotangents = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, leaf.dtype), outputs)

    @jax.jit
    def run(cotangents: Any, *inputs: Any) -> Any:
        outputs, pull_back = jax.vjp(function, *inputs)
        return outputs, pull_back(cotangents)

    return lambda: jax.block_until_ready(run(cotangents, *inputs))


def module_both_ways(module: nnx.Module, x: jax.Array, *others: Any) -> Callable[[], Any]:
    """Likewise of a module, to its parameters and its first input."""
    graphdef, state = nnx.split(module)
    return both_ways(lambda state, x: nnx.merge(graphdef, state)(x, *others), state, x)


def matrix_flops(module: nnx.Module, tokens: int) -> int:
    """Of a module's matrices in training: six operations a weight and token."""
    return 6 * tokens * sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param)) if leaf.ndim == 2)


def make_parts(task: body.Task, config: ModelConfig) -> list[Part]:
    """The large matrix product, the whole step, then its parts in the order of the forward pass."""
    tokenizer, optimizer = ours.TOKENIZER, OptimizerConfig()
    host_batch = make_training_batch(task, body.ROWS)
    batch = jax.device_put(host_batch)
    lengths = np.asarray(host_batch.lengths)
    cost = BatchCost(
        tokens=int(lengths.sum()),
        attended=float((lengths**2).sum() / 2),
        targets=int(host_batch.loss_mask.sum()),
        patches=int((host_batch.patch_indices < body.CONTEXT_LENGTH).sum()),
    )
    x_BLD = jax.random.normal(jax.random.key(0), (body.ROWS, body.CONTEXT_LENGTH, config.width))
    shape = (body.ROWS, body.CONTEXT_LENGTH, 3, config.num_heads, config.head_dim)
    qkv_BL3HK = jax.random.normal(jax.random.key(1), shape)
    rotation = rotation_of(jnp.arange(body.CONTEXT_LENGTH)[None], config.head_dim, config.rotary_base)
    params = init_parameters(config, tokenizer, jax.random.key(2))
    attention, mlp = Attention(config, rngs=nnx.Rngs(3)), GatedMLP(config, rngs=nnx.Rngs(4))
    norm = nnx.LayerNorm(config.width, rngs=nnx.Rngs(5))
    embedding = Embedding(config, tokenizer, rngs=nnx.Rngs(6))
    graphdef, embedding_state = nnx.split(embedding)
    pair_flops = training_flops(config, tokenizer, BatchCost(tokens=0, attended=cost.attended, targets=0, patches=0))
    mix_flops = pair_flops / config.num_layers

    def score(table_VD: jax.Array, hidden_BLD: jax.Array) -> jax.Array:
        with_table = {**params, "embedding": {**params["embedding"], "tokens": table_VD}}
        return loss(rebuild(config, tokenizer, with_table), hidden_BLD, batch, 1)[0]

    update = jax.jit(make_optimizer(optimizer).update)
    moments = make_optimizer(optimizer).init(params)
    square = jax.random.normal(jax.random.key(7), (_PEAK_SIDE, _PEAK_SIDE))
    product = jax.jit(jnp.matmul)
    return [
        Part(name=_PEAK, call=lambda: product(square, square).block_until_ready(), flops=2 * _PEAK_SIDE**3),
        Part(name=_WHOLE, call=make_training_call(batch, config), flops=training_flops(config, tokenizer, cost)),
        Part(
            name="embedding",
            call=both_ways(lambda state: nnx.merge(graphdef, state)(batch, key=jax.random.key(8)), embedding_state),
            flops=cost.patches * flops_per_patch(config, tokenizer),
        ),
        Part(name="norms", call=module_both_ways(norm, x_BLD), uses=2 * config.num_layers + 1),
        Part(
            name="attention",
            call=module_both_ways(attention, x_BLD, rotation),
            uses=config.num_layers,
            flops=matrix_flops(attention, cost.tokens) + mix_flops,
        ),
        Part(
            name="its rotation, scores, softmax and mix",
            call=both_ways(lambda qkv: causal_attention(qkv, rotation, block=config.attention_block), qkv_BL3HK),
            uses=config.num_layers,
            flops=mix_flops,
            inside=True,
        ),
        Part(
            name="MLP",
            call=module_both_ways(mlp, x_BLD),
            uses=config.num_layers,
            flops=matrix_flops(mlp, cost.tokens),
        ),
        Part(
            name="head and loss",
            call=both_ways(score, params["embedding"]["tokens"], x_BLD),
            flops=training_flops(config, tokenizer, BatchCost(tokens=0, attended=0, targets=cost.targets, patches=0)),
        ),
        Part(name="clipping and AdamW", call=lambda: jax.block_until_ready(update(params, moments, params))),
    ]


def table(parts: list[Part]) -> str:
    """Markdown; the rest is what the whole step takes beyond its parts, or saves by doing them together."""
    peak, whole, *inner = parts
    peak_rate = peak.flops / median(peak.cpu_ms)
    columns = ["part", "uses", "CPU-ms a step", "share", "GFLOP", "GFLOP/s", "of a large product's rate"]
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for part in (*inner, whole):
        cells = [part.name, str(part.uses), f"{part.step_ms:,.0f}", f"{part.step_ms / whole.step_ms:.0%}"]
        if part.flops:
            rate = part.uses * part.flops / part.step_ms
            cells += [f"{part.uses * part.flops / 1e9:.1f}", f"{rate / 1e6:.0f}", f"{rate / peak_rate:.0%}"]
        else:
            cells += ["", "", ""]
        lines.append(f"| {' | '.join(cells)} |")
    rest = whole.step_ms - sum(part.step_ms for part in inner if not part.inside)
    lines.insert(-1, f"| rest | | {rest:,.0f} | {rest / whole.step_ms:.0%} | | | |")
    return "\n".join(lines)


def main() -> None:
    """Prints the table of one task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=body.TASKS, default="halfcheetah-like")
    parser.add_argument("--stem", choices=ours.PATCH_STEMS, default="tiles", help="of pictures")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    parts = make_parts(body.TASKS[options.task], ours.PATCH_STEMS[options.stem])
    for part in parts:
        part.call()  # compiles
    for _ in range(options.rounds):
        for part in parts:
            part.cpu_ms.append(time_call(part.call).cpu_ms)
    peak = parts[0]
    print(f"{options.task}; a product of {_PEAK_SIDE} x {_PEAK_SIDE} matrices runs at ", end="")
    print(f"{peak.flops / median(peak.cpu_ms) / 1e6:.0f} GFLOP/s\n\n{table(parts)}")


if __name__ == "__main__":
    main()
