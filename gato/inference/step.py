"""What runs on the device when acting: one call prefills a prompt, one places it, one makes a whole action.

An action of A tokens costs one prefill of the observation and A - 1 decodes. The last token's key and value are
written with the next observation, so that no call is spent on them. Where the model's actions are parallel, the
prefill holds the action's tokens too, and is all.
"""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from gato.config import ModelConfig, TokenizerConfig
from gato.inference.prompt import follow
from gato.inference.sampling import draw_keys, gumbel_noise, sample
from gato.inference.weights import Weights
from gato.model.cache import Cache, Chunk


@dataclass(frozen=True, kw_only=True)
class ActionLayout:
    """What the compiled step is specialised to, beside the shapes of its arrays."""

    model: ModelConfig
    tokenizer: TokenizerConfig
    first_row: int  # of the vocabulary rows that any row of the batch may use
    sampled: bool  # whether any temperature is above 0
    mixed: bool  # whether rows differ in where their legal rows begin


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class StepInput:
    """One environment step of B rows; A is the number of tokens of the longest action.

    Rows with shorter actions, or without an observation, make tokens that mean nothing.
    """

    chunk: Chunk  # what is new since the last step: up to the separator, or to the action's end where it is parallel
    wanted: jax.Array  # (B, 1 or A) int32; where in the chunk the tokens stand that predict action tokens
    action_positions: jax.Array  # (B, A) int32; -1 where there is no action token
    action_slots: jax.Array  # (B, A) int32; the number of slots where there is no action token
    low: jax.Array  # (B, A) int32; smallest legal id
    high: jax.Array  # (B, A) int32; one more than the largest
    first_rows: jax.Array  # (B,) int32; smallest legal id of the row's whole action, where its noise begins
    temperatures: jax.Array  # (B, A) float32
    gaps: jax.Array  # (B,) int32; tokens that have left between the prompt and the window
    seeds: jax.Array  # (B,) uint32; of the episode
    steps: jax.Array  # (B,) int32; timesteps since the episode began


@functools.partial(jax.jit, static_argnames=("model", "tokenizer"), donate_argnames=("cache",))
def prefill(model: ModelConfig, tokenizer: TokenizerConfig, weights: Weights, chunk: Chunk, cache: Cache) -> Cache:
    """The cache with the chunk in it."""
    return weights.model(model, tokenizer).extend(chunk, cache)[1]


@functools.partial(jax.jit, donate_argnames=("cache", "prompt_keys"))
def place(
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


@functools.partial(jax.jit, static_argnames=("rotary_base",), donate_argnames=("cache",))
def turn_back(cache: Cache, prompt_keys: tuple[jax.Array, ...], prompt_lengths: jax.Array, rotary_base: float) -> Cache:
    """The cache with prompts where they were prefilled, for windows that are encoded anew behind them.

    Args:
        cache: donated.
        prompt_keys: the prompts' keys as they were prefilled.
        prompt_lengths: (B,) int32; 0 where nothing is to be turned.
        rotary_base: static; as the model's.
    """
    return follow(cache, prompt_keys, prompt_lengths, jnp.zeros_like(prompt_lengths), rotary_base)


@functools.partial(jax.jit, static_argnames=("layout",), donate_argnames=("cache",))
def act(
    layout: ActionLayout,
    weights: Weights,
    head_RD: jax.Array,
    step: StepInput,
    cache: Cache,
    prompt_keys: tuple[jax.Array, ...] | None,
) -> tuple[jax.Array, Cache]:
    """Action tokens (B, A) int32 within their legal ranges, and the cache with all but the last of them.

    Args:
        layout: static.
        weights: of the model.
        head_RD: the rows of the token table from `first_row` on that are legal somewhere, in the compute dtype. An
            argument because a slice taken in here would be copied for every token.
        step: the new tokens.
        cache: donated.
        prompt_keys: the prompts' keys as they were prefilled; None where no row has a prompt.
    """
    num_rows, num_action_tokens = step.action_positions.shape
    chunk = step.chunk
    if prompt_keys is not None:
        cache = follow(cache, prompt_keys, chunk.pinned, step.gaps, layout.model.rotary_base)
    noise_ABR = _noise(layout, step, len(head_RD)) if layout.sampled else None
    ids_R = layout.first_row + jnp.arange(len(head_RD))

    def choose(hidden_BD: jax.Array, index: jax.Array | int) -> jax.Array:
        logits_BR = jnp.einsum("bd,rd->br", hidden_BD, head_RD, preferred_element_type=jnp.float32)
        legal_mask_BR = (ids_R[None] >= step.low[:, index, None]) & (ids_R[None] < step.high[:, index, None])
        if noise_ABR is None:
            return layout.first_row + sample(logits_BR, legal_mask_BR)
        return layout.first_row + sample(logits_BR, legal_mask_BR, step.temperatures[:, index], noise_ABR[index])

    hidden_BAD, cache = weights.model(layout.model, layout.tokenizer).extend(chunk, cache, step.wanted)
    if layout.model.parallel_actions:
        tokens = [choose(hidden_BAD[:, index], index) for index in range(num_action_tokens)]
        return jnp.stack(tokens, axis=1), cache
    first_B = choose(hidden_BAD[:, 0], 0)

    def decode(carry: tuple[jax.Array, Cache], index: jax.Array) -> tuple[tuple[jax.Array, Cache], jax.Array]:
        token_B, cache = carry
        # Built in here, so that stacking and cutting of the layers meet and cancel.
        model = weights.model(layout.model, layout.tokenizer)
        hidden_BCD, cache = model.extend(
            Chunk(
                tokens=token_B[:, None],
                local_positions=jnp.full((num_rows, 1), layout.tokenizer.action_position, jnp.int32),
                patches=chunk.patches[:, :0],
                patch_indices=chunk.patch_indices[:, :0],
                patch_intervals=chunk.patch_intervals[:, :0],
                positions=step.action_positions[:, index - 1][:, None],
                slots=step.action_slots[:, index - 1][:, None],
                pinned=chunk.pinned,
                window_start=chunk.window_start,
                reset=jnp.zeros(num_rows, bool),
            ),
            cache,
        )
        token_B = choose(hidden_BCD[:, 0], index)
        return (token_B, cache), token_B

    (_, cache), rest_AB = jax.lax.scan(decode, (first_B, cache), jnp.arange(1, num_action_tokens))
    return jnp.concatenate([first_B[:, None], rest_AB.T], axis=1), cache


def _noise(layout: ActionLayout, step: StepInput, num_rows: int) -> jax.Array:
    """(A, B, R) noise that depends on each row's seed, step and own legal rows, not on what stands beside it."""
    noise_ABR = gumbel_noise(draw_keys(step.seeds, step.steps, step.low.shape[1]), num_rows)
    if not layout.mixed:
        return noise_ABR
    # As if the row were alone: its noise begins where its own legal rows do.
    return jax.vmap(jnp.roll, in_axes=(1, 0, None), out_axes=1)(noise_ABR, step.first_rows - layout.first_row, 1)
