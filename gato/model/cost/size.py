"""Size of a configuration: parameters by part, arithmetic of a batch, memory of a training step."""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from gato.config import ModelConfig, OptimizerConfig, TokenizerConfig
from gato.model.gato import init_parameters, muon_mask
from gato.model.patches import TILE

# The totals by which the paper names its sizes (table 5), by width. They hold one more width x inner matrix per layer
# than this model: the projection of Transformer-XL's relative positions, which rotary positions do without.
PUBLISHED_TOTALS = {768: 79_000_000, 1536: 364_000_000, 2048: 1_180_000_000}

_FLOAT32_BYTES = 4
_ADAMW = OptimizerConfig()


@dataclass(frozen=True, kw_only=True)
class BatchCost:
    """What the network has to compute for a batch, without its padding."""

    tokens: float  # tokens, patches included
    attended: float  # pairs of a token and one that it sees, half of the square of each row's length
    targets: float  # tokens that carry loss, and so reach the head
    patches: float  # image patches
    grouped: float = 0.0  # tokens that may hold several numbers
    values: float = 0.0  # numbers in them
    actions: float = 0.0  # actions of one token that carry loss
    numbers: float = 0.0  # numbers of these actions
    legal_ids: float = 0.0  # ids that these numbers may have, all together


def parameter_counts(config: ModelConfig, tokenizer: TokenizerConfig) -> dict[str, int]:
    """Counts parameters by part of the model; the token table is also the output head and counts once."""
    width, layers = config.width, config.num_layers
    return {
        "token table": tokenizer.vocab_size * width,
        "local positions": (tokenizer.local_position_size + 2) * width,
        "patch positions": 2 * tokenizer.patch_position_size * width,
        "patch stem": _stem_parameters(config, tokenizer),
        **_group_parameters(config, tokenizer),
        "attention": layers * _attention_matrices(config),
        "mlp": layers * _mlp_matrices(config),
        "norms": (2 * layers + 1) * 2 * width,
    }


def relative_position_parameters(config: ModelConfig) -> int:
    """Counts what the published totals hold and this model does not: one width x inner matrix per layer."""
    return config.num_layers * config.width * config.num_heads * config.head_dim


def training_flops(config: ModelConfig, tokenizer: TokenizerConfig, cost: BatchCost) -> int:
    """Counts the floating-point operations of training on a batch that no implementation can do without.

    6 (e n W + a 2 n I + t V D) + p S, where e tokens pass n layers with W weights in their matrices, a pairs of
    tokens attend to each other over I = heads x head size, t targets are scored against V ids of width D, and p
    patches pass the stem at S operations each. A multiply-add is two operations, and the backward pass costs two
    forward ones. Padding counts nothing, causal attention counts only what a token sees, and what
    rematerialisation or attention in blocks computes again is left out, as are look-ups, norms, softmax and the
    optimizer. Where tokens hold several numbers, their layers and those of the action head are counted as they are
    used, and a number of an action is scored against its legal ids only.

    Source: PaLM (Chowdhery et al., 2022), appendix B, with attention halved as in MaxText's documentation.
    """
    matrices = config.num_layers * (_attention_matrices(config) + _mlp_matrices(config))
    attention = 2 * config.num_layers * config.num_heads * config.head_dim
    head = tokenizer.vocab_size * config.width
    blocks = 6 * (cost.tokens * matrices + cost.attended * attention + cost.targets * head)
    square, code = config.width**2, config.code_width
    groups = cost.values * code * config.group_width + cost.grouped * config.group_width * config.width
    previous = tokenizer.values_per_token * code * config.width if tokenizer.action_tokens == "decoded" else 0
    numbers = cost.actions * square + cost.numbers * (square + previous) + cost.legal_ids * config.width
    return round(blocks + 6 * (groups + numbers) + cost.patches * flops_per_patch(config, tokenizer))


def model_flops_utilization(flops: float, seconds: float, peak_flops: float) -> float:
    """Returns MFU, the fraction of the peak of chips that went into necessary work: flops / (seconds peak).

    Args:
        flops: of all the work that the chips did in that time, as `training_flops` counts it.
        peak_flops: operations per second of all these chips together, by their makers' tables: `gato.model.cost.chips`.

    Source: PaLM (Chowdhery et al., 2022), section 4.1.
    """
    return flops / (seconds * peak_flops)


