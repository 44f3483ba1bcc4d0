"""Audits the data of a run, with a text tokenizer and reference scores found for it."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gato.audit.mixture import MixtureAudit, References, audit_mixture
from gato.audit.sample import AuditLimits
from gato.config import DataConfig, RunConfig
from gato.data.corpus import corpus
from gato.data.sources.minari_format import reference_scores
from gato.data.sources.opening import open_source
from gato.envs import find_task
from gato.run_files import TOKENIZER_FILE
from gato.tokenizer.language import SPEAKERS
from gato.tokenizer.text import TextTokenizer

_LEARNED_PIECES = (2_000, 1_000, 500, 300)  # sizes of a text tokenizer learned for the report, the first that fits
_LEARNED_RECORDS = 500  # of each source


def audit_run(
    run: RunConfig,
    config: Path,
    *,
    root: Path | None,
    tokenizer: Path | None,
    limits: AuditLimits,
    report_progress: Callable[[str], None],
) -> tuple[MixtureAudit, str]:
    """Audits the sources of a run.

    Args:
        run: whose data is audited.
        config: where the run was read from; a text tokenizer may lie beside it.
        root: folder that relative paths of sources count from.
        tokenizer: SentencePiece model; if None, the one beside the config, or one learned from a sample.
        limits: how much is read of each source.
        report_progress: gets the name of each source before it is read.

    Returns:
        The audit, and a sentence on the text tokenizer, empty where the sources hold no text.
    """
    if root is not None:  # an absolute path stays as it is
        placed = [replace(source, path=str(root / source.path)) for source in run.data.sources]
        run = replace(run, data=replace(run.data, sources=tuple(placed)))
    text, note = _text_tokenizer(run.data, run.tokenizer.text_vocab_size, tokenizer, config)
    if text is not None:
        run = replace(run, tokenizer=replace(run.tokenizer, text_vocab_size=text.vocab_size))
    mixture = audit_mixture(
        run.data,
        run.tokenizer,
        text,
        open_source,
        limits=limits,
        references=_references(run.data),
        num_rows=run.training.num_steps * run.data.batch_size,
        report_progress=report_progress,
    )
    return mixture, note


def _text_tokenizer(
    data: DataConfig, vocab_size: int, given: Path | None, config: Path
) -> tuple[TextTokenizer | None, str]:
    """Returns a text tokenizer and a sentence on it; None where the sources hold no text."""
    kept = config.parent / TOKENIZER_FILE
    if given is not None or (config.is_file() and kept.is_file()):
        path = given or kept
        return TextTokenizer.load(path), f"Text is counted in the pieces of {path.name}."
    texts: list[str] = []
    for source in data.sources:
        with contextlib.suppress(ValueError, FileNotFoundError, ImportError):  # the audit says so
            texts += list(corpus([open_source(source)], _LEARNED_RECORDS))
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


def _references(data: DataConfig) -> dict[str, References]:
    """Returns scores of the tasks that have the names of sources, or else those that a Minari dataset states."""
    found = {}
    for source in data.sources:
        task = find_task(source.name)
        if task is not None and task.scores is not None:
            expert = None if task.scores.expert is None else task.scores.expert.mean
            found[source.name] = References(random=task.scores.random.mean, expert=expert)
        elif source.kind == "minari" and (stated := reference_scores(source.path)) is not None:
            found[source.name] = References(random=stated[0], expert=stated[1])
    return found
