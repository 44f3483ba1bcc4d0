"""Text out: continued documents, dialogue, captions and answers about images, for many prompts at once.

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
from gato.inference.chunks import ChunkRow, assemble, bucket_size
from gato.inference.kv_cache_window import KVCacheWindow
from gato.inference.sampling import GREEDY, Sampling, draw_keys, gumbel_noise
from gato.inference.weights import Weights
from gato.model.cache import Chunk
from gato.model.gato import unembedding
from gato.tokenizer.language import Turn, caption_prompt, dialogue_prompt, document_prompt, plain_words
from gato.tokenizer.sequence import TokenSequence
from gato.tokenizer.text import TextTokenizer


class Generator:
    """Continues prompts with text until the end mark, or until `max_tokens`.

    The most likely text unless `sampling` says otherwise. A text depends on its prompt, the seed and its index in its
    list, not on what else is in the list.
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
        self._head_RD = unembedding(agent.params, agent.model, slice(agent.text.vocab_size))

    @classmethod
    def load(cls, checkpoint: Path, *, batch_size: int = 32) -> Self:
        """Loads the generator of a run folder, checkpoint folder or released folder."""
        return cls(Agent.load(checkpoint), batch_size=batch_size)

    def continue_document(self, text: str, *, max_tokens: int = 64, sampling: Sampling = GREEDY, seed: int = 0) -> str:
        """Returns what follows the beginning of a document; raises as `generate` does."""
        prompt = document_prompt(text, self._text, self._agent.tokenizer)
        return self.generate([prompt], max_tokens=max_tokens, sampling=sampling, seed=seed)[0]

    def reply(
        self,
        turns: Sequence[Turn],
        *,
        image: np.ndarray | None = None,
        max_tokens: int = 64,
        sampling: Sampling = GREEDY,
        seed: int = 0,
    ) -> str:
        """Returns the agent's next turn in a dialogue of (speaker, words), perhaps about an image."""
        prompt = dialogue_prompt(turns, self._text, self._agent.tokenizer, image=image)
        return plain_words(self.generate([prompt], max_tokens=max_tokens, sampling=sampling, seed=seed)[0])

    def replies(
        self,
        dialogues: Sequence[Sequence[Turn]],
        *,
        max_tokens: int = 64,
        sampling: Sampling = GREEDY,
        seed: int = 0,
    ) -> list[str]:
        """Returns the agent's next turn in each dialogue of (speaker, words); raises as `generate` does."""
        prompts = [dialogue_prompt(turns, self._text, self._agent.tokenizer) for turns in dialogues]
        texts = self.generate(prompts, max_tokens=max_tokens, sampling=sampling, seed=seed)
        return [plain_words(text) for text in texts]

    def captions(
        self, images: Sequence[np.ndarray], *, max_tokens: int = 32, sampling: Sampling = GREEDY, seed: int = 0
    ) -> list[str]:
        """Describes each image (height, width[, channels]) uint8; raises as `generate` does."""
        prompts = [caption_prompt(image, self._agent.tokenizer) for image in images]
        texts = self.generate(prompts, max_tokens=max_tokens, sampling=sampling, seed=seed)
        return [plain_words(text) for text in texts]

    def answers(
        self,
        questions: Sequence[tuple[np.ndarray, str]],
        *,
        max_tokens: int = 32,
        sampling: Sampling = GREEDY,
        seed: int = 0,
    ) -> list[str]:
        """Answers each (image, question); raises as `generate` does."""
        prompts = [
            dialogue_prompt([("user", question)], self._text, self._agent.tokenizer, image=image)
            for image, question in questions
        ]
        texts = self.generate(prompts, max_tokens=max_tokens, sampling=sampling, seed=seed)
        return [plain_words(text) for text in texts]

    def generate(
        self, prompts: Sequence[TokenSequence], *, max_tokens: int, sampling: Sampling = GREEDY, seed: int = 0
    ) -> list[str]:
        """Returns the texts that follow the prompts.

        Args:
            prompts: made by `gato.tokenizer.language`.
            max_tokens: longest text, in tokens.
            sampling: how each token is chosen.
            seed: of the draws, in [0, 2 ** 32).

        Raises:
            ValueError: a prompt and `max_tokens` together do not fit the context or the local positions.
        """
        self._check(prompts, max_tokens, seed)
        texts: list[str] = []
        for start in range(0, len(prompts), self._batch_size):
            texts += self._generate_batch(prompts[start : start + self._batch_size], start, max_tokens, sampling, seed)
        return texts

    def _check(self, prompts: Sequence[TokenSequence], max_tokens: int, seed: int) -> None:
        if max_tokens < 1 or not 0 <= seed < 2**32:
            raise ValueError(f"max_tokens is {max_tokens}, seed {seed}: expected 1 or more, and [0, 2 ** 32)")
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
                    f"but local_position_size is {config.local_position_size}: shrink the image or lower max_tokens"
                )

    def _generate_batch(
        self, prompts: Sequence[TokenSequence], first_index: int, max_tokens: int, sampling: Sampling, seed: int
    ) -> list[str]:
        config = self._agent.tokenizer
        num_rows = min(1 << (len(prompts) - 1).bit_length(), self._batch_size)
        size = bucket_size(max(len(prompt) for prompt in prompts))
        rows: list[ChunkRow | None] = [None] * num_rows
        lengths, local_positions = np.ones(num_rows, np.int32), np.full(num_rows, config.no_position, np.int32)
        for index, prompt in enumerate(prompts):
            window = KVCacheWindow(size + max_tokens)
            rows[index] = ChunkRow(sequence=prompt, position=window.begin_timestep(len(prompt)), window=window)
            lengths[index], local_positions[index] = len(prompt), prompt.local_positions[-1]
        layout = TextLayout(
            model=self._agent.model,
            tokenizer=config,
            start_id=self._text.start_id,
            end_id=self._text.end_id,
            max_tokens=max_tokens,
            sampling=sampling,
        )
        start = TextInput(
            chunk=assemble(rows, config),
            lengths=lengths,
            local_positions=local_positions,
            finished=np.array([row is None for row in rows]),
            seeds=np.full(num_rows, seed, np.uint32),
            indices=np.arange(first_index, first_index + num_rows, dtype=np.int32),
        )
        tokens = jax.device_get(decode_text(layout, self._agent.weights, self._head_RD, start))
        return [_decoded(self._text, row) for row in tokens[: len(prompts)]]


