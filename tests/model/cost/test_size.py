import dataclasses
import math

import jax
import jax.numpy as jnp
import pytest

from gato.batch import Batch
from gato.config import ModelConfig, OptimizerConfig, TokenizerConfig
from gato.model.cost.size import (
    PUBLISHED_TOTALS,
    BatchCost,
    cache_bytes,
    flops_per_action,
    flops_per_group,
    flops_per_patch,
    flops_per_token,
    memory_bytes,
    model_flops_utilization,
    parameter_counts,
    relative_position_parameters,
    training_flops,
)
from gato.model.gato import init_parameters, rebuild
from gato.model.loss import loss

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


@pytest.mark.parametrize("action_tokens", ["sequential", "grouped", "decoded"])
def test_counts_of_tokens_that_hold_several_numbers_are_those_of_the_real_model(action_tokens):
    tokenizer = TokenizerConfig(text_vocab_size=300, values_per_token=7, action_tokens=action_tokens)
    config = ModelConfig(width=64, num_layers=2, num_heads=2, mlp_width=64, code_width=5, group_width=24)
    assert sum(parameter_counts(config, tokenizer).values()) == _real_total(config, tokenizer)


def test_operations_of_numbers_by_hand():
    config = ModelConfig(width=8, code_width=3, group_width=5)
    tokenizer = TokenizerConfig(text_vocab_size=300, values_per_token=4, action_tokens="decoded")
    nothing = BatchCost(tokens=0, attended=0, targets=0, patches=0)
    cost = dataclasses.replace(nothing, grouped=2, values=6, actions=3, numbers=9, legal_ids=70)
    stem = 6 * 3 * 5 + 2 * 5 * 8
    head = 3 * 8 * 8 + 9 * (8 * 8 + 4 * 3 * 8) + 70 * 8
    assert training_flops(config, tokenizer, cost) == 6 * (stem + head)
    # What `gato info` tells: a token of four numbers, and an action of three.
    assert flops_per_group(config, tokenizer) == 6 * (4 * 3 * 5 + 5 * 8)
    number = 8 * 8 + 4 * 3 * 8
    assert flops_per_action(config, tokenizer, [10, 10, 5]) == 6 * (8 * 8 + 3 * number + 25 * 8)


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
    assert flops_per_token(config, tokenizer, 10, target_fraction=0.25) == 6 * (blocks + head // 4 + attention)


def test_flops_of_a_batch_by_hand():
    config = ModelConfig(width=4, num_layers=2, num_heads=1, head_dim=4, mlp_width=8, patch_stem="tiles")
    tokenizer = TokenizerConfig(text_vocab_size=260, num_bins=2, num_discrete=2)
    # Rows of 6 and 4 tokens, 3 of them targets, 2 of them patches.
    cost = BatchCost(tokens=10, attended=(36 + 16) / 2, targets=3, patches=2)
    matrices = 10 * 2 * (4 * 16 + 32 + 16)  # tokens x layers x weights of attention, up and down projections
    attention = 26 * 2 * 2 * 4  # pairs x layers x (scores and mix) x inner size
    head = 3 * 266 * 4
    stem = 2 * 6 * (4 * 192 * 32 + 4 * 32 * 4)
    assert training_flops(config, tokenizer, cost) == 6 * (matrices + attention + head) + stem


def test_work_adds_up():
    config, tokenizer = ModelConfig(), TokenizerConfig()
    one = BatchCost(tokens=5, attended=12.5, targets=2, patches=1)
    two = BatchCost(tokens=3, attended=4.5, targets=3, patches=0)
    both = BatchCost(tokens=8, attended=17.0, targets=5, patches=1)
    parts = [training_flops(config, tokenizer, cost) for cost in (one, two)]
    assert training_flops(config, tokenizer, both) == sum(parts)


def test_full_rows_cost_their_tokens():
    config, tokenizer = ModelConfig(), TokenizerConfig()
    rows, length = 3, 100
    cost = BatchCost(tokens=rows * length, attended=rows * length**2 / 2, targets=rows * length, patches=0)
    assert training_flops(config, tokenizer, cost) == rows * length * flops_per_token(config, tokenizer, length)


def test_utilization_by_hand():
    # 79.12e12 operations in a fifth of a second are 395.6e12 a second: two fifths of one H100, a fifth of two.
    assert model_flops_utilization(79.12e12, 0.2, 989e12) == pytest.approx(0.4)
    assert model_flops_utilization(79.12e12, 0.2, 2 * 989e12) == pytest.approx(0.2)


@pytest.mark.slow
@pytest.mark.parametrize("stem", ["residual", "tiles"])
def test_the_compiler_counts_nearly_the_same_flops(tokenizer, random_batch, stem):
    """Beside ours it counts the whole square of attention in one block, norms and the like."""
    config = ModelConfig(
        width=128, num_layers=2, num_heads=4, head_dim=32, mlp_width=512, stochastic_depth=0, patch_stem=stem
    )
    rows, length, patches = 2, 64, 8
    batch = random_batch(num_rows=rows, length=length, num_patches=patches)
    params = jax.eval_shape(lambda key: init_parameters(config, tokenizer, key), jax.random.key(0))

    def value(params):
        return rebuild(config, tokenizer, params)(batch).sum()

    counted = jax.jit(jax.grad(value)).lower(params).compile().cost_analysis()["flops"]
    cost = BatchCost(tokens=rows * length, attended=rows * length**2, targets=0, patches=rows * patches)
    assert training_flops(config, tokenizer, cost) == pytest.approx(counted, rel=0.05)


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


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("remat", ["none", "dots", "full"])
def test_activations_are_what_differentiation_keeps_of_a_layer(tokenizer, random_batch, remat, dtype):
    config = ModelConfig(
        width=40, num_layers=3, num_heads=2, head_dim=24, mlp_width=96, remat=remat, compute_dtype=dtype
    )
    config = dataclasses.replace(config, scan_layers=True, attention_block=16, patch_stem="tiles", stochastic_depth=0)
    rows, length = 2, 32
    batch = random_batch(num_rows=rows, length=length, num_patches=0)
    params = jax.eval_shape(lambda key: init_parameters(config, tokenizer, key), jax.random.key(0))

    def value(params):
        return rebuild(config, tokenizer, params)(batch).sum()

    equations = jax.make_jaxpr(jax.grad(value))(params).jaxpr.eqns
    forward = next(eqn for eqn in equations if eqn.primitive.name == "scan" and eqn.params["length"] == 3)
    kept = [var.aval for var in forward.outvars[forward.params["num_carry"] :]]
    # Arrays of the tokens; not weights in another dtype, nor a norm's one number a token.
    arrays = [aval for aval in kept if aval.shape[1] in (rows, rows * length) and aval.size >= 3 * rows * length * 24]
    counted = sum(aval.size * aval.dtype.itemsize for aval in arrays)
    ends = 2 * rows * length * config.width * (4 if dtype == "float32" else 2)
    assert memory_bytes(config, tokenizer, rows, length)["activations"] - ends == counted


def test_memory_of_a_layer_by_hand(tokenizer):
    config = ModelConfig(width=64, num_layers=3, num_heads=2, head_dim=16, mlp_width=128, compute_dtype="bfloat16")
    config = dataclasses.replace(config, remat="dots", attention_block=8)
    memory = memory_bytes(config, tokenizer, 2, 10, max_patches=5)
    assert memory["activations"] == 20 * (3 * (2 * 64 + 3 * 32 + 128) + 2 * 64) * 2
    assert memory["one layer"] == 20 * (6 * 64 * 4 + (2 * 64 + 5 * 32 + 4 * 128) * 2)
    assert memory["attention scores"] == 2 * 2 * 2 * 8 * 10 * 4
    assert memory["patch stem"] == 2 * 5 * (256 * 32 * (4 * 4 + 12 * 2) + 6 * 256 * 2)


def test_fused_attention_keeps_no_scores(tokenizer):
    fused = ModelConfig(compute_dtype="bfloat16", attention="cudnn")
    assert memory_bytes(fused, tokenizer, 4, 128)["attention scores"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("remat", ["none", "dots", "full"])
def test_the_memory_estimate_is_near_what_the_compiler_reserves(model_config, tokenizer, random_batch, init, remat):
    config = model_config(width=64, num_heads=4, head_dim=16, mlp_width=256, attention_block=32, num_layers=4)
    config = dataclasses.replace(config, remat=remat, scan_layers=True)  # unrolled, XLA on CPU undoes remat
    batch = random_batch(num_rows=16, length=128, num_patches=0)
    params = init(config, tokenizer, jax.random.key(0))

    def value(params):
        model = rebuild(config, tokenizer, params)
        return loss(model, model(batch), batch, 2)[0]

    memory = jax.jit(jax.grad(value)).lower(params).compile().memory_analysis()
    estimate = memory_bytes(config, tokenizer, 16, 128)
    assert estimate["parameters"] == sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    kept = sum(estimate[kind] for kind in ("activations", "one layer", "logits", "attention scores"))
    assert 0.8 < kept / memory.temp_size_in_bytes < 1.6


def test_muon_keeps_one_moment_of_the_matrices_of_the_blocks():
    counts = parameter_counts(ModelConfig(), TokenizerConfig())
    both, one = (
        memory_bytes(ModelConfig(), TokenizerConfig(), 2, 10, optimizer=OptimizerConfig(kind=kind))
        for kind in ("adamw", "muon")
    )
    assert both["optimizer"] - one["optimizer"] == 4 * (counts["attention"] + counts["mlp"])
    assert {kind: both[kind] for kind in both if kind != "optimizer"} == {
        kind: one[kind] for kind in one if kind != "optimizer"
    }


@pytest.mark.slow
def test_the_memory_of_the_group_stem_is_near_what_the_compiler_reserves_for_it(model_config, tokenizer, init):
    """By how much a gradient needs more where every token has numbers, of a stem that outweighs the rest."""
    config = model_config(width=32, num_heads=2, head_dim=16, mlp_width=64, num_layers=2, code_width=16)
    config = dataclasses.replace(config, group_width=256, attention_block=32)
    grouped = dataclasses.replace(tokenizer, values_per_token=32)
    rows, length = 16, 128

    def reserved(layout):
        params = init(config, layout, jax.random.key(0))

        def value(params, values):
            model = rebuild(config, layout, params)
            shape = rows, length
            batch = Batch(
                tokens=jnp.full(shape, layout.padding_id),
                local_positions=jnp.zeros(shape, jnp.int32),
                loss_mask=jnp.ones(shape, bool),
                changed_mask=jnp.zeros(shape, bool),
                row_weights=jnp.ones(rows),
                source_ids=jnp.zeros(rows, jnp.int32),
                lengths=jnp.full(rows, length),
                patches=jnp.zeros((rows, 0, layout.patch_size, layout.patch_size, 3), jnp.uint8),
                patch_indices=jnp.zeros((rows, 0), jnp.int32),
                patch_intervals=jnp.zeros((rows, 0, 4), jnp.int32),
                values=values if layout.has_groups else None,
            )
            return model(batch).sum()

        values = jnp.zeros((rows, length, 32), jnp.int32)
        return jax.jit(jax.grad(value)).lower(params, values).compile().memory_analysis().temp_size_in_bytes

    told = memory_bytes(config, grouped, rows, length)["group stem"]
    assert 0.5 < told / (reserved(grouped) - reserved(tokenizer)) < 2
