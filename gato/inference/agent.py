"""Agent: weights together with all that is needed to use them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import jax

from gato.checkpoint import load_checkpoint
from gato.config import ModelConfig, PolicyConfig, TokenizerConfig
from gato.inference.weights import Weights
from gato.model.gato import Parameters
from gato.tokenizer.text import TextTokenizer


@dataclass(frozen=True, kw_only=True)
class Agent:
    """One set of weights; policies and generators are built from it and share them."""

    model: ModelConfig
    tokenizer: TokenizerConfig
    policy: PolicyConfig
    params: Parameters
    text: TextTokenizer | None = None  # needed for anything that holds text

    @cached_property
    def weights(self) -> Weights:
        """The parameters as compiled steps take them; made once and shared."""
        return Weights.of(self.params, self.model)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The agent of a run folder's newest checkpoint, or of one checkpoint folder, verified.

        Raises:
            FileNotFoundError: there is no checkpoint.
            ValueError: it is damaged, or of another format.
        """
        checkpoint = load_checkpoint(Path(path))
        stored = checkpoint.tokenizer_model
        return cls(
            model=checkpoint.config.model,
            tokenizer=checkpoint.config.tokenizer,
            policy=checkpoint.config.policy,
            params=jax.device_put(checkpoint.params),
            text=None if stored is None else TextTokenizer.from_bytes(stored),
        )
