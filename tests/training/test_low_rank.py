"""Matrices that move by low-rank products, against the same training written with the products in the loss."""

import dataclasses
import io
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rich.console import Console

from gato.batch import Batch
from gato.checkpoint import load_checkpoint
from gato.config import ModelConfig, OptimizerConfig, TokenizerConfig
from gato.model.gato import init_parameters
from gato.training.loop import train
from gato.training.low_rank import Factors, low_rank
from gato.training.optimizer import make_optimizer
from gato.training.step import model_loss
from gato.training.trainable import freeze, num_trainable

MODEL = ModelConfig(
    width=16, num_layers=2, num_heads=2, head_dim=8, mlp_width=32, patch_stem="tiles", patch_channels=4, dropout=0.1
)
TOKENIZER = TokenizerConfig(text_vocab_size=260, num_bins=8, num_discrete=8, local_position_size=4)
RANK, ALPHA = 3, 6.0


@pytest.fixture(scope="module")
def params():
    return jax.jit(init_parameters, static_argnums=(0, 1))(MODEL, TOKENIZER, jax.random.key(0))


@pytest.fixture(scope="module")
def batch() -> Batch:
    rows, length = 2, 12
    rng = np.random.default_rng(0)
    return Batch(
        tokens=rng.integers(200, size=(rows, length)).astype(np.int32),
        local_positions=np.full((rows, length), TOKENIZER.action_position, np.int32),
        loss_mask=np.ones((rows, length), bool),
        changed_mask=np.zeros((rows, length), bool),
        row_weights=np.ones(rows, np.float32),
        source_ids=np.zeros(rows, np.int32),
        lengths=np.full(rows, length, np.int32),
        patches=np.zeros((rows, 0, 16, 16, 3), np.uint8),
        patch_indices=np.zeros((rows, 0), np.int32),
        patch_intervals=np.zeros((rows, 0, 4), np.int32),
    )


def config(**fields) -> OptimizerConfig:
    return OptimizerConfig(peak_lr=0.02, warmup_steps=0, weight_decay=0.0, lora_rank=RANK, lora_alpha=ALPHA, **fields)


def kernels(params) -> dict[str, jax.Array]:
    blocks = params["transformer"]["blocks"]
    return {name: part["kernel"] for room in ("attention", "mlp") for name, part in blocks.get(room, {}).items()}


def factors_of(state) -> dict[str, Factors]:
    return kernels(optax.tree.get(state, "factors"))


NAMES = ("qkv", "down")
NUM_STEPS = 5


@pytest.fixture(scope="module")
def trained(params, batch):
    """The parameters, and the factors of the named matrices, after some steps."""
    settings = config(lora_matrices=NAMES)
    loss_function = freeze(model_loss(MODEL, TOKENIZER, 1), settings)
    optimizer = make_optimizer(settings, seed=5)

    @jax.jit
    def step(params, state, key):
        grads = jax.grad(loss_function, has_aux=True)(params, batch, key)[0]
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    state, after = optimizer.init(params), params
    for index in range(NUM_STEPS):
        after, state = step(after, state, jax.random.key(index))
    return jax.device_get(after), factors_of(state)


def with_products(params, factors) -> dict:
    """The parameters with the products added to the matrices."""

    def add(path, leaf):
        name = path[-2].key
        if path[-1].key == "kernel" and path[0].key == "transformer" and name in factors:
            return leaf + ALPHA / RANK * jnp.einsum("nir,nro->nio", factors[name].a, factors[name].b)
        return leaf

    return jax.tree.map_with_path(add, params)


def test_factors_start_with_a_product_of_zero_and_differ_by_seed(params):
    first, second = (factors_of(make_optimizer(config(), seed=seed).init(params)) for seed in (0, 1))
    for name, kernel in kernels(params).items():
        a, b = jax.device_get(first[name])
        assert a.shape == (*kernel.shape[:2], RANK)
        assert b.shape == (kernel.shape[0], RANK, kernel.shape[2])
        assert not b.any()
        assert a.std() == pytest.approx(kernel.shape[1] ** -0.5, rel=0.3)
        assert not np.array_equal(a, second[name].a)


def test_the_first_step_starts_from_the_base_model_to_the_bit(params):
    """What is added where no gradient has come yet is a product with zero."""
    optimizer = make_optimizer(config())

    @jax.jit
    def step(params):
        return optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)[0]

    assert not any(leaf.any() for leaf in jax.tree.leaves(jax.device_get(step(params))))


def test_the_trained_network_is_the_base_plus_the_products(params, batch, trained):
    after, factors = trained
    expected = jax.device_get(with_products(params, factors))
    jax.tree.map(lambda got, want: np.testing.assert_allclose(got, want, atol=2e-6), after, expected)
    loss_of = jax.jit(lambda params: model_loss(MODEL, TOKENIZER, 1)(params, batch, None)[0])
    assert float(loss_of(after)) == pytest.approx(float(loss_of(expected)), abs=1e-5)
    assert abs(float(loss_of(after)) - float(loss_of(params))) > 1e-3


