"""`gato data prepare`: encodes every source of a run once, for machines that only train."""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import Progress

from gato.data.encoded import SequenceCache, encoding_of
from gato.data.opened import open_encoded
from gato.data.prepared import write_prepared
from gato.data.scaling import with_scales
from gato.experiments.run_configs import load_settings
from gato.experiments.training import with_text
from gato.files import replace_file
from gato.run_files import TOKENIZER_FILE

SOURCES_FILE = "sources.json"


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
    settings = load_settings(config, sources, set)
    kept = out / TOKENIZER_FILE
    settings, text = with_text(settings, tokenizer or (kept if kept.exists() else None))
    out.mkdir(parents=True, exist_ok=True)
    if text is not None:
        replace_file(kept, text.to_bytes())
    data = with_scales(
        settings.data,
        settings.tokenizer,
        text,
        report_progress=lambda name: console.print(f"measuring the fields of {name}", markup=False, highlight=False),
    )
    entries = []
    with Progress(console=console) as progress:
        for source in data.sources:
            folder = out / source.name
            if not folder.exists():
                encoded, facts = open_encoded(
                    source, data, settings.tokenizer, text, SequenceCache(0), with_returns=True
                )
                terminal = source.prompt.terminal_observation
                encoding = encoding_of(
                    data, settings.tokenizer, text, terminal_observation=terminal, fields=source.fields
                )
                bar = progress.add_task(source.name, total=len(encoded))
                bad = write_prepared(
                    folder,
                    encoded,
                    facts,
                    encoding,
                    skip_bad=source.bad_records == "skip",
                    advance=functools.partial(progress.advance, bar),
                )
                for reason in bad.values():
                    progress.console.print(f"skipped {reason}", markup=False, highlight=False, soft_wrap=True)
            entry = dataclasses.asdict(dataclasses.replace(source, kind="prepared", path=source.name, options={}))
            entries.append(entry)
    replace_file(out / SOURCES_FILE, json.dumps(entries, indent=2) + "\n")
    with_tokenizer = "" if text is None else f" --tokenizer {kept}"
    console.print(f"train with: gato train {config} --sources {out / SOURCES_FILE}{with_tokenizer}", soft_wrap=True)
