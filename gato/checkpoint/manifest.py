"""The manifest of a step folder: what was written, so that every change to it is found."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from gato.checkpoint.folders import MANIFEST_FILE
from gato.files import sync

FORMAT_VERSION = 1
_REMEDY = "use an older checkpoint of the run"


class DamagedCheckpointError(ValueError):
    """Files of a checkpoint are missing, foreign, or not what was written."""


@dataclass(frozen=True, kw_only=True)
class WrittenFile:
    """Size and digest of a file when it was written."""

    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Self:
        """Brings a file to the disk and describes it."""
        sync(path)
        return cls(size_bytes=path.stat().st_size, sha256=_sha256(path))

    def require(self, path: Path, remedy: str) -> None:
        """Raises DamagedCheckpointError if a file is no longer this one; the message ends with the remedy."""
        size = path.stat().st_size
        if size != self.size_bytes:
            raise DamagedCheckpointError(f"{path} has {size} bytes, {self.size_bytes} were written: {remedy}")
        if _sha256(path) != self.sha256:
            raise DamagedCheckpointError(f"{path} was altered, its SHA-256 does not match: {remedy}")


def write_manifest(folder: Path, step: int, score: float | None) -> None:
    """Brings every file of the folder to the disk and describes it; the manifest is the last file written."""
    files = {name: asdict(WrittenFile.of(path)) for name, path in sorted(_files(folder).items())}
    manifest: dict[str, Any] = {"format_version": FORMAT_VERSION, "step": step, "files": files}
    if score is not None:
        manifest["score"] = score
    text = json.dumps({**manifest, "sha256": manifest_digest(manifest)}, indent=2)
    (folder / MANIFEST_FILE).write_text(text + "\n")
    sync(folder / MANIFEST_FILE)
    sync(folder)


def verify(folder: Path, parts: Collection[str] | None) -> dict[str, Any]:
    """Compares files with the manifest and returns it.

    Args:
        parts: top-level names to compare; None compares all, nothing but the manifest if empty.

    Raises:
        DamagedCheckpointError: a file is missing, foreign or altered; the message names it.
        ValueError: written in a format that this version does not know.
    """
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_text())
        digest = manifest.pop("sha256")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedCheckpointError(f"{folder / MANIFEST_FILE} cannot be read ({error!r}): {_REMEDY}") from error
    if digest != manifest_digest(manifest):
        raise DamagedCheckpointError(f"{folder / MANIFEST_FILE} was altered after it was written: {_REMEDY}")
    if manifest["format_version"] != FORMAT_VERSION:
        raise ValueError(
            f"{folder} has checkpoint format {manifest['format_version']}, this version of gato reads "
            f"{FORMAT_VERSION}: use the version that wrote it"
        )

    def selected(names: Collection[str]) -> set[str]:
        return {name for name in names if parts is None or name.partition("/")[0] in parts}

    present = _files(folder)
    if missing := selected(manifest["files"]) - present.keys():
        raise DamagedCheckpointError(f"{folder / min(missing)} is missing: {_REMEDY}")
    if foreign := selected(present) - manifest["files"].keys():
        raise DamagedCheckpointError(f"{folder / min(foreign)} is not part of the checkpoint: remove it")
    for name in sorted(selected(present)):
        WrittenFile(**manifest["files"][name]).require(present[name], _REMEDY)
    return manifest


def manifest_digest(manifest: dict[str, Any]) -> str:
    """Returns the SHA-256 of a manifest without its own digest: the identity of a checkpoint."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _files(folder: Path) -> dict[str, Path]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    files.pop(MANIFEST_FILE, None)
    return files


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
