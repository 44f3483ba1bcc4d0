"""What runs on the device for one step of a batch of environments: one call that makes whole actions.

An action of A tokens costs one prefill of the observation and A - 1 decodes. The last token's key and value are
written with the next observation, so that no call is spent on them. Where actions are parallel, the prefill holds the
action's tokens too, and there is nothing to decode. Neither is there where an action is one token: all of its A numbers
come from the hidden vector before it.
"""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from gato.config import ModelConfig, TokenizerConfig
from gato.inference.sampling import Sampling, draw_keys, gumbel_noise
from gato.inference.weights import Weights
from gato.model.cache import Cache, Chunk
from gato.model.rotary import shift_prompt_keys


@dataclass(frozen=True, kw_only=True)
class ActionLayout:
    """What the compiled step is specialised to, besides the shapes of its arrays."""

    model: ModelConfig
    tokenizer: TokenizerConfig
    first_id: int  # of the ids that any row of the batch may use
    sampling: Sampling  # at the step's temperatures, unless it is greedy
    mixed: bool  # whether rows differ in where their legal ids begin


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class StepInput:
    """One environment step of B rows; A is the number of tokens of the longest action.

    Rows with shorter actions, or without an observation, make tokens that mean nothing. Arrays are numpy when the host
    makes them and `jax.Array` inside the compiled call, hence `Any`.
    """

    chunk: Chunk  # what is new since the last step: up to the separator, or to the action's end where it is parallel
    query_indices: Any  # (B, 1 or A) int32; the tokens of the chunk that predict action tokens
    action_positions: Any  # (B, A) int32; -1 where there is no action token
    action_cache_slots: Any  # (B, A) int32; the number of cache slots where there is no action token
    low: Any  # (B, A) int32; smallest legal id
    high: Any  # (B, A) int32; one more than the largest
    first_ids: Any  # (B,) int32; smallest legal id of the row's whole action, where its noise begins
    temperatures: Any  # (B, A) float32
    num_evicted: Any  # (B,) int32; tokens evicted between the prompt and the window
    seeds: Any  # (B,) uint32; of the episode
    steps: Any  # (B,) int32; timesteps since the episode began


@functools.partial(jax.jit, static_argnames=("layout",), donate_argnames=("cache",))
def act(
    layout: ActionLayout,
    weights: Weights,
    head_RD: jax.Array,
    step: StepInput,
    cache: Cache,
    prompt_keys: tuple[jax.Array, ...] | None,
) -> tuple[jax.Array, Cache]:
    """Returns action tokens (B, A) int32 within their legal ranges, and the cache with all but the last of them.

    Args:
        layout: static.
        weights: of the model.
        head_RD: the head's rows of the ids that are legal somewhere, from `first_id` on. An argument because a slice
            taken in here would be copied for every token.
        step: the new tokens.
        cache: donated.
        prompt_keys: the prompts' keys as they were prefilled; None where no row has a prompt.
    """
    num_rows, num_action_tokens = step.low.shape
    chunk = step.chunk
    if prompt_keys is not None:
        rotary_base = layout.model.rotary_base
        cache = shift_prompt_keys(cache, prompt_keys, chunk.prompt_length, step.num_evicted, rotary_base)
    noise_ABR = None if layout.sampling.is_greedy else _noise(layout, step, len(head_RD))
    ids_R = layout.first_id + jnp.arange(len(head_RD))

    def choose(query_BD: jax.Array, index: jax.Array | int) -> jax.Array:
        logits_BR = jnp.einsum("bd,rd->br", query_BD, head_RD, preferred_element_type=jnp.float32)
        legal_mask_BR = (ids_R[None] >= step.low[:, index, None]) & (ids_R[None] < step.high[:, index, None])
        noise_BR = None if noise_ABR is None else noise_ABR[index]
        chosen_B = layout.sampling.choose(logits_BR, legal_mask_BR, noise_BR, step.temperatures[:, index])
        return layout.first_id + chosen_B

    model = weights.model(layout.model, layout.tokenizer)
    hidden_BAD, cache = model.extend(chunk, cache, step.query_indices)
    match layout.tokenizer.action_tokens:
        case "parallel":
            tokens = [choose(hidden_BAD[:, index], index) for index in range(num_action_tokens)]
            return jnp.stack(tokens, axis=1), cache
        case "grouped":
            queries_BAD = model.action_queries(hidden_BAD[:, 0], num_action_tokens)
            return jax.vmap(choose, in_axes=(1, 0), out_axes=1)(queries_BAD, jnp.arange(num_action_tokens)), cache
        case "decoded":

            def add(values_BJ: jax.Array, index: jax.Array) -> tuple[jax.Array, jax.Array]:
                queries_BAD = model.action_queries(hidden_BAD[:, 0], num_action_tokens, values_BJ)
                chosen_B = choose(queries_BAD[:, index], index)
                return values_BJ.at[:, index].set(chosen_B), chosen_B

            shape = num_rows, layout.tokenizer.values_per_token
            unknown_BJ = jnp.full(shape, layout.tokenizer.padding_id, jnp.int32)
            _, tokens_AB = jax.lax.scan(add, unknown_BJ, jnp.arange(num_action_tokens))
            return tokens_AB.T, cache
    first_B = choose(hidden_BAD[:, 0], 0)
    local_positions_B = jnp.full(num_rows, layout.tokenizer.action_position, jnp.int32)

    def decode(carry: tuple[jax.Array, Cache], index: jax.Array) -> tuple[tuple[jax.Array, Cache], jax.Array]:
        token_B, cache = carry
        # Built in here, so that stacking and slicing of the layers meet and cancel.
        model = weights.model(layout.model, layout.tokenizer)
        positions_B, cache_slots_B = step.action_positions[:, index - 1], step.action_cache_slots[:, index - 1]
        hidden_BCD, cache = model.extend(
            chunk.next_token(token_B, local_positions_B, positions_B, cache_slots_B), cache
        )
        token_B = choose(hidden_BCD[:, 0], index)
        return (token_B, cache), token_B

    (_, cache), rest_AB = jax.lax.scan(decode, (first_B, cache), jnp.arange(1, num_action_tokens))
    return jnp.concatenate([first_B[:, None], rest_AB.T], axis=1), cache


def _noise(layout: ActionLayout, step: StepInput, num_ids: int) -> jax.Array:
    """Draws (A, B, R) noise that depends on each row's seed, step and own legal ids, not on the rest of the batch."""
    noise_ABR = gumbel_noise(draw_keys(step.seeds, step.steps, step.low.shape[1]), num_ids)
    if not layout.mixed:
        return noise_ABR
    # As if the row were alone: its noise begins where its own legal ids do.
    return jax.vmap(jnp.roll, in_axes=(1, 0, None), out_axes=1)(noise_ABR, step.first_ids - layout.first_id, 1)
