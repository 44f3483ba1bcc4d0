import math

import jax
import pytest

from gato.config import ModelConfig, TokenizerConfig
from gato.model.gato import init_parameters, rebuild
from gato.model.loss import loss
from gato.model.size import (
    PUBLISHED_TOTALS,
    cache_bytes,
    flops_per_patch,
    flops_per_token,
    memory_bytes,
    parameter_counts,
    relative_position_parameters,
)

SIZES = {
    "79M": ModelConfig(),
    "364M": ModelConfig(width=1536, num_layers=12, num_heads=12, head_dim=128, mlp_width=6144),
    "1.18B": ModelConfig(width=2048, num_layers=24, num_heads=16, head_dim=128, mlp_width=8192),
}


def _real_total(config: ModelConfig, tokenizer: TokenizerConfig) -> int:
    shapes = jax.eval_shape(lambda key: init_parameters(config, tokenizer, key), jax.random.key(0))
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))


def test_the_papers_smallest_model_by_hand():
    assert parameter_counts(ModelConfig(), TokenizerConfig()) == {
        "token table": 34_050 * 768,
        "local positions": 514 * 768,
        "patch positions": 2 * 128 * 768,
        "patch stem": 3 * 3 * (3 * 32 + 32 * 32 + 32 * 3) + 2 * 2 * 32 + 768 * 768,
        "attention": 8 * 4 * 768 * 768,
        "mlp": 8 * (768 * 3072 + 1536 * 768),
        "norms": 17 * 2 * 768,
    }


@pytest.mark.parametrize("size", SIZES)
def test_counts_are_those_of_the_real_model(size):
    config, tokenizer = SIZES[size], TokenizerConfig()
    assert sum(parameter_counts(config, tokenizer).values()) == _real_total(config, tokenizer)


def test_counts_of_the_tile_stem_are_those_of_the_real_model(model_config, tokenizer):
    assert sum(parameter_counts(model_config(), tokenizer).values()) == _real_total(model_config(), tokenizer)


@pytest.mark.parametrize("size", SIZES)
def test_with_relative_positions_the_totals_would_be_the_published_ones(size):
    config = SIZES[size]
    total = sum(parameter_counts(config, TokenizerConfig()).values()) + relative_position_parameters(config)
    assert abs(total / PUBLISHED_TOTALS[config.width] - 1) < 0.01


def test_flops_of_a_small_model_by_hand():
    config = ModelConfig(width=4, num_layers=2, num_heads=1, head_dim=4, mlp_width=8, patch_groups=32)
    tokenizer = TokenizerConfig(text_vocab_size=260, num_bins=2, num_discrete=2)
    blocks, head, attention = 2 * (4 * 16 + 32 + 16), 266 * 4, 2 * 10 * 4
    assert flops_per_token(config, tokenizer, 10) == 6 * (blocks + head + attention)
    assert flops_per_token(config, tokenizer, 10, target_share=0.25) == 6 * (blocks + head // 4 + attention)


def test_flops_of_patch_stems_by_hand():
    tiles = ModelConfig(patch_stem="tiles", width=128, patch_channels=64)
    assert flops_per_patch(tiles, TokenizerConfig()) == 6 * (4 * 192 * 64 + 256 * 128)
    convolutions = 256 * 9 * (3 * 32 + 32 * 32 + 32 * 3)
    assert flops_per_patch(ModelConfig(), TokenizerConfig()) == 6 * (convolutions + 768 * 768)


def test_attention_flops_are_those_of_the_lower_triangle():
    config, tokenizer = ModelConfig(), TokenizerConfig()
    context = 1000
    # Scores and mix of each query with its own past, 2 operations a multiply-add, backward twice the forward.
    pairs = context * (context + 1) // 2
    forward = config.num_layers * 2 * 2 * pairs * config.num_heads * config.head_dim
    counted = context * (flops_per_token(config, tokenizer, context) - flops_per_token(config, tokenizer, 0))
    assert counted == pytest.approx(3 * forward, rel=2e-3)


def test_cache_bytes_are_those_of_a_real_cache(model_config, tokenizer, init):
    config = model_config()
    model = rebuild(config, tokenizer, init(config, tokenizer, jax.random.key(0)))
    assert cache_bytes(config, 3, 16) == sum(leaf.nbytes for leaf in jax.tree.leaves(model.init_cache(3, 16)))


def test_the_memory_estimate_is_near_what_the_compiler_reserves(model_config, tokenizer, random_batch, init):
    config = model_config(width=64, num_heads=4, head_dim=16, mlp_width=256, attention_block=32)
    batch = random_batch(num_rows=16, length=128, num_patches=0)
    params = init(config, tokenizer, jax.random.key(0))

    def value(params):
        model = rebuild(config, tokenizer, params)
        return loss(model, model(batch), batch, 2)[0]

    memory = jax.jit(jax.grad(value)).lower(params).compile().memory_analysis()
    estimate = memory_bytes(config, tokenizer, 16, 128)
    assert estimate["parameters"] == sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    kept = estimate["activations"] + estimate["logits"] + estimate["attention scores"]
    assert 0.5 < kept / memory.temp_size_in_bytes < 2
