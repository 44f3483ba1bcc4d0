"""Which parameters move, and that the others stay to the bit."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gato.config import ModelConfig, OptimizerConfig, TokenizerConfig
from gato.model.gato import init_parameters
from gato.model.loss import LossSums
from gato.training.optimizer import make_optimizer
from gato.training.step import no_losses
from gato.training.trainable import freeze, num_trainable, scatter, select

LAYERS = 3


@pytest.fixture(scope="module")
def params():
    """Of the real network, random everywhere so that nothing is zero by chance."""
    model = ModelConfig(
        width=16, num_layers=LAYERS, num_heads=2, head_dim=8, mlp_width=32, patch_channels=4, patch_groups=2
    )
    tokenizer = TokenizerConfig(text_vocab_size=260, num_bins=8, num_discrete=8, local_position_size=4)
    shapes = jax.eval_shape(lambda key: init_parameters(model, tokenizer, key), jax.random.key(0))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(leaf.dtype), shapes)


def quadratic(params, batch, key) -> tuple[jax.Array, LossSums]:
    """A loss that pulls every number towards 1."""
    return sum(((leaf - 1) ** 2).sum() for leaf in jax.tree.leaves(params)), no_losses(1)


def steps(params, config, count=3):
    """The parameters after some updates, and the optimizer's state."""
    optimizer = make_optimizer(config)

    @jax.jit
    def step(params, state):
        grads = jax.grad(quadratic, has_aux=True)(params, None, None)[0]
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    for _ in range(count):
        params, state = step(params, state)
    return params, state


def config(**fields) -> OptimizerConfig:
    return OptimizerConfig(peak_lr=0.1, warmup_steps=0, weight_decay=0.1, **fields)


def moved(before, after) -> dict[str, np.ndarray]:
    """For each leaf, which entries of its first axis have changed in any bit."""
    found = {}
    pairs = zip(jax.tree.leaves_with_path(before), jax.tree.leaves(after), strict=True)
    for (path, old), new in pairs:
        different = np.asarray(old).view(np.uint32) != np.asarray(new).view(np.uint32)
        found[jax.tree_util.keystr(path, simple=True, separator=".")] = different.reshape(len(old), -1).any(axis=1)
    return found


@pytest.mark.parametrize("part, other", [("embedding", "transformer"), ("transformer", "embedding")])
def test_a_named_part_moves_and_the_other_stays_to_the_bit(params, part, other):
    after, _ = steps(params, config(trained=(part,)))
    for name, rows in moved(params, after).items():
        assert rows.all() == name.startswith(part), name
        assert rows.any() != name.startswith(other), name


def test_only_norms_move(params):
    after, _ = steps(params, config(trained=("norms",)))
    movers = {name for name, rows in moved(params, after).items() if rows.any()}
    assert movers == {name for name in moved(params, params) if name.endswith(("scale", "bias"))}
    assert "transformer.blocks.attention_norm.scale" in movers
    assert "embedding.stem.stem.norm_1.bias" in movers


def test_all_but_the_last_blocks_stay_to_the_bit(params):
    after, _ = steps(params, config(trained=("transformer",), last_layers=1))
    for name, rows in moved(params, after).items():
        if name.startswith("transformer.blocks"):
            assert rows.tolist() == [False] * (LAYERS - 1) + [True], name
        else:
            assert rows.any() == name.startswith("transformer.final_norm"), name


def test_norms_of_all_blocks_move_beside_the_last_block(params):
    after, _ = steps(params, config(trained=("transformer", "norms"), last_layers=1))
    rows = moved(params, after)
    assert rows["transformer.blocks.mlp_norm.scale"].tolist() == [True] * LAYERS
    assert rows["transformer.blocks.mlp.up.kernel"].tolist() == [False] * (LAYERS - 1) + [True]


def test_what_moves_moves_as_it_would_alone(params):
    """Clipping is by the norm of the part, so the frozen rest changes nothing: the same as an optimizer of the part."""
    settings = config(trained=("transformer",), last_layers=2)
    after, _ = steps(params, settings)
    alone, _ = steps(select(params, settings), config())
    assert jax.tree.all(jax.tree.map(np.array_equal, select(after, settings), jax.device_get(alone)))


def test_what_stays_has_no_moments(params):
    sizes = {}
    for fields in ({}, {"trained": ("norms",)}, {"trained": ("transformer",), "last_layers": 1}):
        settings = config(**fields)
        state = make_optimizer(settings).init(params)
        sizes[str(fields)] = sum(leaf.size for leaf in jax.tree.leaves(optax.tree.get(state, "mu")))
        assert sizes[str(fields)] == num_trainable(params, settings)
    assert len(set(sizes.values())) == 3


def test_all_blocks_are_the_whole_transformer(params):
    whole, _ = steps(params, config(trained=("transformer",)))
    last, _ = steps(params, config(trained=("transformer",), last_layers=LAYERS))
    assert jax.tree.all(jax.tree.map(np.array_equal, whole, last))


def test_scatter_puts_a_part_back_and_zeros_elsewhere(params):
    settings = config(trained=("transformer",), last_layers=1)
    back = scatter(select(params, settings), params)
    kernel, back_kernel = (tree["transformer"]["blocks"]["mlp"]["up"]["kernel"] for tree in (params, back))
    assert np.array_equal(back_kernel[-1], kernel[-1])
    assert not np.any(back_kernel[:-1])
    assert not np.any(back["embedding"]["tokens"])


@pytest.mark.parametrize(
    "fields",
    [
        {"trained": ("norms",)},
        {"trained": ("transformer",), "last_layers": 1},
        {"lora_rank": 2, "lora_matrices": ("up",)},
    ],
    ids=["norms", "last block", "low rank"],
)
def test_the_loss_has_gradients_for_what_moves_only(params, fields):
    settings = config(**fields)
    loss_function = freeze(quadratic, settings)
    (value, _), grads = jax.value_and_grad(loss_function, has_aux=True)(params, None, None)
    whole = jax.grad(quadratic, has_aux=True)(params, None, None)[0]
    assert float(value) == float(quadratic(params, None, None)[0])
    part = select(jax.device_get(whole), settings)
    assert jax.tree.all(jax.tree.map(np.array_equal, grads, scatter(part, params)))
    assert float(optax.tree.norm(grads)) < float(optax.tree.norm(whole))


def test_the_loss_of_a_network_that_moves_whole_is_left_alone():
    assert freeze(quadratic, config()) is quadratic


def test_more_last_layers_than_there_are_is_an_error(params):
    with pytest.raises(ValueError, match=r"last_layers is 4, but the network has 3 blocks"):
        make_optimizer(config(trained=("transformer",), last_layers=4)).init(params)


def test_parameters_of_which_none_moves_are_an_error():
    with pytest.raises(ValueError, match=r"none of the parameters \['table'\] is trained"):
        make_optimizer(config(trained=("norms",))).init({"table": jnp.zeros(3)})


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"trained": ()}, "trained is empty"),
        ({"trained": ("embedding",), "last_layers": 1}, "'transformer' is not in optimizer.trained"),
        ({"lora_rank": 2, "trained": ("norms",)}, "leave optimizer.trained"),
        ({"lora_rank": -1}, "lora_rank is -1"),
        ({"lora_rank": 1, "lora_matrices": ()}, "must name a matrix"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        OptimizerConfig(**fields)
