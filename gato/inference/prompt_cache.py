"""Demonstrations at the front of the KV cache: checked, prefilled once per key, and copied to rows."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from gato.config import PolicyConfig, TokenizerConfig
from gato.inference.agent import Agent
from gato.inference.chunks import ChunkRow
from gato.inference.kv_cache_window import KVCacheWindow
from gato.inference.prefill import prefill_rows
from gato.model.cache import Cache
from gato.model.rotary import restore_prompt_keys
from gato.tokenizer.sequence import TokenSequence


class PromptCache:
    """The last prompt as it was prefilled, and the prompts' keys of all rows of a KV cache.

    The rows' prompts are shifted as tokens are evicted behind them, always from these keys.
    """

    def __init__(self, agent: Agent, config: PolicyConfig) -> None:
        """Begins without prompts."""
        self._agent, self._config = agent, config
        self._num_slots = min(config.prompt.max_tokens, config.context_length)  # cache slots that a prompt may take
        self._prefilled: tuple[str, Cache] | None = None  # by the prompt's key, a cache of one row
        self.prompt_keys: tuple[jax.Array, ...] | None = None  # one (B, H, Q, K) array per layer; None before prompts

    def insert(self, cache: Cache, prompt: TokenSequence, row_indices: Sequence[int]) -> Cache:
        """Returns the cache, which is donated, with some rows started by a prompt that `check_prompt` passed."""
        if self._prefilled is None or self._prefilled[0] != prompt.key:
            window = KVCacheWindow(self._config.context_length, len(prompt))
            row = ChunkRow(sequence=prompt, position=0, window=window)
            empty = Cache.empty(self._agent.model, 1, self._config.context_length)
            self._prefilled = prompt.key, prefill_rows(self._agent, empty, [row])
        if self.prompt_keys is None:
            self.prompt_keys = tuple(jnp.zeros_like(layer[:, :, : self._num_slots]) for layer in cache.keys)
        row_mask = np.isin(np.arange(len(cache.positions)), list(row_indices))
        cache, self.prompt_keys = insert_prompt(cache, self.prompt_keys, self._prefilled[1], row_mask)
        return cache

    def encode_anew(self, cache: Cache, windows: Sequence[ChunkRow | None]) -> Cache:
        """Returns the cache, which is donated, with windows written anew behind their prompts, whatever was evicted.

        Args:
            cache: of all rows.
            windows: one per row; None where the row stays as it is.
        """
        if all(window is None for window in windows):
            return cache
        prompt_lengths = np.array([0 if row is None else row.window.prompt_length for row in windows], np.int32)
        if prompt_lengths.any():
            assert self.prompt_keys is not None
            cache = restore_prompt_keys(cache, self.prompt_keys, prompt_lengths, self._agent.model.rotary_base)
        return prefill_rows(self._agent, cache, windows)


@functools.partial(jax.jit, donate_argnames=("cache", "prompt_keys"))
def insert_prompt(
    cache: Cache, prompt_keys: tuple[jax.Array, ...], prompt: Cache, row_mask: jax.Array
) -> tuple[Cache, tuple[jax.Array, ...]]:
    """Starts the rows of the mask with a prefilled prompt: its single row becomes theirs.

    Returns:
        The cache, and the prompts' keys as they were prefilled.
    """

    def chosen(old: jax.Array, new: jax.Array) -> jax.Array:
        return jnp.where(row_mask.reshape(-1, *[1] * (old.ndim - 1)), new, old)

    num_slots = prompt_keys[0].shape[2]
    return jax.tree.map(chosen, cache, prompt), tuple(
        chosen(old, new[:, :, :num_slots]) for old, new in zip(prompt_keys, prompt.keys, strict=True)
    )


def check_prompt(prompt: TokenSequence, config: PolicyConfig, tokenizer: TokenizerConfig) -> None:
    """Refuses a prompt that is too long or was made for another agent.

    Raises:
        TypeError, ValueError: with what was expected.
    """
    if not isinstance(prompt, TokenSequence):
        raise TypeError(f"the prompt is {type(prompt).__name__}, expected TokenSequence: see encode_demonstration")
    longest = min(config.prompt.max_tokens, config.context_length)
    if not 0 < len(prompt) <= longest:
        raise ValueError(
            f"the prompt has {len(prompt)} tokens, expected 1 to {longest} "
            f"(prompt.max_tokens {config.prompt.max_tokens}, context_length {config.context_length}): "
            "encode_demonstration cuts it to size"
        )
    if prompt.tokens.min() < 0 or prompt.tokens.max() >= tokenizer.vocab_size:
        raise ValueError(
            f"the prompt's tokens span [{prompt.tokens.min()}, {prompt.tokens.max()}], expected "
            f"[0, {tokenizer.vocab_size}): was it made with another tokenizer config?"
        )
    numbers = prompt.numbers
    if (numbers is not None) != tokenizer.has_groups or (
        numbers is not None
        and (numbers.values.shape[1] > tokenizer.values_per_token or numbers.values.max() >= tokenizer.vocab_size)
    ):
        held = "a number each" if numbers is None else f"up to {numbers.values.shape[1]} numbers each"
        raise ValueError(
            f"the prompt's tokens hold {held}, but values_per_token is {tokenizer.values_per_token}: was it made with "
            "another tokenizer config?"
        )
    patch_shape = tokenizer.patch_size, tokenizer.patch_size, 3
    if prompt.patches.shape[1:] != patch_shape or prompt.local_positions.max() > tokenizer.no_position:
        raise ValueError(
            f"the prompt has patches of shape {prompt.patches.shape[1:]} and local positions up to "
            f"{prompt.local_positions.max()}, expected {patch_shape} and at most {tokenizer.no_position}: "
            "was it made with another tokenizer config?"
        )
