"""A small real run of every part of training, and processes to kill it in."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gato.config import (
    DataConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    SourceConfig,
    TokenizerConfig,
    TrainingConfig,
)
from gato.tokenizer.text import TextTokenizer

PATIENCE_S = 300  # for a process to come to a point; only a hang exceeds it


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """The run that takes milliseconds, of the tests of training; a script too."""
    path = Path(__file__).parents[1] / "training" / "toy_run.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class TinyRun:
    """The real network on a real text source, with dropout and stochastic depth: every random number matters."""

    folder: Path  # holds the data, the config and the text tokenizer

    def arguments(self, run: Path, *, set: Sequence[str] = (), **options: Any) -> dict[str, Any]:
        """Keyword arguments of `gato.cli.train.train`."""
        files = {"config": str(self.folder / "config.json"), "tokenizer": self.folder / "tokenizer.model"}
        return {**files, "run": run, "set": tuple(set), **options}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    folder = tmp_path_factory.mktemp("tiny")
    colors, things = ("red", "green", "blue", "grey"), ("ball", "box", "key")
    texts = [f"the {color} {thing} is near the door" for color in colors for thing in things]
    (folder / "words.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    text = TextTokenizer.train(texts, 280, whole=())
    text.save(folder / "tokenizer.model")
    config = RunConfig(
        tokenizer=TokenizerConfig(text_vocab_size=text.vocab_size, num_bins=8, num_discrete=8, local_position_size=4),
        model=ModelConfig(
            width=16,
            num_layers=2,
            num_heads=2,
            head_dim=8,
            mlp_width=32,
            patch_channels=4,
            patch_groups=2,
            dropout=0.1,
            stochastic_depth=0.2,
        ),
        data=DataConfig(
            sources=(SourceConfig(name="words", kind="text", path=str(folder / "words.jsonl"), held_out=0.2),),
            batch_size=4,
            context_length=24,
            max_patches=1,
        ),
        optimizer=OptimizerConfig(peak_lr=1e-2, warmup_steps=5, decay_steps=1000),
        training=TrainingConfig(
            num_steps=60, log_every=3, checkpoint_every=5, evaluate_every=0, held_out_batches=1, max_skipped=3
        ),
    )
    config.save(folder / "config.json")
    return TinyRun(folder)


@dataclass
class Child:
    """`gato train` in a process of its own."""

    process: subprocess.Popen[str]

    def wait_for(self, happened: Callable[[], Any]) -> None:
        """Returns as soon as it has happened; fails the test if the process ends before."""
        deadline = time.monotonic() + PATIENCE_S
        while not happened():
            assert self.process.poll() is None, self.process.communicate()[1]
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.001)

    def end(self) -> tuple[int, str, str]:
        """Exit status, output and errors; a killed process has its signal's number as a negative status."""
        out, errors = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, errors


@pytest.fixture
def start() -> Iterator[Callable[..., Child]]:
    """Starts train_process.py with arguments for it; what still runs at the test's end is killed."""
    children = []

    def start_child(arguments: dict[str, Any]) -> Child:
        script, settings = Path(__file__).with_name("train_process.py"), json.dumps(arguments, default=str)
        children.append(
            subprocess.Popen(
                [sys.executable, str(script), settings],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONWARNINGS": "ignore"},
            )
        )
        return Child(children[-1])

    yield start_child
    for process in children:
        process.kill()
        process.communicate()