def test_training_equals_that_of_factors_in_the_loss(params, batch, trained):
    """The road that LoRA is usually written on: frozen matrices, and gradients taken by the factors themselves."""
    settings = config(lora_matrices=NAMES)
    factors = factors_of(make_optimizer(settings, seed=5).init(params))
    adam = optax.chain(
        optax.clip_by_global_norm(settings.clip_norm),
        optax.adam(settings.peak_lr, b1=settings.b1, b2=settings.b2, eps=settings.eps),
    )
    loss_function = model_loss(MODEL, TOKENIZER, 1)

    @jax.jit
    def step(factors, opt_state, key):
        grads = jax.grad(lambda factors: loss_function(with_products(params, factors), batch, key)[0])(factors)
        updates, opt_state = adam.update(grads, opt_state)
        return optax.apply_updates(factors, updates), opt_state

    opt_state = adam.init(factors)
    for index in range(NUM_STEPS):
        factors, opt_state = step(factors, opt_state, jax.random.key(index))
    for name in NAMES:
        for got, want in zip(trained[1][name], factors[name], strict=True):
            np.testing.assert_allclose(got, want, atol=2e-4)


def test_only_the_named_matrices_move_and_by_the_given_rank(params, trained):
    after, _ = trained
    for (path, old), new in zip(jax.tree.leaves_with_path(params), jax.tree.leaves(after), strict=True):
        change = np.asarray(new, np.float64) - np.asarray(old, np.float64)
        named = path[0].key == "transformer" and path[-1].key == "kernel" and path[-2].key in NAMES
        assert change.any() == named, path
        for layer in change if named else ():
            sizes = np.linalg.svd(layer, compute_uv=False)
            assert sizes[RANK] < 1e-4 * sizes[0]


def test_one_step_by_hand():
    """W is 1 x 1 and stays 1 x 1: with a = 2, b = 0 and gradient 3, db = scale a 3 and da = scale b 3 = 0."""
    optimizer = low_rank(optax.sgd(0.1), rank=1, alpha=4.0, seed=0)
    matrix = {"kernel": jnp.full((1, 1), 7.0)}
    state = optimizer.init(matrix)
    state = state._replace(factors={"kernel": Factors(a=jnp.full((1, 1), 2.0), b=jnp.zeros((1, 1)))})
    updates, state = optimizer.update({"kernel": jnp.full((1, 1), 3.0)}, state, matrix)
    # db = 4 * 2 * 3 = 24, so b = -2.4; the product has changed by 2 * -2.4, four times that is added to W.
    assert float(state.factors["kernel"].a[0, 0]) == 2.0
    assert float(state.factors["kernel"].b[0, 0]) == pytest.approx(-2.4)
    assert float(updates["kernel"][0, 0]) == pytest.approx(-19.2)


def test_the_number_of_trained_parameters_is_that_of_the_factors(params):
    state = make_optimizer(config()).init(params)
    held = sum(leaf.size for leaf in jax.tree.leaves(optax.tree.get(state, "factors")))
    assert num_trainable(params, config()) == held
    assert held == RANK * 2 * ((16 + 48) + (16 + 16) + (16 + 32) + (16 + 16))  # 2 blocks, in + out of each matrix


def test_a_rank_beyond_the_matrix_is_an_error(params):
    with pytest.raises(ValueError, match="lora_rank is 17, more than the smaller side of a matrix of 16 x"):
        make_optimizer(OptimizerConfig(lora_rank=17)).init(params)


def test_a_stopped_and_resumed_run_equals_an_unbroken_one_to_the_bit(toy, tmp_path):
    """Factors and their moments are in what a checkpoint keeps for resuming; its parameters are plain weights."""
    settings = dataclasses.replace(toy.toy_config(num_steps=12), optimizer=config(lora_matrices=("up",)))
    table = 0.1 * jax.random.normal(jax.random.key(0), (1, toy.NUM_TOKENS, toy.NUM_TOKENS))
    first = {"transformer": {"blocks": {"mlp": {"up": {"kernel": np.asarray(table)}}}}, "scale": np.ones(8, np.float32)}

    def loss_function(params, batch, key):
        kernel = params["transformer"]["blocks"]["mlp"]["up"]["kernel"]
        return toy.toy_loss({"table": kernel[0], "scale": params["scale"]}, batch, key)

    def run(folder, batches, *, resume=False):
        return train(
            settings,
            run_folder=tmp_path / folder,
            params=jax.tree.map(np.array, first),
            loss_function=freeze(loss_function, settings.optimizer),
            batches=batches,
            key=jax.random.key(1),
            resume=resume,
            console=Console(file=io.StringIO()),
        )

    def stop(index):
        if index == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    run("whole", toy.ToyBatches())
    assert run("stopped", toy.ToyBatches(at_batch=stop)).interrupted
    run("stopped", toy.ToyBatches(), resume=True)
    whole, stopped = (load_checkpoint(tmp_path / folder, train_state=True) for folder in ("whole", "stopped"))
    assert whole.step == stopped.step == 12
    for tree, other in ((whole.params, stopped.params), (whole.train_state, stopped.train_state)):
        assert jax.tree.all(jax.tree.map(np.array_equal, tree, other))
    assert jax.tree.structure(whole.params) == jax.tree.structure(first)
    assert np.array_equal(whole.params["scale"], first["scale"])
    assert np.linalg.matrix_rank(whole.params["transformer"]["blocks"]["mlp"]["up"]["kernel"][0] - table[0], 1e-4) == 3
