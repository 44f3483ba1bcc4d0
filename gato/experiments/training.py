"""One training run in its folder: text tokenizer, scales, batches and checkpoints."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import jax
from rich.console import Console

from gato.checkpoint import DamagedCheckpointError, list_checkpoints, restore_like
from gato.checkpoint import load_config as load_checkpoint_config
from gato.config import DataConfig, RunConfig
from gato.data.corpus import corpus
from gato.data.mixture import build_mixture
from gato.data.prepared import PreparedSource
from gato.data.scaling import with_scales
from gato.data.sources.opening import open_source
from gato.experiments.starting_weights import StartingWeights
from gato.files import replace_file
from gato.model.gato import init_parameters
from gato.run_files import TOKENIZER_FILE
from gato.tokenizer.language import SPEAKERS
from gato.tokenizer.text import TextTokenizer
from gato.training.held_out import HeldOutLoss
from gato.training.lock import lock_run
from gato.training.loop import TrainResult
from gato.training.loop import train as run_training
from gato.training.parallel import MeshSharding
from gato.training.progress import line_printer
from gato.training.run_folder import require_startable
from gato.training.skip_log import SkipLog
from gato.training.step import model_loss
from gato.training.trainable import freeze

CORPUS_RECORDS = 7_000  # records of each source that a new text tokenizer is trained on


def train_run(
    config: RunConfig,
    run: Path,
    *,
    text: TextTokenizer | None,
    resume: bool = False,
    overwrite: bool = False,
    weights: StartingWeights | None = None,
    tensorboard: bool = False,
    console: Console,
) -> TrainResult:
    """Trains a complete config in a run folder; for `gato train` and the quickstart.

    Args:
        weights: what a new run begins with in place of fresh parameters; no more than that of a resumed one.

    Raises:
        FileExistsError: another process trains in the folder, or `gato.training.loop.train` refuses it.
        ValueError: the folder holds another text tokenizer, or the weights do not fit; or as
            `gato.training.loop.train`.
    """
    if weights is not None:
        weights.require_fit(config)
    say = line_printer(console)
    # Of the processes of one run, the first locks the folder for all.
    with lock_run(run, say) if jax.process_index() == 0 else contextlib.nullcontext():
        require_startable(run, resume=resume, overwrite=overwrite)
        if text is not None and jax.process_index() == 0:
            _keep_tokenizer(run / TOKENIZER_FILE, text, resume=resume)
        config = _with_scales(config, run, text, resume=resume, weights=weights, say=say)
        num_rows = config.training.num_steps * config.data.batch_size
        sharding = MeshSharding(config.parallel)
        build = functools.partial(
            build_mixture,
            config.data,
            config.tokenizer,
            text,
            seed=config.seed,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )
        batches = build(num_rows=num_rows)
        if any(source.max_epochs or source.max_tokens for source in config.data.sources):
            shares = ", ".join(
                f"{name} {share:.1%}" for name, share in zip(batches.source_names, batches.row_shares, strict=True)
            )
            say(f"rows by source, within their budgets: {shares}")
        loss_function = model_loss(config.model, config.tokenizer, len(batches.source_names), sharding)
        held_out = HeldOutLoss(
            loss_function,
            lambda: SkipLog(build(held_out=True), run, console, resume=True),
            config.training.held_out_batches,
            batches.source_names,
            put=sharding.put_rows,
        )
        parameter_key, step_key = jax.random.split(jax.random.key(config.seed))
        fresh = functools.partial(init_parameters, config.model, config.tokenizer)
        if weights is None:
            params = sharding.make(fresh, parameter_key)
        else:
            expected = jax.eval_shape(fresh, parameter_key)
            params = sharding.put(restore_like(expected, weights.checkpoint.params, "parameters"))
            if jax.process_index() == 0 and not (resume and list_checkpoints(run)):
                run.mkdir(parents=True, exist_ok=True)
                weights.record(run)
                say(f"begins with the weights of {weights.path}, step {weights.checkpoint.step}")
        return run_training(
            config,
            run_folder=run,
            params=params,
            loss_function=freeze(loss_function, config.optimizer),
            batches=SkipLog(batches, run, console, resume=resume),
            key=step_key,
            evaluators=[held_out] if config.training.evaluate_every else [],
            tokenizer_model=None if text is None else text.to_bytes(),
            resume=resume,
            overwrite=overwrite,
            tensorboard=tensorboard,
            console=console,
            sharding=sharding,
        )


def _keep_tokenizer(path: Path, text: TextTokenizer, *, resume: bool) -> None:
    """Writes the text tokenizer of a run; a resumed run has it already."""
    if path.exists() and path.read_bytes() == text.to_bytes():
        return
    if resume and path.exists():
        raise ValueError(
            f"{path} is another text tokenizer than the one given: leave --tokenizer out, or use --overwrite"
        )
    replace_file(path, text.to_bytes())


def _with_scales(
    config: RunConfig,
    run: Path,
    text: TextTokenizer | None,
    *,
    resume: bool,
    weights: StartingWeights | None,
    say: Callable[[str], None],
) -> RunConfig:
    """Returns the run with the fields of its scaled sources: those it was started with, or else newly measured ones.

    A new run takes over those of the sources that its weights were trained on, so that numbers mean what they meant.

    Raises:
        ValueError: a resumed run is scaled in another way than it was begun; or as `gato.data.scaling.with_scales`.
    """
    data = config.data
    if resume and (saved := _saved_config(run)) is not None:
        begun = {source.name: source for source in saved.data.sources}
        sources = []
        for source in data.sources:
            before = begun.get(source.name, source)
            if before.scaling != source.scaling:
                raise ValueError(
                    f"source {source.name!r}: scaling was {before.scaling!r} and is {source.scaling!r} now: a resumed "
                    "run keeps it; restore it, or start another run"
                )
            sources.append(dataclasses.replace(source, fields=source.fields or before.fields))
        data = dataclasses.replace(data, sources=tuple(sources))
    elif weights is not None:
        sources = []
        for source in data.sources:
            before = weights.sources.get(source.name, source)
            known = before.fields if before.scaling == source.scaling else ()
            sources.append(dataclasses.replace(source, fields=source.fields or known))
        data = dataclasses.replace(data, sources=tuple(sources))
    return dataclasses.replace(config, data=with_scales(data, config.tokenizer, text, report=say))


def _saved_config(run: Path) -> RunConfig | None:
    """Returns the config of the newest checkpoint whose config can be read; None if there is none."""
    for folder in reversed(list_checkpoints(run)):
        with contextlib.suppress(DamagedCheckpointError):
            return load_checkpoint_config(folder)
    return None


def text_tokenizer(data: DataConfig, vocab_size: int) -> TextTokenizer | None:
    """Trains a SentencePiece model on the text of the sources; None where they hold no text.

    It depends on the sources alone: the same sources give the same model.

    Raises:
        ValueError: there is too little text for the vocabulary, or a source was prepared with a tokenizer of its own.
    """
    sources = []
    for source in data.sources:
        if source.kind != "prepared":
            sources.append(source)
        elif PreparedSource(source.path, source.name).encoding["text_model"] is not None:
            raise ValueError(
                f"source {source.name!r} was prepared with a text tokenizer: give the one that lies beside it, such as "
                f"--tokenizer {Path(source.path).parent / TOKENIZER_FILE}"
            )
    skip_bad = {source.name for source in sources if source.bad_records == "skip"}
    texts = list(corpus(map(open_source, sources), CORPUS_RECORDS, skip_bad=skip_bad))
    return TextTokenizer.train(texts, vocab_size, whole=tuple(SPEAKERS.values())) if texts else None


def with_text(
    settings: RunConfig, tokenizer: Path | None, weights: StartingWeights | None = None
) -> tuple[RunConfig, TextTokenizer | None]:
    """Returns the run with a text tokenizer: from a file, that of its weights, or one trained on the sources' text.

    It has none where neither weights nor sources hold text.

    Raises:
        ValueError: the file is of another tokenizer than the weights were trained with.
    """
    text = None if tokenizer is None else TextTokenizer.load(tokenizer)
    if weights is not None:
        text = weights.text(text)
    elif text is None:
        text = text_tokenizer(settings.data, settings.tokenizer.text_vocab_size)
    if text is None:
        return settings, None
    sized = dataclasses.replace(settings.tokenizer, text_vocab_size=text.vocab_size)
    return dataclasses.replace(settings, tokenizer=sized), text
