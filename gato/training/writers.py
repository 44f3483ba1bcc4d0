"""Where metrics go: a JSONL file always, TensorBoard if asked for."""

import math
import socket
import struct
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from gato.files import append, append_line, continue_lines, read_lines


class MetricWriter(Protocol):
    """Takes the numbers of one step."""

    def write(self, step: int, values: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class JsonlWriter:
    """Appends one line of JSON per call, at once and whole: a crash or a full disk costs at most that line."""

    def __init__(self, path: Path, *, last_step: int) -> None:
        """Opens the file, without the lines past `last_step`: a resumed run writes those again.

        Raises:
            ValueError: the file holds something else than metrics.
        """
        kept = [line for line in read_metrics(path) if line["step"] <= last_step] if path.exists() else []
        self._file = continue_lines(path, kept)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        append_line(self._file, {"step": step, **finite})

    def close(self) -> None:
        self._file.close()


class TensorBoardWriter:
    """Writes scalars for TensorBoard, each step at once and whole.

    The package's own writer hands them to a thread: a full disk ends that thread, and everybody then waits for it.
    """

    def __init__(self, folder: Path, *, last_step: int) -> None:
        """Begins a file; what others of the folder show past `last_step` is purged. Raises as `require_tensorboard`."""
        require_tensorboard()
        from tensorboardX.proto import event_pb2, summary_pb2  # an optional extra

        self._event, self._value = event_pb2.Event, summary_pb2.Summary.Value
        self._summary = summary_pb2.Summary
        folder.mkdir(parents=True, exist_ok=True)
        now_s = time.time()
        path = folder / f"events.out.tfevents.{now_s:.6f}.{socket.gethostname()}"
        self._file = path.open("ab", buffering=0)
        started = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._append(self._event(wall_time=now_s, file_version="brain.Event:2"))
        self._append(self._event(wall_time=now_s, step=last_step + 1, session_log=started))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        scalars = [self._value(tag=name, simple_value=value) for name, value in values.items()]
        self._append(self._event(wall_time=time.time(), step=step, summary=self._summary(value=scalars)))

    def close(self) -> None:
        self._file.close()

    def _append(self, event: Any) -> None:  # Any: of an optional package
        from tensorboardX.record_writer import masked_crc32c

        data = event.SerializeToString()
        length = struct.pack("<Q", len(data))
        # A record of TFRecord: length, its checksum, data, their checksum.
        append(
            self._file,
            length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data)),
        )


def require_tensorboard() -> None:
    """Raises ValueError if tensorboardX is not installed."""
    if find_spec("tensorboardX") is None:
        raise ValueError("TensorBoard output needs tensorboardX: pip install 'gato-jax[tensorboard]', or turn it off")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Reads the lines of a metrics file, in order; a last line that a crash cut short is left out.

    Raises:
        ValueError: another line is no JSON object with a step; the message names it.
    """
    lines = read_lines(path)
    for number, line in enumerate(lines, start=1):
        if "step" not in line:
            raise ValueError(f"{path}:{number} has no step: it is no file of metrics, move it away to go on without it")
    return lines
