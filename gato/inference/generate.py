"""Text out: continued documents, dialogue, captions and answers about pictures, for many prompts at once.

The prefixes are those of `gato.tokenizer.language`, so that generation starts from what training rows hold.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from gato.config import ModelConfig, TokenizerConfig
from gato.inference.agent import Agent
from gato.inference.chunks import Row, assemble, bucket_size
from gato.inference.context import Context
from gato.inference.sampling import draw_keys, gumbel_noise, sample
from gato.inference.weights import Weights
from gato.model.cache import Cache, Chunk
from gato.tokenizer.language import Turn, caption_prompt, dialogue_prompt, document_prompt, plain_words
from gato.tokenizer.sequence import TokenSequence
from gato.tokenizer.text import TextTokenizer


class Generator:
    """Continues prompts with text until the end mark, or until `max_tokens`.

    Temperature 0 takes the most likely token. A text depends on its prompt, the seed and its index in its list, not on
    what else is in the list.
    """

    def __init__(self, agent: Agent, *, batch_size: int = 32) -> None:
        """Takes an agent that has a text tokenizer.

        Args:
            agent: weights and tokenizers; its policy's `context_length` is the longest prompt with its answer.
            batch_size: prompts that go through the model together.

        Raises:
            ValueError: the agent has no text tokenizer, or `batch_size` is below 1.
        """
        if agent.text is None:
            raise ValueError("the agent has no text tokenizer: train with one to generate text")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, needs 1 or more")
        self._agent, self._text, self._batch_size = agent, agent.text, batch_size
        dtype = jnp.dtype(agent.model.compute_dtype)
        self._head_RD = jnp.asarray(agent.params["embedding"]["tokens"][: agent.text.vocab_size], dtype)

    @classmethod
    def load(cls, checkpoint: Path, *, batch_size: int = 32) -> Self:
        """The generator of a run folder or checkpoint folder."""
        return cls(Agent.load(checkpoint), batch_size=batch_size)

    def continue_document(self, text: str, *, max_tokens: int = 64, temperature: float = 0.0, seed: int = 0) -> str:
        """What follows the beginning of a document; raises as `generate` does."""
        prompt = document_prompt(text, self._text, self._agent.tokenizer)
        return self.generate([prompt], max_tokens=max_tokens, temperature=temperature, seed=seed)[0]

    def reply(
        self,
        turns: Sequence[Turn],
        *,
        image: np.ndarray | None = None,
        max_tokens: int = 64,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> str:
        """The agent's next turn in a dialogue of (speaker, words), perhaps about a picture; raises as `generate`."""
        prompt = dialogue_prompt(turns, self._text, self._agent.tokenizer, image=image)
        return plain_words(self.generate([prompt], max_tokens=max_tokens, temperature=temperature, seed=seed)[0])

    def captions(
        self, images: Sequence[np.ndarray], *, max_tokens: int = 32, temperature: float = 0.0, seed: int = 0
    ) -> list[str]:
        """What each picture (height, width[, channels]) uint8 shows; raises as `generate` does."""
        prompts = [caption_prompt(image, self._agent.tokenizer) for image in images]
        texts = self.generate(prompts, max_tokens=max_tokens, temperature=temperature, seed=seed)
        return [plain_words(text) for text in texts]

    def answers(
        self,
        questions: Sequence[tuple[np.ndarray, str]],
        *,
        max_tokens: int = 32,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> list[str]:
        """The answer to each (picture, question); raises as `generate` does."""
        prompts = [
            dialogue_prompt([("user", question)], self._text, self._agent.tokenizer, image=image)
            for image, question in questions
        ]
        texts = self.generate(prompts, max_tokens=max_tokens, temperature=temperature, seed=seed)
        return [plain_words(text) for text in texts]

    def generate(
        self, prompts: Sequence[TokenSequence], *, max_tokens: int, temperature: float = 0.0, seed: int = 0
    ) -> list[str]:
        """The texts that follow the prompts.

        Args:
            prompts: made by `gato.tokenizer.language`.
            max_tokens: longest text, in tokens.
            temperature: 0 or more.
            seed: of the draws, in [0, 2 ** 32).

        Raises:
            ValueError: a prompt and `max_tokens` together do not fit the context or the local positions.
        """
        self._check(prompts, max_tokens, temperature, seed)
        texts: list[str] = []
        for start in range(0, len(prompts), self._batch_size):
            texts += self._generate_batch(
                prompts[start : start + self._batch_size], start, max_tokens, temperature, seed
            )
        return texts

    def _check(self, prompts: Sequence[TokenSequence], max_tokens: int, temperature: float, seed: int) -> None:
        if max_tokens < 1 or temperature < 0 or not 0 <= seed < 2**32:
            raise ValueError(
                f"max_tokens is {max_tokens}, temperature {temperature}, seed {seed}: "
                "expected 1 or more, 0 or more, and [0, 2 ** 32)"
            )
        context_length = self._agent.policy.context_length
        config = self._agent.tokenizer
        for index, prompt in enumerate(prompts):
            if len(prompt) == 0 or len(prompt) + max_tokens > context_length:
                raise ValueError(
                    f"prompt {index} has {len(prompt)} tokens and may be followed by {max_tokens} tokens, "
                    f"but context_length is {context_length}: shorten the prompt or lower max_tokens"
                )
            last = int(prompt.local_positions[-1])
            if last != config.no_position and last + max_tokens >= config.local_position_size:
                raise ValueError(
                    f"prompt {index} ends at local position {last} and may be followed by {max_tokens} tokens, "
                    f"but local_position_size is {config.local_position_size}: shrink the picture or lower max_tokens"
                )

    def _generate_batch(
        self, prompts: Sequence[TokenSequence], first_index: int, max_tokens: int, temperature: float, seed: int
    ) -> list[str]:
        config = self._agent.tokenizer
        num_rows = min(1 << (len(prompts) - 1).bit_length(), self._batch_size)
        size = bucket_size(max(len(prompt) for prompt in prompts))
        rows: list[Row | None] = [None] * num_rows
        lengths, local_positions = np.ones(num_rows, np.int32), np.full(num_rows, config.no_position, np.int32)
        for index, prompt in enumerate(prompts):
            context = Context(size + max_tokens)
            rows[index] = Row(sequence=prompt, position=context.begin_timestep(len(prompt)), context=context)
            lengths[index], local_positions[index] = len(prompt), prompt.local_positions[-1]
        layout = TextLayout(
            model=self._agent.model,
            tokenizer=config,
            start_id=self._text.start_id,
            end_id=self._text.end_id,
            max_tokens=max_tokens,
            temperature=temperature,
        )
        arrays: dict[str, Any] = {  # numpy, where the device side declares its own array type
            "lengths": lengths,
            "local_positions": local_positions,
            "finished": np.array([row is None for row in rows]),
            "seeds": np.full(num_rows, seed, np.uint32),
            "indices": np.arange(first_index, first_index + num_rows, dtype=np.int32),
        }
        start = TextInput(chunk=assemble(rows, config), **arrays)
        tokens = jax.device_get(decode_text(layout, self._agent.weights, self._head_RD, start))
        return [_decoded(self._text, row) for row in tokens[: len(prompts)]]


@dataclass(frozen=True, kw_only=True)
class TextLayout:
    """What the compiled generation is specialised to, beside the shapes of its arrays."""

    model: ModelConfig
    tokenizer: TokenizerConfig
    start_id: int  # never generated
    end_id: int
    max_tokens: int
    temperature: float


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class TextInput:
    """B prompts."""

    chunk: Chunk  # slots are positions
    lengths: jax.Array  # (B,) int32
    local_positions: jax.Array  # (B,) int32; of the last token
    finished: jax.Array  # (B,) bool; True in rows without a prompt
    seeds: jax.Array  # (B,) uint32
    indices: jax.Array  # (B,) int32; in the caller's list


@functools.partial(jax.jit, static_argnames=("layout",))
def decode_text(layout: TextLayout, weights: Weights, head_RD: jax.Array, start: TextInput) -> jax.Array:
    """Text ids (B, max_tokens) int32 that follow the prompts, filled up with the end mark.

    Args:
        layout: static.
        weights: of the model.
        head_RD: the token table's rows of the text tokenizer's ids.
        start: the prompts.
    """
    config, chunk = layout.model, start.chunk
    num_rows, size = chunk.tokens.shape
    shape = num_rows, config.num_heads, size + layout.max_tokens, config.head_dim
    counts = start.local_positions != layout.tokenizer.no_position
    legal_mask_1R = (jnp.arange(len(head_RD)) != layout.start_id)[None]
    sampled = layout.temperature > 0
    temperature_B = jnp.full(num_rows, layout.temperature) if sampled else None
    keys_AB = draw_keys(start.seeds, start.indices, layout.max_tokens)

    def choose(hidden_BD: jax.Array, index: jax.Array | int) -> jax.Array:
        logits_BR = jnp.einsum("bd,rd->br", hidden_BD, head_RD, preferred_element_type=jnp.float32)
        noise_BR = gumbel_noise(keys_AB[index], len(head_RD)) if sampled else None
        return sample(logits_BR, legal_mask_1R, temperature_B, noise_BR)

    def append(tokens_BA: jax.Array, index: jax.Array | int, token_B: jax.Array, finished_B: jax.Array) -> tuple:
        token_B = jnp.where(finished_B, layout.end_id, token_B)
        return tokens_BA.at[:, index].set(token_B), finished_B | (token_B == layout.end_id)

    def unfinished(carry: tuple) -> jax.Array:
        index, _, finished_B, _ = carry
        return (index < layout.max_tokens) & ~finished_B.all()

    def decode(carry: tuple) -> tuple:
        index, tokens_BA, finished_B, cache = carry
        positions = start.lengths + index - 1
        # Built in here, so that stacking and cutting of the layers meet and cancel.
        hidden_BCD, cache = weights.model(config, layout.tokenizer).extend(
            Chunk(
                tokens=tokens_BA[:, index - 1][:, None],
                local_positions=(start.local_positions + jnp.where(counts, index, 0))[:, None],
                patches=chunk.patches[:, :0],
                patch_indices=chunk.patch_indices[:, :0],
                patch_intervals=chunk.patch_intervals[:, :0],
                positions=positions[:, None],
                slots=positions[:, None],
                pinned=chunk.pinned,
                window_start=chunk.window_start,
                reset=chunk.reset,
            ),
            cache,
        )
        return index + 1, *append(tokens_BA, index, choose(hidden_BCD[:, 0], index), finished_B), cache

    cache = Cache.empty(config.num_layers, shape, jnp.dtype(config.compute_dtype))
    hidden_B1D, cache = weights.model(config, layout.tokenizer).extend(chunk, cache, start.lengths[:, None] - 1)
    tokens_BA = jnp.full((num_rows, layout.max_tokens), layout.end_id, jnp.int32)
    first_B = choose(hidden_B1D[:, 0], 0)
    tokens_BA, finished_B = append(tokens_BA, 0, first_B, start.finished)
    return jax.lax.while_loop(unfinished, decode, (1, tokens_BA, finished_B, cache))[1]


def _decoded(tokenizer: TextTokenizer, ids: np.ndarray) -> str:
    """The text before the end mark."""
    ends = np.flatnonzero(ids == tokenizer.end_id)
    return tokenizer.decode(ids[: ends[0]] if len(ends) else ids)
