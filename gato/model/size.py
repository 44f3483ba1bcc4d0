"""How large a configuration is: parameters by part, arithmetic a token and a patch, memory of a training step."""

import jax.numpy as jnp

from gato.config import ModelConfig, TokenizerConfig
from gato.model.patches import TILE

# The totals by which the paper names its sizes (table 5), by width. They hold one more width x inner matrix a layer
# than this model: the projection of Transformer-XL's relative positions, which rotary positions do without.
PUBLISHED_TOTALS = {768: 79_000_000, 1536: 364_000_000, 2048: 1_180_000_000}

_FLOAT32_BYTES = 4


def parameter_counts(config: ModelConfig, tokenizer: TokenizerConfig) -> dict[str, int]:
    """Parameters by part of the model; the token table is also the output head and counts once."""
    width, layers = config.width, config.num_layers
    return {
        "token table": tokenizer.vocab_size * width,
        "local positions": (tokenizer.local_position_size + 2) * width,
        "patch positions": 2 * tokenizer.patch_position_size * width,
        "patch stem": _stem_parameters(config, tokenizer),
        "attention": layers * _attention_matrices(config),
        "mlp": layers * _mlp_matrices(config),
        "norms": (2 * layers + 1) * 2 * width,
    }


def relative_position_parameters(config: ModelConfig) -> int:
    """What the published totals hold and this model does not: one width x inner matrix a layer."""
    return config.num_layers * config.width * config.num_heads * config.head_dim


def flops_per_token(
    config: ModelConfig, tokenizer: TokenizerConfig, context_length: int, *, target_share: float = 1.0
) -> int:
    """Floating-point operations of training on one token: 6 (N + s V D) + 6 n L I.

    N are the weights of the blocks' matrices, s is the share of tokens that are targets and so reach the head, n the
    number of layers, L the context length and I = heads x head size. Causal attention counts half of the full square.
    A multiply-add is two operations and the backward pass costs two forward ones; embedding look-ups, norms, the patch
    stem and what rematerialisation repeats are left out.

    Source: PaLM (Chowdhery et al., 2022), appendix B, with attention halved as in MaxText's documentation.
    """
    blocks = config.num_layers * (_attention_matrices(config) + _mlp_matrices(config))
    head = target_share * tokenizer.vocab_size * config.width
    attention = config.num_layers * context_length * config.num_heads * config.head_dim
    return round(6 * (blocks + head + attention))


def flops_per_patch(config: ModelConfig, tokenizer: TokenizerConfig) -> int:
    """Operations that the patch stem adds for one patch in training, three times a forward pass."""
    return 6 * sum(matrix * uses for matrix, uses in _stem_matrices(config, tokenizer))


def memory_bytes(
    config: ModelConfig, tokenizer: TokenizerConfig, batch_size: int, context_length: int
) -> dict[str, int]:
    """Estimate of what one training step keeps on one device, by kind.

    Parameters, gradients and the two moments of AdamW are exact float32 sizes. Activations count the arrays that the
    backward pass reads, by the rule of `config.remat`; buffers of the compiler and the patch stem are left out.
    """
    total = sum(parameter_counts(config, tokenizer).values())
    tokens = batch_size * context_length
    width, inner, mlp = config.width, config.num_heads * config.head_dim, config.mlp_width
    values_per_layer = {
        "none": 4 * width + 4 * inner + 2 * mlp,  # both norms' inputs and outputs; q, k, v and mix; GEGLU in and out
        "dots": 3 * width + 3 * inner + mlp,  # the block's input and the results of its four projections
        "full": width,  # the block's input
    }[config.remat]
    compute_bytes = jnp.dtype(config.compute_dtype).itemsize
    activations = tokens * compute_bytes * (config.num_layers * values_per_layer + 2 * width)
    logits = 2 * min(config.loss_chunk, tokens) * tokenizer.vocab_size * _FLOAT32_BYTES
    if config.attention == "xla":
        block = min(config.attention_block, context_length)
        scores = 2 * batch_size * config.num_heads * block * context_length * _FLOAT32_BYTES
    else:
        scores = 0
    return {
        "parameters": total * _FLOAT32_BYTES,
        "gradients": total * _FLOAT32_BYTES,
        "optimizer": 2 * total * _FLOAT32_BYTES,
        "activations": activations,
        "logits": logits,
        "attention scores": scores,
    }


def cache_bytes(config: ModelConfig, batch_size: int, num_slots: int) -> int:
    """Keys, values and positions of an acting cache."""
    inner = config.num_heads * config.head_dim
    compute_bytes = jnp.dtype(config.compute_dtype).itemsize
    return batch_size * num_slots * (2 * config.num_layers * inner * compute_bytes + 4)


def _attention_matrices(config: ModelConfig) -> int:
    return 4 * config.width * config.num_heads * config.head_dim


def _mlp_matrices(config: ModelConfig) -> int:
    return config.width * config.mlp_width + config.mlp_width // 2 * config.width


def _stem_matrices(config: ModelConfig, tokenizer: TokenizerConfig) -> list[tuple[int, int]]:
    """Weights of each matrix or convolution of the patch stem, and how often a patch uses them."""
    channels, side = config.patch_channels, tokenizer.patch_size
    if config.patch_stem == "tiles":
        tiles = (side // TILE) ** 2
        return [(TILE * TILE * 3 * channels, tiles), (tiles * channels * config.width, 1)]
    convolutions = [
        (9 * fan_in * fan_out, side**2) for fan_in, fan_out in ((3, channels), (channels, channels), (channels, 3))
    ]
    return [*convolutions, (side * side * 3 * config.width, 1)]


def _stem_parameters(config: ModelConfig, tokenizer: TokenizerConfig) -> int:
    norms = 0 if config.patch_stem == "tiles" else 4 * config.patch_channels
    return sum(matrix for matrix, _ in _stem_matrices(config, tokenizer)) + norms