@dataclass(frozen=True, kw_only=True)
class TextLayout:
    """What the compiled generation is specialised to, besides the shapes of its arrays."""

    model: ModelConfig
    tokenizer: TokenizerConfig
    start_id: int  # never generated
    end_id: int
    max_tokens: int
    sampling: Sampling


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class TextInput:
    """B prompts. Arrays are numpy when the host makes them and `jax.Array` inside the compiled call, hence `Any`."""

    chunk: Chunk  # cache slots are positions
    lengths: Any  # (B,) int32
    local_positions: Any  # (B,) int32; of the last token
    finished: Any  # (B,) bool; True in rows without a prompt
    seeds: Any  # (B,) uint32
    indices: Any  # (B,) int32; in the caller's list


@functools.partial(jax.jit, static_argnames=("layout",))
def decode_text(layout: TextLayout, weights: Weights, head_RD: jax.Array, start: TextInput) -> jax.Array:
    """Returns text ids (B, max_tokens) int32 that follow the prompts, filled up with the end mark.

    Args:
        layout: static.
        weights: of the model.
        head_RD: the head's rows of the text tokenizer's ids.
        start: the prompts.
    """
    chunk = start.chunk
    num_rows, size = chunk.tokens.shape
    counts = start.local_positions != layout.tokenizer.no_position
    legal_mask_1R = (jnp.arange(len(head_RD)) != layout.start_id)[None]
    keys_AB = draw_keys(start.seeds, start.indices, layout.max_tokens)

    def choose(hidden_BD: jax.Array, index: jax.Array | int) -> jax.Array:
        logits_BR = jnp.einsum("bd,rd->br", hidden_BD, head_RD, preferred_element_type=jnp.float32)
        noise_BR = None if layout.sampling.is_greedy else gumbel_noise(keys_AB[index], len(head_RD))
        return layout.sampling.choose(logits_BR, legal_mask_1R, noise_BR)

    def append(tokens_BA: jax.Array, index: jax.Array | int, token_B: jax.Array, finished_B: jax.Array) -> tuple:
        token_B = jnp.where(finished_B, layout.end_id, token_B)
        return tokens_BA.at[:, index].set(token_B), finished_B | (token_B == layout.end_id)

    def unfinished(carry: tuple) -> jax.Array:
        index, _, finished_B, _ = carry
        return (index < layout.max_tokens) & ~finished_B.all()

    def decode(carry: tuple) -> tuple:
        index, tokens_BA, finished_B, cache = carry
        positions = start.lengths + index - 1
        local_positions = start.local_positions + jnp.where(counts, index, 0)
        # Built in here, so that stacking and slicing of the layers meet and cancel.
        hidden_BCD, cache = weights.model(layout.model, layout.tokenizer).extend(
            chunk.next_token(tokens_BA[:, index - 1], local_positions, positions, positions), cache
        )
        return index + 1, *append(tokens_BA, index, choose(hidden_BCD[:, 0], index), finished_B), cache

    model = weights.model(layout.model, layout.tokenizer)
    cache = model.init_cache(num_rows, size + layout.max_tokens)
    hidden_B1D, cache = model.extend(chunk, cache, start.lengths[:, None] - 1)
    tokens_BA = jnp.full((num_rows, layout.max_tokens), layout.end_id, jnp.int32)
    first_B = choose(hidden_B1D[:, 0], 0)
    tokens_BA, finished_B = append(tokens_BA, 0, first_B, start.finished)
    return jax.lax.while_loop(unfinished, decode, (1, tokens_BA, finished_B, cache))[1]


def _decoded(tokenizer: TextTokenizer, ids: np.ndarray) -> str:
    """Returns the text before the end mark."""
    ends = np.flatnonzero(ids == tokenizer.end_id)
    return tokenizer.decode(ids[: ends[0]] if len(ends) else ids)
