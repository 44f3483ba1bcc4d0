"""Encodes every source of a run once, for machines that only train."""

import dataclasses
import functools
import json
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from gato.config import RunConfig
from gato.data.encoded import SequenceCache, encoding_of
from gato.data.opened import open_encoded
from gato.data.prepared import write_prepared
from gato.data.scaling import with_scales
from gato.experiments.training import with_text
from gato.files import replace_file
from gato.run_files import TOKENIZER_FILE
from gato.training.progress import line_printer

SOURCES_FILE = "sources.json"


def prepare_sources(settings: RunConfig, out: Path, tokenizer: Path | None, console: Console) -> Path | None:
    """Writes each source that the folder does not hold yet, and a sources.json for training.

    Args:
        settings: of the run.
        out: folder; each source gets a folder of its name in it.
        tokenizer: SentencePiece model; if None, the one in `out`, or a new one trained on the sources' text.
        console: where progress is shown.

    Returns:
        The tokenizer in the folder, None where the sources hold no text.
    """
    say = line_printer(console)
    kept = out / TOKENIZER_FILE
    settings, text = with_text(settings, tokenizer or (kept if kept.exists() else None))
    out.mkdir(parents=True, exist_ok=True)
    if text is not None:
        replace_file(kept, text.to_bytes())
    data = with_scales(settings.data, settings.tokenizer, text, report=say)
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
                    data,
                    settings.tokenizer,
                    text,
                    terminal_observation=terminal,
                    fields=source.fields,
                    learned_actions=source.learned_actions,
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
                    say(f"skipped {reason}")
            entry = dataclasses.asdict(dataclasses.replace(source, kind="prepared", path=source.name, options={}))
            entries.append(entry)
    replace_file(out / SOURCES_FILE, json.dumps(entries, indent=2) + "\n")
    return None if text is None else kept
