"""`gato data report`: what a mixture holds and what to do about it, before anything is trained."""

import json
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from gato.audit.advice import Advice, advise, group, name_sources
from gato.audit.mixture import MixtureAudit, plain
from gato.audit.sample import AuditLimits
from gato.config import RunConfig
from gato.experiments.data_audit import audit_run
from gato.experiments.run_configs import load_run, load_sources, read_json
from gato.reports.audit_page import audit_page
from gato.reports.audit_tables import kind_table, summary_table
from gato.reports.page import write_page
from gato.training.progress import line_printer

_LIMITS = AuditLimits()


def report(
    config: Annotated[str, tyro.conf.Positional],
    sources: Path | None = None,
    root: Path | None = None,
    tokenizer: Path | None = None,
    set: tuple[str, ...] = (),
    html: Path | None = None,
    as_json: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
    limits: Annotated[AuditLimits, tyro.conf.arg(name="")] = _LIMITS,
) -> None:
    """Measures the data of a run. Example: gato data report sources.json --html report.html

    Args:
        config: a run as for `gato train`, or a .json list of data sources.
        sources: JSON list of data sources, in place of the config's; paths count from its folder.
        root: folder that relative paths of the config's sources count from.
        tokenizer: SentencePiece model of the run; if not given, that beside the config, or one learned from a sample.
        set: settings by name, as in `--set data.context_length=512`.
        html: write the whole report as one HTML file.
        as_json: write every number as JSON.
        limits: how much is read of each source.
    """
    console = Console()
    run = _load(config, sources).override(set)
    mixture, note = audit_run(
        run,
        Path(config),
        root=root,
        tokenizer=tokenizer,
        limits=limits,
        report_progress=lambda name: console.print(f"reading {name}", style="dim"),
    )
    advice = advise(mixture)
    _print(console, mixture, advice, note)
    if html is not None:
        title = f"The data of {Path(config).stem}"
        write_page(html, audit_page(mixture, advice, title=title, text_note=note))
        console.print(f"wrote {html}")
    if as_json is not None:
        content = {"audit": plain(mixture), "advice": plain(advice), "text": note}
        as_json.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
        console.print(f"wrote {as_json}")


def _load(config: str, sources: Path | None) -> RunConfig:
    """Loads the named run, or the default run with the named sources."""
    path = Path(config)
    if path.suffix == ".json" and path.is_file() and isinstance(read_json(path), list):
        if sources is not None:
            raise ValueError(f"{config} is a list of sources, and --sources {sources} another: give one of them")
        return RunConfig().with_sources(load_sources(path))
    return load_run(config, sources)


def _print(console: Console, mixture: MixtureAudit, advice: list[Advice], note: str) -> None:
    say = line_printer(console)
    say(f"{kind_table(mixture)}\n")
    say(f"{summary_table(mixture)}\n")
    for same in group(advice):
        first = same[0]
        such = f"{len(same)} sources, such as {first.source}: " if len(same) > 1 else ""
        say(f"{first.verb} {name_sources(same)}: {such}{first.text}  [{first.rule}]")
    if not advice:
        console.print("no rule found anything to change")
    if note:
        console.print(note, style="dim", highlight=False)
