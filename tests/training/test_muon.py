"""Muon by option: which parameters it moves, how far, and what it computes."""

import dataclasses
import io

import jax
import numpy as np
import optax
import pytest
from rich.console import Console

from gato.config import ModelConfig, OptimizerConfig, TokenizerConfig
from gato.model.gato import init_parameters, muon_mask
from gato.training.loop import train
from gato.training.optimizer import make_optimizer

MUON = OptimizerConfig(kind="muon", peak_lr=1.0, warmup_steps=0, decay_steps=1, final_fraction=1.0, weight_decay=0.0)
ADAMW = dataclasses.replace(MUON, kind="adamw")
MODEL = ModelConfig(width=16, num_layers=3, num_heads=2, head_dim=8, mlp_width=32, patch_channels=4, patch_groups=2)
TOKENIZER = TokenizerConfig(text_vocab_size=260, num_bins=8, num_discrete=8, local_position_size=4)
BLOCKS = "transformer/blocks/"
MATRICES = {BLOCKS + name for name in ("attention/qkv", "attention/out", "mlp/up", "mlp/down")}


def named(tree) -> dict[str, np.ndarray]:
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in jax.tree.leaves_with_path(tree)
    }


def matrix(updates, name: str) -> np.ndarray:
    return named(updates)[f"{BLOCKS}{name}/kernel"]


@pytest.fixture(scope="module")
def params():
    return jax.tree.map(np.asarray, init_parameters(MODEL, TOKENIZER, jax.random.key(0)))


@pytest.fixture(scope="module")
def grads(params):
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(leaf.dtype), params)


def updates_of(config, params, *gradients):
    """The updates of the last of several steps, at parameters that stay."""
    optimizer = make_optimizer(config)
    update, state = jax.jit(optimizer.update), optimizer.init(params)
    for gradient in gradients:
        updates, state = update(gradient, state, params)
    return updates, state


def orthogonal(x: np.ndarray) -> np.ndarray:
    """The nearest matrix with orthogonal rows or columns, out of the singular value decomposition."""
    left, _, right = np.linalg.svd(x, full_matrices=False)
    return left @ right


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("stem", ["residual", "tiles"])
def test_it_moves_the_matrices_of_the_blocks_and_nothing_else(stem):
    model = dataclasses.replace(MODEL, patch_stem=stem)
    shapes = jax.eval_shape(lambda key: init_parameters(model, TOKENIZER, key), jax.random.key(0))
    chosen = {name for name, is_chosen in named(muon_mask(shapes)).items() if is_chosen}
    assert chosen == {f"{name}/kernel" for name in MATRICES}


def test_everything_else_moves_as_with_adamw(params, grads):
    second = jax.tree.map(lambda leaf: leaf[::-1].copy(), grads)
    decayed = [dataclasses.replace(config, weight_decay=0.1, peak_lr=0.3) for config in (MUON, ADAMW)]
    ours, theirs = (named(updates_of(config, params, grads, second)[0]) for config in decayed)
    different = {name for name in ours if not np.allclose(ours[name], theirs[name], rtol=1e-6, atol=0)}
    assert different == {f"{name}/kernel" for name in MATRICES}


def test_each_layer_and_each_fused_part_moves_along_its_own_orthogonal_matrix(params, grads):
    updates, _ = updates_of(MUON, params, grads)
    for name, parts in (("attention/qkv", 3), ("attention/out", 1), ("mlp/up", 2), ("mlp/down", 1)):
        for layer in range(3):
            moved = np.split(matrix(updates, name)[layer], parts, axis=1)
            along = np.split(matrix(grads, name)[layer], parts, axis=1)
            for ours, gradient in zip(moved, along, strict=True):
                assert cosine(-ours, orthogonal(gradient)) > 0.94
                singular = np.linalg.svd(ours, compute_uv=False) / (MUON.muon_rms * max(ours.shape) ** 0.5)
                assert singular[0] < 1.3, "five steps end near 1 and not at it"
                assert singular[-2] > 0.4, "and may leave the smallest of a random square behind"


