"""A released folder, written whole or not at all and verified before use."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from gato.checkpoint import Checkpoint, restore_like
from gato.config import RunConfig
from gato.files import new_folder, sync
from gato.release.record import (
    CARD_FILE,
    RELEASE_FILE,
    DType,
    ReleaseRecord,
    describe,
    read_record,
    verify,
)
from gato.release.tensors import expected_parameters, load_parameters, save_parameters
from gato.release.withheld import public_config, public_tokenizer
from gato.run_files import CONFIG_FILE, SCORES_FILE, TOKENIZER_FILE

MAX_SHARD_BYTES = 5_000_000_000  # of one file of parameters
NO_OVERWRITE = "a release is never overwritten, choose another folder"


def write_release(
    folder: Path,
    checkpoint: Checkpoint,
    *,
    card: str,
    written_by: str,
    exported_from: Mapping[str, Any],
    dtype: DType = "float32",
    scores: str | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> Path:
    """Writes the folder, which appears complete or not at all.

    Args:
        folder: does not exist yet.
        checkpoint: parameters, config and tokenizer; the rest is not released.
        card: text of README.md.
        written_by: version of this package.
        exported_from: identity of the checkpoint.
        dtype: "bfloat16" halves the size of matrices and tables and rounds them.
        scores: content of a file of `gato evaluate`.
        max_shard_bytes: of one file of parameters.

    Raises:
        FileExistsError: the folder exists.
        ValueError: the parameters are not those of the config, or not finite; a setting holds a path.
    """
    if dtype not in get_args(DType):
        raise ValueError(f"dtype is {dtype!r}, expected one of {list(get_args(DType))}")
    if max_shard_bytes < 1:
        raise ValueError(f"max_shard_bytes is {max_shard_bytes}, needs 1 or more")
    config = public_config(checkpoint.config)
    params = restore_like(expected_parameters(config), checkpoint.params, "parameters")
    with new_folder(folder, remedy=NO_OVERWRITE) as unfinished:
        save_parameters(unfinished, params, dtype, max_shard_bytes)
        config.save(unfinished / CONFIG_FILE)
        if checkpoint.tokenizer_model is not None:
            (unfinished / TOKENIZER_FILE).write_bytes(public_tokenizer(checkpoint.tokenizer_model))
        if scores is not None:
            (unfinished / SCORES_FILE).write_text(scores, encoding="utf-8")
        (unfinished / CARD_FILE).write_text(card, encoding="utf-8")
        record = ReleaseRecord(
            step=checkpoint.step,
            dtype=dtype,
            written_by=written_by,
            exported_from=dict(exported_from),
            files=describe(unfinished),
        )
        (unfinished / RELEASE_FILE).write_text(record.to_json(), encoding="utf-8")
        sync(unfinished / RELEASE_FILE)
    return folder


def load_release(folder: Path) -> Checkpoint:
    """Loads parameters (float32), config and tokenizer of a released folder; every file read is verified first.

    Raises:
        DamagedCheckpointError: a file is missing, foreign or altered, or the tensors are not those of the config.
        ValueError: of another release version, with settings that this version does not know, or with a pickle file.
    """
    record = read_record(folder)
    verify(folder, record)
    config = _config(folder, record)
    return Checkpoint(
        step=record.step,
        config=config,
        params=load_parameters([folder / name for name in record.tensor_files], config),
        tokenizer_model=(folder / TOKENIZER_FILE).read_bytes() if TOKENIZER_FILE in record.files else None,
        train_state=None,
        data_state=None,
    )


def load_release_config(folder: Path) -> RunConfig:
    """Loads the config of a released folder, verified; no tensor is read. Raises as `load_release`."""
    record = read_record(folder)
    verify(folder, record, [CONFIG_FILE])
    return _config(folder, record)


def release_identity(folder: Path) -> dict[str, Any]:
    """Returns step and digest of a released folder; raises as `load_release`."""
    record = read_record(folder)
    verify(folder, record, [CONFIG_FILE])
    return {"step": record.step, "sha256": record.digest}


def _config(folder: Path, record: ReleaseRecord) -> RunConfig:
    try:
        return RunConfig.load(folder / CONFIG_FILE)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(
            f"{folder / CONFIG_FILE} does not fit this version of gato ({error}); it was written by "
            f"{record.written_by!r}: use that version, or a newer one"
        ) from error
