"""Weights to share: a folder that holds parameters as safetensors and nothing that could run.

    <folder>/
        model.safetensors   the parameters; several numbered files and an index where they are large
        config.json         the RunConfig, without places on its author's machine
        tokenizer.model     the SentencePiece model, where the run has one
        scores.json         what `gato evaluate` measured, if given
        README.md           the model card; may be edited
        release.json        format, step, and size and SHA-256 of every file but the card; written last

A digest tells that files are what was written, not who wrote them. Reading them is safe whoever did: numbers, JSON
and a SentencePiece model are parsed, nothing is unpickled or imported.
"""

from gato.release.folder import write_release
from gato.release.opening import identity, load_checkpoint, load_config
from gato.release.record import RELEASE_FILE

__all__ = [
    "RELEASE_FILE",
    "identity",
    "load_checkpoint",
    "load_config",
    "write_release",
]
