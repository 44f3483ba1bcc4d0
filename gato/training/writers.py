"""Where metrics go: a JSONL file always, TensorBoard if asked for."""

import json
import math
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol


class MetricWriter(Protocol):
    """Takes the numbers of one step."""

    def write(self, step: int, values: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class JsonlWriter:
    """Appends one line of JSON a call, flushed at once: a crash costs at most the line being written."""

    def __init__(self, path: Path, *, last_step: int) -> None:
        """Opens the file, without the lines past `last_step`: a resumed run writes those again."""
        kept = [line for line in read_metrics(path) if line["step"] <= last_step] if path.exists() else []
        rewritten = path.with_name(path.name + ".new")
        rewritten.write_text("".join(json.dumps(line) + "\n" for line in kept))
        os.replace(rewritten, path)
        self._file = path.open("a")

    def write(self, step: int, values: Mapping[str, float]) -> None:
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._file.write(json.dumps({"step": step, **finite}) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class TensorBoardWriter:
    """Writes scalars for TensorBoard."""

    def __init__(self, folder: Path, *, last_step: int) -> None:
        """Opens the folder; what it shows past `last_step` is purged. Raises as `require_tensorboard`."""
        require_tensorboard()
        from tensorboardX import SummaryWriter  # an optional extra

        self._writer = SummaryWriter(str(folder), purge_step=last_step + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def require_tensorboard() -> None:
    """Raises ValueError if tensorboardX is not installed."""
    if find_spec("tensorboardX") is None:
        raise ValueError("TensorBoard output needs tensorboardX: pip install 'gato-jax[tensorboard]', or turn it off")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics file, in order; a last line that a crash cut short is left out."""
    lines = path.read_text().split("\n")
    return [json.loads(line) for line in lines[:-1]]