def test_a_large_gradient_of_the_values_takes_nothing_from_the_queries(params, grads):
    def with_large_values(path, leaf):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        return leaf * np.repeat([1, 1, 100], 16).astype(np.float32) if name.endswith("qkv/kernel") else leaf

    def queries(gradients):
        unclipped = dataclasses.replace(MUON, clip_norm=1e9)
        return matrix(updates_of(unclipped, params, gradients)[0], "attention/qkv")[..., :16]

    np.testing.assert_allclose(
        queries(jax.tree.map_with_path(with_large_values, grads)), queries(grads), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("mlp_width", [32, 128], ids=["square", "flat"])
def test_a_matrix_of_any_shape_moves_by_the_same_rms_which_the_gradients_size_does_not_change(mlp_width):
    model = dataclasses.replace(MODEL, mlp_width=mlp_width)
    params = init_parameters(model, TOKENIZER, jax.random.key(0))
    grads = jax.tree.map(lambda leaf: 1e-3 * jax.random.normal(jax.random.key(1), leaf.shape), params)
    updates, _ = updates_of(MUON, params, grads)
    for name in MATRICES:
        rms = float(np.sqrt((named(updates)[f"{name}/kernel"] ** 2).mean()))
        assert 0.75 * MUON.muon_rms < rms < 1.15 * MUON.muon_rms, name


def test_it_is_optax_muon_where_nothing_is_fused(params, grads):
    """Two steps, so that momentum and its correction take part."""
    second = jax.tree.map(lambda leaf: leaf[::-1].copy(), grads)
    out = {"out": {"kernel": params["transformer"]["blocks"]["attention"]["out"]["kernel"]}}
    gradients = [jax.tree.map(lambda _, leaf=tree: matrix(leaf, "attention/out"), out) for tree in (grads, second)]
    dimensions = optax.contrib.MuonDimensionNumbers(reduction_axis=1, output_axis=2)
    theirs = optax.contrib.muon(
        0.3,
        beta=0.9,
        ns_steps=4,
        weight_decay=0.1,
        consistent_rms=0.5,
        muon_weight_dimension_numbers={"out": {"kernel": dimensions}},
    )
    config = dataclasses.replace(
        MUON, peak_lr=0.3, muon_momentum=0.9, muon_steps=4, muon_rms=0.5, weight_decay=0.1, clip_norm=1e9
    )
    wrapped = {"transformer": {"blocks": out}}
    ours, _ = updates_of(config, wrapped, *({"transformer": {"blocks": gradient}} for gradient in gradients))
    state = theirs.init(out)
    for gradient in gradients:
        expected, state = theirs.update(gradient, state, out)
    np.testing.assert_allclose(
        ours["transformer"]["blocks"]["out"]["kernel"], expected["out"]["kernel"], rtol=1e-4, atol=1e-6
    )


def test_weight_decay_reaches_the_same_parameters_as_with_adamw(params):
    still = jax.tree.map(np.zeros_like, params)
    ours, theirs = (
        named(updates_of(dataclasses.replace(config, weight_decay=0.1), params, still)[0]) for config in (MUON, ADAMW)
    )
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-6, err_msg=name)


def test_one_momentum_per_number_is_kept_in_the_shape_of_its_matrix(params, grads):
    _, state = updates_of(MUON, params, grads)
    moments = {name: leaf for name, leaf in named(state).items() if BLOCKS in name and name.endswith("kernel")}
    assert {name.split("/inner_state/mu/")[1] for name in moments} == {f"{name}/kernel" for name in MATRICES}
    for name, moment in moments.items():
        assert moment.shape == named(params)[name.split("/inner_state/mu/")[1]].shape


@pytest.mark.parametrize(
    "fields, moves_blocks",
    [
        ({"trained": ("transformer",), "last_layers": 2}, True),
        ({"trained": ("norms",)}, False),
        ({"trained": ("embedding",)}, False),
    ],
    ids=str,
)
def test_it_moves_a_part_of_the_network(params, grads, fields, moves_blocks):
    moved = {f"{name}/kernel" for name in MATRICES} if moves_blocks else set()
    updates, _ = updates_of(dataclasses.replace(MUON, **fields), params, grads)
    kernels = {name: leaf for name, leaf in named(updates).items() if name.startswith(BLOCKS) and "kernel" in name}
    assert {name for name, leaf in kernels.items() if leaf.any()} == moved
    whole, _ = updates_of(MUON, params, grads)
    for name in moved:
        assert not kernels[name][0].any(), "the first block is frozen"
        np.testing.assert_allclose(kernels[name][1:], named(whole)[name][1:], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"lora_rank": 2}, "optimizer.kind is 'muon', but optimizer.lora_rank is 2: low-rank products are trained by"),
        ({"muon_momentum": 1.0}, "optimizer.muon_momentum is 1.0, must be at least 0, below 1"),
        ({"muon_steps": 0}, "optimizer.muon_steps is 0, needs 1 or more"),
        ({"muon_rms": 0.0}, "optimizer.muon_rms is 0.0, must be positive"),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        OptimizerConfig(kind="muon", **fields)


def test_a_run_that_skips_steps_and_is_resumed_ends_in_the_same_state(toy, tmp_path):
    """Gradients are accumulated in two parts; the state of a resumed run is compared to the bit."""

    def run(folder: str, num_steps: int, **options):
        config = toy.toy_config(num_steps=num_steps, accumulate=2)
        return train(
            dataclasses.replace(config, optimizer=dataclasses.replace(config.optimizer, kind="muon")),
            run_folder=tmp_path / folder,
            params={"linear": {"kernel": toy.toy_params()["table"]}, "scale": toy.toy_params()["scale"]},
            loss_function=lambda params, batch, key: toy.toy_loss(
                {"table": params["linear"]["kernel"], "scale": params["scale"]}, batch, key
            ),
            batches=toy.ToyBatches(poisoned=frozenset({3, 8})),
            key=jax.random.key(7),
            console=Console(file=io.StringIO()),
            **options,
        ).state

    unbroken = run("unbroken", 12)
    run("broken", 7)
    resumed = run("broken", 12, resume=True)
    assert int(unbroken.skipped) == 2
    for ours, theirs in zip(jax.tree.leaves(unbroken), jax.tree.leaves(resumed), strict=True):
        assert np.isfinite(ours).all()
        np.testing.assert_array_equal(ours, theirs)
