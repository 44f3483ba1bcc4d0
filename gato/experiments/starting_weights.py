"""Weights of another run, or of a release, that a new run starts from: how one trains on with other data."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from gato.checkpoint import Checkpoint
from gato.config import RunConfig, SourceConfig
from gato.files import replace_file
from gato.release import identity, load_checkpoint
from gato.run_files import STARTED_FROM_FILE
from gato.tokenizer.text import TextTokenizer

# What may differ: settings that decide neither what parameters there are nor what they mean.
_FREE = {
    "tokenizer": {"own_actions", "own_action_dropout"},
    "model": {
        "stochastic_depth",
        "dropout",
        "compute_dtype",
        "attention",
        "attention_block",
        "remat",
        "loss_chunk",
    },
}


@dataclass(frozen=True, kw_only=True)
class StartingWeights:
    """Parameters, and what gives them their meaning."""

    path: Path
    checkpoint: Checkpoint
    identity: dict[str, Any]  # step and digest

    @classmethod
    def load(cls, path: Path) -> Self:
        """Loads and verifies a run's newest checkpoint, one checkpoint, or a release.

        Raises:
            FileNotFoundError, ValueError: as `gato.release.load_checkpoint`.
        """
        return cls(path=path, checkpoint=load_checkpoint(path), identity=identity(path))

    @property
    def sources(self) -> dict[str, SourceConfig]:
        """Returns the sources that they were trained on, by name."""
        return {source.name: source for source in self.checkpoint.config.data.sources}

    def text(self, given: TextTokenizer | None) -> TextTokenizer | None:
        """Returns their text tokenizer.

        Raises:
            ValueError: another one is given.
        """
        stored = self.checkpoint.tokenizer_model
        if given is not None and given.to_bytes() != stored:
            has = "no text tokenizer" if stored is None else "another text tokenizer"
            raise ValueError(f"the weights of {self.path} have {has}: leave --tokenizer out")
        return None if stored is None else TextTokenizer.from_bytes(stored)

    def require_fit(self, config: RunConfig) -> None:
        """Refuses a run in which they would mean something else.

        Raises:
            ValueError: names the settings that differ.
        """
        different = []
        for section, free in _FREE.items():
            theirs = dataclasses.asdict(getattr(self.checkpoint.config, section))
            ours = dataclasses.asdict(getattr(config, section))
            different += [
                f"{section}.{name} is {ours[name]!r} and was {theirs[name]!r}"
                for name in ours
                if name not in free and ours[name] != theirs[name]
            ]
        if different:
            raise ValueError(
                f"the weights of {self.path} do not fit this run: {', '.join(different)}; set these as they were, or "
                "start without --weights"
            )

    def record(self, run: Path) -> None:
        """Writes into a run's folder what it was started from."""
        told = {"path": str(self.path.resolve()), **self.identity}
        replace_file(run / STARTED_FROM_FILE, json.dumps(told, indent=1) + "\n")
