"""A network small enough to compile in a second, and random batches for it."""

from collections.abc import Callable

import jax
import numpy as np
import pytest
from flax import nnx

from gato.batch import Batch
from gato.config import ModelConfig, TokenizerConfig
from gato.model.gato import Parameters, init_parameters


@pytest.fixture(scope="session")
def tokenizer() -> TokenizerConfig:
    return TokenizerConfig(text_vocab_size=260, num_bins=16, num_discrete=8, local_position_size=12)


@pytest.fixture(scope="session")
def model_config() -> Callable[..., ModelConfig]:
    def config(**changes) -> ModelConfig:
        small = {
            "width": 32,
            "num_layers": 2,
            "num_heads": 2,
            "head_dim": 8,
            "mlp_width": 48,
            "stochastic_depth": 0.0,
            "patch_stem": "tiles",
            "patch_channels": 8,
            "patch_groups": 4,
            "unit_rms_inputs": True,
        }
        return ModelConfig(**{**small, **changes})

    return config


@pytest.fixture(scope="session")
def build() -> Callable[..., nnx.Module]:
    """Makes a module in one compiled call, many times faster than operation by operation."""

    def make(cls: Callable[..., nnx.Module], *args, seed: int = 0) -> nnx.Module:
        return nnx.jit(lambda: cls(*args, rngs=nnx.Rngs(seed)))()

    return make


@pytest.fixture(scope="session")
def run() -> Callable:
    """Calls a module, compiled."""
    return nnx.jit(lambda module, *args, **kwargs: module(*args, **kwargs))


@pytest.fixture(scope="session")
def init() -> Callable[..., Parameters]:
    """Parameters of two configs and a key, compiled."""
    return jax.jit(init_parameters, static_argnums=(0, 1))


@pytest.fixture(scope="session")
def random_batch(tokenizer: TokenizerConfig) -> Callable[..., Batch]:
    """Rows full of random tokens, with patches at random places, a third of the tokens targets."""

    def make(num_rows: int = 3, length: int = 12, num_patches: int = 3, seed: int = 0) -> Batch:
        rng = np.random.default_rng(seed)
        tokens = rng.integers(tokenizer.separator_id, size=(num_rows, length))
        # The last place of patches stays empty, as it does in most rows.
        places = np.full((num_rows, num_patches), length)
        for row in range(num_rows):
            places[row, : num_patches - 1] = np.sort(rng.permutation(length)[: max(num_patches - 1, 0)])
            tokens[row, places[row][places[row] < length]] = tokenizer.padding_id
        low = rng.integers(100, size=(num_rows, num_patches, 2))
        intervals = np.stack([low[..., 0], low[..., 0] + 20, low[..., 1], low[..., 1] + 20], axis=-1)
        loss_mask = (rng.random((num_rows, length)) < 0.4) & (tokens != tokenizer.padding_id)
        positions = rng.integers(tokenizer.local_position_size + 3, size=(num_rows, length))
        return Batch(
            tokens=tokens.astype(np.int32),
            local_positions=positions.astype(np.int32),
            loss_mask=loss_mask,
            changed_mask=rng.random((num_rows, length)) < 0.5,
            row_weights=rng.uniform(0.5, 2, num_rows).astype(np.float32),
            source_ids=rng.integers(2, size=num_rows).astype(np.int32),
            lengths=np.full(num_rows, length, np.int32),
            patches=rng.integers(256, size=(num_rows, num_patches, 16, 16, 3)).astype(np.uint8),
            patch_indices=places.astype(np.int32),
            patch_intervals=intervals.astype(np.int32),
        )

    return make