def flops_per_token(
    config: ModelConfig, tokenizer: TokenizerConfig, context_length: int, *, target_fraction: float = 1.0
) -> int:
    """Counts the operations of training on one token of a full row of that length, as `training_flops` does."""
    cost = BatchCost(tokens=1, attended=context_length / 2, targets=target_fraction, patches=0)
    return training_flops(config, tokenizer, cost)


def flops_per_group(config: ModelConfig, tokenizer: TokenizerConfig) -> int:
    """Counts the operations that the group stem adds per token of as many numbers as it may hold, in training."""
    cost = BatchCost(tokens=0, attended=0, targets=0, patches=0, grouped=1, values=tokenizer.values_per_token)
    return training_flops(config, tokenizer, cost)


def flops_per_action(config: ModelConfig, tokenizer: TokenizerConfig, legal_ids: Sequence[int]) -> int:
    """Counts the operations that an action of one token adds in training, whose numbers have so many legal ids each."""
    nothing = BatchCost(tokens=0, attended=0, targets=0, patches=0)
    cost = dataclasses.replace(nothing, actions=1, numbers=len(legal_ids), legal_ids=sum(legal_ids))
    return training_flops(config, tokenizer, cost)


def flops_per_patch(config: ModelConfig, tokenizer: TokenizerConfig) -> int:
    """Counts the operations that the patch stem adds per patch in training, three times a forward pass."""
    return 6 * sum(matrix * uses for matrix, uses in _stem_matrices(config, tokenizer))


def memory_bytes(
    config: ModelConfig,
    tokenizer: TokenizerConfig,
    batch_size: int,
    context_length: int,
    *,
    max_patches: int = 0,
    optimizer: OptimizerConfig = _ADAMW,
) -> dict[str, int]:
    """Estimates what one training step keeps on one device, by kind.

    Parameters, gradients and moments are exact float32 sizes; AdamW has two moments per number, Muon one per number of
    its matrices. Activations are what differentiation keeps of every layer for the backward pass, and "one layer" is
    what it holds of the layer that it is in. A compiler that fuses well needs less, and its own buffers come on top.

    Args:
        max_patches: places for patches per row. All of them pass the stem, also those without a patch.
        optimizer: its kind decides how many moments there are.

    Where tokens hold several numbers, every token's codes pass their stem, also those without numbers.
    """
    total = sum(parameter_counts(config, tokenizer).values())
    single_moments = _muon_parameters(config, tokenizer) if optimizer.kind == "muon" else 0
    tokens = batch_size * context_length
    compute_bytes = jnp.dtype(config.compute_dtype).itemsize
    kept = _kept_bytes(config)
    activations = tokens * (config.num_layers * kept[config.remat] + 2 * config.width * compute_bytes)
    # The numbers' codes as they are looked up and as they are joined, and what lies between the stem's two matrices.
    group_bytes = 2 * tokenizer.values_per_token * config.code_width * _FLOAT32_BYTES
    group_bytes += 3 * config.group_width * compute_bytes
    logits = 2 * min(config.loss_chunk, tokens) * tokenizer.vocab_size * _FLOAT32_BYTES
    scores = 0
    if config.attention == "xla":
        block = min(config.attention_block, context_length)
        scores = 2 * batch_size * config.num_heads * block * context_length * _FLOAT32_BYTES
        if block == context_length and config.remat == "none":  # one block is not computed again
            scores *= config.num_layers
    return {
        "parameters": total * _FLOAT32_BYTES,
        "gradients": total * _FLOAT32_BYTES,
        "optimizer": (2 * total - single_moments) * _FLOAT32_BYTES,
        "activations": activations,
        "one layer": tokens * kept["none"],
        "logits": logits,
        "attention scores": scores,
        "patch stem": batch_size * max_patches * _stem_bytes(config, tokenizer),
        **({"group stem": tokens * group_bytes} if tokenizer.has_groups else {}),
    }


