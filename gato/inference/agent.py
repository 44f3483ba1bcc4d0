"""Agent: weights together with everything that is needed to use them."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, Self

import jax

from gato.config import FieldScale, ModelConfig, PolicyConfig, SourceConfig, TokenizerConfig
from gato.inference.weights import Weights
from gato.model.gato import Parameters
from gato.release import load_checkpoint
from gato.tokenizer.text import TextTokenizer

NO_SOURCE: Final = ""  # of an environment that is none of the agent's sources: its numbers keep the paper's rule


@dataclass(frozen=True, kw_only=True)
class Agent:
    """One set of weights; policies and generators are built from it and share them."""

    model: ModelConfig
    tokenizer: TokenizerConfig
    policy: PolicyConfig
    params: Parameters
    text: TextTokenizer | None = None  # needed for anything that holds text
    fields: Mapping[str, tuple[FieldScale, ...]] = field(
        default_factory=dict
    )  # by source, or what sources are scaled with

    @cached_property
    def weights(self) -> Weights:
        """Returns the parameters as compiled steps take them; made once and shared."""
        return Weights.of(self.params, self.model)

    def fields_of(self, source: str | None) -> tuple[FieldScale, ...]:
        """Returns how the numbers of an environment are scaled: as those of the source that is named.

        Args:
            source: name of a source that the agent was trained on, or `NO_SOURCE` for none of them. None is allowed
                where all sources follow the paper's rule, so that there is nothing to choose.

        Raises:
            ValueError: there is such a choice and none was made, or no source of that name.
        """
        if source == NO_SOURCE:
            return ()
        scaled = [name for name, fields in self.fields.items() if fields]
        if source is None:
            if scaled:
                raise ValueError(
                    f"the agent scales the numbers of its sources {scaled}: name the one that this environment is of, "
                    f"as in source={scaled[0]!r}, or source={NO_SOURCE!r} for none of its sources"
                )
            return ()
        if source not in self.fields:
            near = difflib.get_close_matches(source, self.fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"those are {list(self.fields)}"
            raise ValueError(f"{source!r} is no source that the agent was trained on: {hint}")
        return self.fields[source]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Loads and verifies a run folder's newest checkpoint, one checkpoint folder or a released folder.

        Raises:
            FileNotFoundError: there is no checkpoint.
            ValueError: it is damaged, of another format, or its text tokenizer is not the one that it was trained with.
        """
        checkpoint = load_checkpoint(Path(path))
        stored = checkpoint.tokenizer_model
        text = None if stored is None else TextTokenizer.from_bytes(stored)
        expected = checkpoint.config.tokenizer.text_vocab_size
        if text is not None and text.vocab_size != expected:
            raise ValueError(
                f"the text tokenizer in {path} has {text.vocab_size} pieces, but the network was made for {expected}: "
                "they do not belong together"
            )
        return cls(
            model=checkpoint.config.model,
            tokenizer=checkpoint.config.tokenizer,
            policy=checkpoint.config.policy,
            params=jax.device_put(checkpoint.params),
            text=text,
            fields=_fields(checkpoint.config.data.sources),
        )


def _fields(sources: Sequence[SourceConfig]) -> dict[str, tuple[FieldScale, ...]]:
    """Returns the fields of each source, and of what sources share under another name."""
    shared = {source.scaled_with: source.fields for source in sources if source.scaled_with}
    return shared | {source.name: source.fields for source in sources}
