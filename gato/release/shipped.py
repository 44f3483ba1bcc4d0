"""Agents that come with the package: what commands take by name, and where no other is named."""

from collections.abc import Sequence
from pathlib import Path

import gato.released
from gato.checkpoint.folders import MANIFEST_FILE
from gato.release.record import RELEASE_FILE
from gato.run_files import CHECKPOINTS_FOLDER

DEFAULT = "generalist"


def shipped_agents() -> dict[str, Path]:
    """Returns the folders of the agents that come with the package, by name."""
    (folder,) = map(Path, gato.released.__path__)
    return {path.parent.name: path.parent for path in sorted(folder.glob(f"*/{RELEASE_FILE}"))}


def find_weights(name: str | Path) -> Path:
    """Returns the folder of that name: weights on this machine, or else an agent that comes with the package."""
    path = Path(name)
    return path if holds_weights(path) else shipped_agents().get(str(name), path)


def default_weights() -> Path:
    """Returns the agent that is meant where none is named.

    Raises:
        FileNotFoundError: this installation has none.
    """
    found = shipped_agents().get(DEFAULT)
    if found is None:
        raise FileNotFoundError(
            f"no agent {DEFAULT!r} comes with this installation: name a run, a checkpoint or a released folder"
        )
    return found


def split_weights(arguments: Sequence[str], most: int) -> tuple[Path, list[str]]:
    """Returns the weights that the first of a command's arguments names, or the default ones, and the other arguments.

    Args:
        arguments: as they were given.
        most: how many of them are not weights; one more names weights, whatever it is.

    Raises:
        FileNotFoundError: none are named, and this installation has no default ones.
    """
    if arguments:
        first = arguments[0]
        if len(arguments) > most or holds_weights(Path(first)) or first in shipped_agents():
            return find_weights(first), list(arguments[1:])
    return default_weights(), list(arguments)


def outputs_folder(weights: Path) -> Path:
    """Returns where what is made with weights goes: into their folder; with shipped ones, to runs/<name>."""
    return Path("runs") / weights.name if weights in shipped_agents().values() else weights


def holds_weights(path: Path) -> bool:
    """Returns whether a folder is a run, a checkpoint or a release."""
    return any((path / name).exists() for name in (RELEASE_FILE, MANIFEST_FILE, CHECKPOINTS_FOLDER))