@functools.cache
def _muon_parameters(config: ModelConfig, tokenizer: TokenizerConfig) -> int:
    shapes = jax.eval_shape(lambda key: init_parameters(config, tokenizer, key), jax.random.key(0))
    pairs = zip(jax.tree.leaves(shapes), jax.tree.leaves(muon_mask(shapes)), strict=True)
    return sum(leaf.size for leaf, is_muon in pairs if is_muon)


def _kept_bytes(config: ModelConfig) -> dict[str, int]:
    """Estimates what the backward pass reads per token and layer, by the rule of `config.remat`.

    `none`: six float32 arrays of the width from the norms and two from the residual stream; five of the inner size
    (queries, keys and values, the mix, and the queries of the blocks of attention); four of the MLP's from the GEGLU.
    `dots`: the block's input and the results of its matrix products, but for the last one, which only adds.
    """
    width, inner, mlp = config.width, config.num_heads * config.head_dim, config.mlp_width
    compute_bytes = jnp.dtype(config.compute_dtype).itemsize
    return {
        "none": 6 * width * _FLOAT32_BYTES + (2 * width + 5 * inner + 4 * mlp) * compute_bytes,
        "dots": (2 * width + 3 * inner + mlp) * compute_bytes,
        "full": width * compute_bytes,
    }


def _stem_bytes(config: ModelConfig, tokenizer: TokenizerConfig) -> int:
    """Estimates what the backward pass keeps per patch: its pixels, and what lies between the stem's matrices."""
    channels, pixels = config.patch_channels, tokenizer.patch_size**2
    compute_bytes = jnp.dtype(config.compute_dtype).itemsize
    if config.patch_stem == "tiles":
        tiles = (tokenizer.patch_size // TILE) ** 2
        return (3 * pixels + 6 * tiles * channels) * compute_bytes
    # Norms in float32, GELUs as their derivative takes them apart, the corrected pixels.
    return pixels * channels * (4 * _FLOAT32_BYTES + 12 * compute_bytes) + 6 * pixels * compute_bytes


def cache_bytes(config: ModelConfig, batch_size: int, num_slots: int) -> int:
    """Returns the size of the keys, values and positions of an acting cache."""
    inner = config.num_heads * config.head_dim
    compute_bytes = jnp.dtype(config.compute_dtype).itemsize
    return batch_size * num_slots * (2 * config.num_layers * inner * compute_bytes + 4)


def _attention_matrices(config: ModelConfig) -> int:
    return 4 * config.width * config.num_heads * config.head_dim


def _mlp_matrices(config: ModelConfig) -> int:
    return config.width * config.mlp_width + config.mlp_width // 2 * config.width


def _stem_matrices(config: ModelConfig, tokenizer: TokenizerConfig) -> list[tuple[int, int]]:
    """Lists the weights of each matrix or convolution of the patch stem, and how often a patch uses them."""
    channels, side = config.patch_channels, tokenizer.patch_size
    if config.patch_stem == "tiles":
        tiles = (side // TILE) ** 2
        return [(TILE * TILE * 3 * channels, tiles), (tiles * channels * config.width, 1)]
    convolutions = [
        (9 * fan_in * fan_out, side**2) for fan_in, fan_out in ((3, channels), (channels, channels), (channels, 3))
    ]
    return [*convolutions, (side * side * 3 * config.width, 1)]


def _group_parameters(config: ModelConfig, tokenizer: TokenizerConfig) -> dict[str, int]:
    """Counts the parameters of tokens that hold several numbers, where there are any."""
    counts = {}
    joined = tokenizer.values_per_token * config.code_width
    if tokenizer.has_groups:
        counts["codes of numbers"] = tokenizer.padding_id * config.code_width
        counts["group stem"] = (joined + config.width) * config.group_width
    if tokenizer.has_action_groups:
        previous = joined * config.width if tokenizer.action_tokens == "decoded" else 0
        counts["action head"] = 2 * config.width**2 + tokenizer.values_per_token * config.width + previous
    return counts


def _stem_parameters(config: ModelConfig, tokenizer: TokenizerConfig) -> int:
    norms = 0 if config.patch_stem == "tiles" else 4 * config.patch_channels
    return sum(matrix for matrix, _ in _stem_matrices(config, tokenizer)) + norms
