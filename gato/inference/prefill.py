"""Long sequences into the KV cache, one chunk at a time: prompts, and windows that are encoded anew."""

import functools
import itertools
from collections.abc import Sequence

import jax

from gato.config import ModelConfig, TokenizerConfig
from gato.inference.agent import Agent
from gato.inference.chunks import ChunkRow, assemble, bucket_size
from gato.inference.weights import Weights
from gato.model.cache import Cache, Chunk

_CHUNK_SIZE = 128  # tokens per call


def prefill_rows(agent: Agent, cache: Cache, rows: Sequence[ChunkRow | None]) -> Cache:
    """Returns the cache with long rows written to it, in as many calls as the longest row needs.

    Args:
        agent: whose weights encode them.
        cache: donated.
        rows: one per row of the cache, at least one not None.
    """
    parts = [[] if row is None else row.split(_CHUNK_SIZE) for row in rows]
    num_patches = bucket_size(max(len(part.sequence.patches) for row_parts in parts for part in row_parts))
    for chunk_rows in itertools.zip_longest(*parts):
        chunk = assemble(chunk_rows, agent.tokenizer, size=_CHUNK_SIZE, num_patches=num_patches)
        cache = prefill(agent.model, agent.tokenizer, agent.weights, chunk, cache)
    return cache


@functools.partial(jax.jit, static_argnames=("model", "tokenizer"), donate_argnames=("cache",))
def prefill(model: ModelConfig, tokenizer: TokenizerConfig, weights: Weights, chunk: Chunk, cache: Cache) -> Cache:
    """Returns the cache, which is donated, with the chunk in it."""
    return weights.model(model, tokenizer).extend(chunk, cache)[1]
