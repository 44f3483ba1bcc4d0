"""Checkpoints of a run: complete or absent, verified before use, never unpickled.

    <run>/checkpoints/<step>/
        params/          the model's parameters, nested dicts of arrays (Orbax)
        train_state/     all else that training needs to continue (Orbax)
        data_state.json  where the data iterator stood
        config.json      the resolved RunConfig
        tokenizer.model  the SentencePiece model, where the run has one
        manifest.json    step, score, and the size and SHA-256 of every other file; written last

Orbax restores flipped bits without a word, so every file is checked against the manifest before any array is read.
Every process writes the shards that it holds; a checkpoint loads on any number and kind of devices. One run at a time
writes to a folder.
"""

from gato.checkpoint.arrays import Arrays, leaf_name, restore_like
from gato.checkpoint.folders import latest_checkpoint, list_checkpoints, set_aside, step_folder, step_folders
from gato.checkpoint.manifest import DamagedCheckpointError
from gato.checkpoint.reading import Checkpoint, identity, load_checkpoint, load_config, score_of, verify_checkpoint
from gato.checkpoint.writing import CheckpointWriter, Retention, save_checkpoint

__all__ = [
    "Arrays",
    "Checkpoint",
    "CheckpointWriter",
    "DamagedCheckpointError",
    "Retention",
    "identity",
    "latest_checkpoint",
    "leaf_name",
    "list_checkpoints",
    "load_checkpoint",
    "load_config",
    "restore_like",
    "save_checkpoint",
    "score_of",
    "set_aside",
    "step_folder",
    "step_folders",
    "verify_checkpoint",
]
