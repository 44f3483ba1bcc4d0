import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gato.config import ModelConfig, OptimizerConfig, TokenizerConfig
from gato.model.gato import init_parameters
from gato.training.optimizer import make_optimizer, make_schedule

PAPER = OptimizerConfig()


@pytest.mark.parametrize(
    "updates, expected",
    [
        (0, 1e-7),
        (7_500, (1e-7 + 1e-4) / 2),  # half of the warm-up
        (15_000, 1e-4),  # peak
        (15_000 + 500_000, 0.5 * (1e-4 + 1e-5)),  # the cosine's middle
        (15_000 + 250_000, 1e-5 + 0.9e-4 * (1 + np.sqrt(0.5)) / 2),  # a quarter of its way: cos 45 degrees
        (1_015_000, 1e-5),
        (3_000_000, 1e-5),
    ],
)
def test_schedule_of_the_paper(updates, expected):
    assert float(make_schedule(PAPER)(jnp.int32(updates))) == pytest.approx(expected, rel=1e-4)


def test_schedule_without_warmup_starts_at_the_peak():
    schedule = make_schedule(OptimizerConfig(warmup_steps=0, peak_lr=3.0, decay_steps=10, final_fraction=1.0))
    assert [float(schedule(step)) for step in (0, 5, 50)] == [3.0, 3.0, 3.0]


@pytest.fixture(scope="module")
def ones():
    """Parameters of the real network, all one."""
    model = ModelConfig(width=16, num_layers=3, num_heads=2, head_dim=8, mlp_width=32, patch_channels=4, patch_groups=2)
    tokenizer = TokenizerConfig(text_vocab_size=260, num_bins=8, num_discrete=8, local_position_size=4)
    shapes = jax.eval_shape(lambda key: init_parameters(model, tokenizer, key), jax.random.key(0))
    return jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), shapes)


def test_weight_decay_reaches_matrices_and_tables_only(ones):
    """Without a gradient only decay moves parameters; stacking gives a block's norm gains two axes."""
    config = OptimizerConfig(peak_lr=0.5, warmup_steps=0, weight_decay=0.1)
    optimizer = make_optimizer(config)
    decay = jax.jit(
        lambda params: optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
    )
    updates, _ = decay(ones)
    moved = {
        jax.tree_util.keystr(path, simple=True, separator="."): np.unique(leaf)
        for path, leaf in jax.tree.leaves_with_path(updates)
    }
    assert ones["transformer"]["blocks"]["attention_norm"]["scale"].ndim == 2
    still = {name for name, values in moved.items() if np.array_equal(values, [0])}
    assert still == {name for name in moved if "norm" in name or name.endswith("bias")}
    for name in moved.keys() - still:
        assert moved[name] == pytest.approx([-0.05]), name
    assert {"embedding.tokens", "embedding.local_positions", "embedding.patch_rows"} <= moved.keys() - still
    assert {"transformer.blocks.mlp_norm.scale", "transformer.final_norm.scale"} <= still


@pytest.mark.parametrize("size, expected", [(100.0, 1.0), (0.5, 0.5)], ids=["large is clipped", "small is not"])
def test_gradients_are_clipped_to_a_global_norm(size, expected):
    optimizer = make_optimizer(OptimizerConfig(clip_norm=1.0, b1=0.9))
    params = {"a": jnp.zeros(4), "b": {"c": jnp.zeros((2, 2))}}
    grads = jax.tree.map(lambda leaf: jnp.full(leaf.shape, size / np.sqrt(8)), params)
    _, state = optimizer.update(grads, optimizer.init(params), params)
    first_moment = optax.tree.get(state, "mu")
    assert float(optax.tree.norm(first_moment)) == pytest.approx((1 - 0.9) * expected, rel=1e-5)
