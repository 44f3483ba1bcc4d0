"""`gato data`: what a mixture holds and what to do about it, and its records encoded, before anything is trained."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, TypeAlias

import tyro
from rich.console import Console

from gato.audit.advice import Advice, advise, group, name_sources
from gato.audit.mixture import MixtureAudit, References, audit_mixture, plain
from gato.audit.sample import AuditLimits
from gato.cli.prepare import prepare
from gato.config import DataConfig, RunConfig
from gato.data.corpus import corpus
from gato.data.sources.minari_format import reference_scores
from gato.data.sources.opening import open_source
from gato.envs import find_task
from gato.experiments.run_configs import load_config, load_sources, read_json
from gato.reports.audit_page import audit_page
from gato.reports.audit_tables import kind_table, summary_table
from gato.reports.page import write_page
from gato.tokenizer.language import SPEAKERS
from gato.tokenizer.text import TextTokenizer

_LEARNED_PIECES = (2_000, 1_000, 500, 300)  # sizes of a text tokenizer learned for the report, the first that fits
_LEARNED_RECORDS = 500  # of each source
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
    if root is not None:
        placed = [
            dataclasses.replace(source, path=str(root / source.path)) for source in run.data.sources
        ]  # an absolute path stays as it is
        run = dataclasses.replace(run, data=dataclasses.replace(run.data, sources=tuple(placed)))
    text, note = _text_tokenizer(run.data, run.tokenizer.text_vocab_size, tokenizer, Path(config))
    if text is not None:
        sized = dataclasses.replace(run.tokenizer, text_vocab_size=text.vocab_size)
        run = dataclasses.replace(run, tokenizer=sized)
    mixture = audit_mixture(
        run.data,
        run.tokenizer,
        text,
        open_source,
        limits=limits,
        references=_references(run.data),
        num_rows=run.training.num_steps * run.data.batch_size,
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


_Command: TypeAlias = (
    Annotated[None, tyro.conf.subcommand(name="report", constructor=report, prefix_name=False)]
    | Annotated[None, tyro.conf.subcommand(name="prepare", constructor=prepare, prefix_name=False)]
)


def data(command: Annotated[_Command, tyro.conf.arg(name="")]) -> None:
    """Looks at data before it is trained on, or encodes it beforehand: report or prepare.

    Args:
        command: what to do.
    """


def _load(config: str, sources: Path | None) -> RunConfig:
    """The run that is named, or the default one with the sources that are."""
    path = Path(config)
    if path.suffix == ".json" and path.is_file() and isinstance(read_json(path), list):
        if sources is not None:
            raise ValueError(f"{config} is a list of sources, and --sources {sources} another: give one of them")
        return RunConfig().with_sources(load_sources(path))
    run = load_config(config)
    return run if sources is None else run.with_sources(load_sources(sources))


def _text_tokenizer(
    data: DataConfig, vocab_size: int, given: Path | None, config: Path
) -> tuple[TextTokenizer | None, str]:
    """A text tokenizer, and how it came about; None where the sources hold no text."""
    kept = config.parent / "tokenizer.model"
    if given is not None or (config.is_file() and kept.is_file()):
        path = given or kept
        return TextTokenizer.load(path), f"Text is counted in the pieces of {path.name}."
    opened = []
    for source in data.sources:
        try:
            opened.append(open_source(source))
        except (ValueError, FileNotFoundError, ImportError):
            continue  # the audit says so
    texts = _readable(opened)
    if not any(texts):
        return None, ""
    for size in _LEARNED_PIECES:
        if size > vocab_size:
            continue
        try:
            text = TextTokenizer.train(texts, size, whole=tuple(SPEAKERS.values()))
        except ValueError:
            continue  # too little text for so many pieces
        return text, f"Text is counted in {size:,} pieces learned from a sample; give --tokenizer for those of a run."
    raise ValueError("the sources hold too little text to learn a tokenizer from: give one with --tokenizer")


def _readable(opened: list) -> list[str]:
    """The texts of the sources that can be read."""
    texts = []
    for source in opened:
        try:
            texts += list(corpus([source], _LEARNED_RECORDS))
        except ValueError:
            continue  # the audit says so
    return texts


def _references(data: DataConfig) -> dict[str, References]:
    """Scores of the tasks that have the names of sources, or else those that a Minari dataset states of itself."""
    found = {}
    for source in data.sources:
        task = find_task(source.name)
        scores = None if task is None else task.scores
        if scores is not None:
            expert = None if scores.expert is None else scores.expert.mean
            found[source.name] = References(random=scores.random.mean, expert=expert)
        elif source.kind == "minari" and (stated := reference_scores(source.path)) is not None:
            found[source.name] = References(random=stated[0], expert=stated[1])
    return found


def _print(console: Console, mixture: MixtureAudit, advice: list[Advice], note: str) -> None:
    console.print(str(kind_table(mixture)), soft_wrap=True, highlight=False, markup=False)
    console.print()
    console.print(str(summary_table(mixture)), soft_wrap=True, highlight=False, markup=False)
    console.print()
    for same in group(advice):
        first = same[0]
        such = f"{len(same)} sources, such as {first.source}: " if len(same) > 1 else ""
        console.print(
            f"{first.verb} {name_sources(same)}: {such}{first.text}  [{first.rule}]",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    if not advice:
        console.print("no rule found anything to change")
    if note:
        console.print(note, style="dim", highlight=False)
