"""`release.json`: what a released folder holds, so that every change to it is found before a file is used."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from gato.checkpoint import DamagedCheckpointError
from gato.checkpoint.manifest import WrittenFile, manifest_digest
from gato.files import sync
from gato.run_files import CONFIG_FILE, SCORES_FILE, TOKENIZER_FILE

RELEASE_FILE = "release.json"
RELEASE_VERSION = 1  # of the folder; raised when a reader of the old form would misread the new one
INDEX_FILE = "model.safetensors.index.json"
CARD_FILE = "README.md"

DType = Literal["float32", "bfloat16"]

_FORMAT = "gato-release"
_TENSORS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors")
_PICKLES = frozenset({".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"})
_REMEDY = "get the folder again, with `gato pull` if it came from a hub"


@dataclass(frozen=True, kw_only=True)
class ReleaseRecord:
    """The content of `release.json`."""

    step: int  # of the run, when the parameters were saved
    dtype: DType  # of matrices and tables
    written_by: str  # version of this package
    exported_from: Mapping[str, Any]  # identity of the checkpoint that it was made from
    files: Mapping[str, WrittenFile]  # all but `release.json` and the card

    @property
    def tensor_files(self) -> list[str]:
        return sorted(name for name in self.files if _TENSORS.fullmatch(name))

    @property
    def digest(self) -> str:
        """Returns the identity of the release."""
        return manifest_digest(self._plain())

    def to_json(self) -> str:
        return json.dumps({**self._plain(), "sha256": self.digest}, indent=2) + "\n"

    def _plain(self) -> dict[str, Any]:
        return {"format": _FORMAT, "format_version": RELEASE_VERSION, **asdict(self)}


def is_release_file(name: str) -> bool:
    """Returns whether a record may name such a file."""
    return name in (CONFIG_FILE, TOKENIZER_FILE, SCORES_FILE, INDEX_FILE) or _TENSORS.fullmatch(name) is not None


def describe(folder: Path) -> dict[str, WrittenFile]:
    """Brings every file to the disk and describes those that a record names."""
    sync(folder / CARD_FILE)
    paths = sorted(path for path in folder.iterdir() if path.name not in (RELEASE_FILE, CARD_FILE))
    return {path.name: WrittenFile.of(path) for path in paths}


def read_record(folder: Path) -> ReleaseRecord:
    """Reads the record of a released folder; no other file is opened.

    Raises:
        DamagedCheckpointError: it cannot be read, was altered, or names files that no release has.
        ValueError: it is of another format version; the message names both.
    """
    path = folder / RELEASE_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        digest, found, version = content.pop("sha256"), content.pop("format"), content.pop("format_version")
        writer = content.get("written_by")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedCheckpointError(f"{path} cannot be read ({error!r}): {_REMEDY}") from error
    if found != _FORMAT:
        raise DamagedCheckpointError(f"{path} is of format {found!r}, expected {_FORMAT!r}: it is no release of gato")
    if version != RELEASE_VERSION:
        raise ValueError(
            f"{path} is of release version {version!r}, written by {writer!r}; this version of gato reads "
            f"{RELEASE_VERSION}: use the version that wrote it, or a newer one"
        )
    try:
        files = {name: WrittenFile(**entry) for name, entry in content.pop("files").items()}
        record = ReleaseRecord(**content, files=files)
        for field, kind in (("step", int), ("written_by", str), ("exported_from", dict)):
            if not isinstance(getattr(record, field), kind):
                raise TypeError(f"{field} is {getattr(record, field)!r}, expected {kind.__name__}")
        actual = record.digest
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise DamagedCheckpointError(f"{path} cannot be read ({error!r}): {_REMEDY}") from error
    if digest != actual:
        raise DamagedCheckpointError(f"{path} was altered after it was written: {_REMEDY}")
    for name in files:
        if not is_release_file(name):  # a path that leads out of the folder, for one
            raise DamagedCheckpointError(f"{path} names the file {name!r}, which no release of gato has")
    if CONFIG_FILE not in files or not record.tensor_files:
        raise DamagedCheckpointError(f"{path} names the files {sorted(files)}, expected a config and parameters")
    return record


def verify(folder: Path, record: ReleaseRecord, names: Collection[str] | None = None) -> None:
    """Compares files with their record.

    Args:
        folder: what is in it beside the files of a release, such as films, is never opened.
        record: of the folder.
        names: of the record's files; None compares all.

    Raises:
        DamagedCheckpointError: one is missing or altered; there are other parameters beside those of the record; the
            message names the file.
        ValueError: there is a pickle file.
    """
    refuse_pickles(folder)
    for path in sorted(folder.glob("*.safetensors")):
        if path.name not in record.files:
            raise DamagedCheckpointError(f"{path} is not part of the release: remove it")
    for name in sorted(record.files if names is None else names):
        if not (folder / name).is_file():
            raise DamagedCheckpointError(f"{folder / name} is missing: {_REMEDY}")
        record.files[name].require(folder / name, _REMEDY)


def refuse_pickles(folder: Path) -> None:
    """Raises ValueError if a folder holds a file of a kind that pickles are kept in."""
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in _PICKLES:
            raise ValueError(
                f"{path} looks like a pickle file, which can run any code when it is opened: gato reads parameters "
                "from safetensors files only; delete it, or ask its author for what `gato export` writes"
            )
