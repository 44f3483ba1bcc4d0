"""`gato data prepare`: encodes every source of a run once, for machines that only train."""

from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from gato.experiments.preparing import SOURCES_FILE, prepare_sources
from gato.experiments.run_configs import load_settings


def prepare(
    config: Annotated[str, tyro.conf.Positional],
    out: Path,
    sources: Path | None = None,
    tokenizer: Path | None = None,
    set: tuple[str, ...] = (),
) -> None:
    """Encodes the sources of a run. Example: gato data prepare gato-79m --sources sources.json --out prepared

    Sources that the folder holds already are kept, so an interrupted call goes on.

    Args:
        config: a shipped run (see `gato info`), a run folder, or a .py or .json file.
        out: folder; each source gets a folder of its name in it, beside the tokenizer and a sources.json for training.
        sources: JSON list of data sources, in place of the config's; paths count from its folder.
        tokenizer: SentencePiece model; if not given, the one in `out`, or a new one trained on the sources' text.
        set: settings by name, as for `gato train`.
    """
    console = Console()
    kept = prepare_sources(load_settings(config, sources, set), out, tokenizer, console)
    with_tokenizer = "" if kept is None else f" --tokenizer {kept}"
    console.print(f"train with: gato train {config} --sources {out / SOURCES_FILE}{with_tokenizer}", soft_wrap=True)
