"""The training loop: keeps the device busy, writes down what happens, and can be stopped and continued at any step.

A step is started before anything about the one before it is read, and the next batch is on its way to the device
before the host waits. What is drawn at a step depends on the run's key and the step's number only, so a run that
was stopped and resumed ends in the very state, to the bit, of one that never stopped (on the same kind of device).
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from rich.console import Console

from gato.batch import Batch
from gato.checkpoint import (
    Checkpoint,
    CheckpointWriter,
    Retention,
    list_checkpoints,
    load_checkpoint,
    restore_like,
    score_of,
    step_folder,
)
from gato.config import RunConfig, TrainingConfig
from gato.model.gato import Parameters
from gato.model.size import Work, training_flops
from gato.run_files import EVENTS_FILE, METRICS_FILE, TENSORBOARD_FOLDER
from gato.training.events import EventLog
from gato.training.optimizer import make_optimizer, make_schedule
from gato.training.parallel import Layout
from gato.training.progress import ProgressDisplay
from gato.training.report import Report
from gato.training.run_folder import open_run
from gato.training.spikes import SpikeWatch
from gato.training.step import IntervalSums, LossFunction, TrainState, empty_interval, init_state, make_train_step
from gato.training.stop import StopRequest
from gato.training.throughput import peak_of, work_of
from gato.training.writers import JsonlWriter, MetricWriter, TensorBoardWriter, read_metrics, require_tensorboard


class BatchIterator(Protocol):
    """Endless batches whose position can be saved and restored."""

    source_names: tuple[str, ...]  # by source id

    def __next__(self) -> Batch: ...

    def get_state(self) -> dict[str, Any]:
        """The position, in JSON values."""
        ...

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes to a position: the next batch is the one that followed it."""
        ...


# Numbers about the parameters after a step. It must not keep the parameters: the next step consumes them.
Evaluator = Callable[[Parameters, int], Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """Where a run ended."""

    state: TrainState  # on the device
    interrupted: bool  # a signal stopped it before its last step


def train(
    config: RunConfig,
    *,
    run_folder: Path,
    params: Parameters,
    loss_function: LossFunction,
    batches: BatchIterator,
    key: jax.Array,
    evaluators: Sequence[Evaluator] = (),
    tokenizer_model: bytes | None = None,
    resume: bool = False,
    overwrite: bool = False,
    tensorboard: bool = False,
    console: Console | None = None,
    layout: Layout | None = None,
) -> TrainResult:
    """Trains until `config.training.num_steps`, or until Ctrl-C or SIGTERM, and saves the last state either way.

    Args:
        params: initial parameters, consumed by the first step; of a resumed run only their shapes count. The same on
            every process, or already laid out.
        key: the run's key for stochastic depth, dropout and patch positions; the same for a resumed run.
        evaluators: called every `config.training.evaluate_every` steps and after the last one.
        tokenizer_model: SentencePiece model to store in every checkpoint.
        resume: continue from the newest good checkpoint, if there is one.
        overwrite: delete the checkpoints and metrics that the folder holds.
        tensorboard: also write TensorBoard files; needs the extra of that name.
        console: where progress is shown; the terminal if not given. Of several processes only the first shows any.
        layout: how arrays lie on the devices; as `config.parallel` says if not given.

    Raises:
        FileExistsError, DamagedCheckpointError: see `open_run`.
        ValueError: the checkpoint to resume does not fit the config; the data ended; tensorboardX is missing.
        FloatingPointError: `config.training.max_skipped` steps in a row had a non-finite loss or gradient.
    """
    if tensorboard:
        require_tensorboard()
    is_first = jax.process_index() == 0
    console = (console or Console()) if is_first else Console(quiet=True)
    say = functools.partial(console.print, markup=False, highlight=False, soft_wrap=True)
    settings = config.training
    layout = layout or Layout(config.parallel)
    optimizer = make_optimizer(config.optimizer, seed=config.seed)
    empty = layout.put(empty_interval(len(batches.source_names)))
    template = jax.eval_shape(lambda params: init_state(params, optimizer), params)

    newest = _agreed_start(run_folder, config, resume=resume, overwrite=overwrite, say=say)
    if newest is None:
        first_step, interval = 0, empty
        state = layout.make(lambda params: init_state(params, optimizer), layout.put(params))
    else:
        checkpoint = load_checkpoint(newest, train_state=True, placement=layout.of, verified=True)
        state, interval = _restore(checkpoint, template, empty, tokenizer_model)
        batches.set_state(checkpoint.data_state or {})
        first_step = checkpoint.step
        say(f"resuming {run_folder} after step {first_step}")
        del checkpoint
    del params  # the loop holds the only copy of the state
    say(f"{layout}; {config.model.compute_dtype}, attention {config.model.attention}")
    key = layout.make(lambda key: key, key)
    train_step = make_train_step(
        loss_function,
        optimizer,
        make_schedule(config.optimizer),
        accumulate=settings.accumulate,
        max_norm_ratio=settings.max_norm_ratio,
        out_shardings=(layout.shardings(template), layout.shardings(empty)),
    )

    writers: list[MetricWriter] = []
    events = EventLog(run_folder / EVENTS_FILE, first_step=first_step) if is_first else None
    if is_first:
        writers.append(JsonlWriter(run_folder / METRICS_FILE, last_step=first_step))
        if tensorboard:
            writers.append(TensorBoardWriter(run_folder / TENSORBOARD_FOLDER, last_step=first_step))
        writers.append(SpikeWatch(say, read_metrics(run_folder / METRICS_FILE)))
    progress = ProgressDisplay(console, first_step=first_step, num_steps=settings.num_steps)
    best = _Best(settings, run_folder)

    output: IntervalSums | None = None
    stopping = False
    with (
        Report(writers, progress, batches.source_names, events=events, peak_flops=peak_of(jax.devices())) as report,
        StopRequest() as stop,
        CheckpointWriter(
            run_folder,
            config,
            tokenizer_model=tokenizer_model,
            retention=_retention(settings),
            on_saved=report.saved,
        ) as checkpoints,
        jax.transfer_guard("disallow"),
    ):
        if first_step < settings.num_steps:
            batch, work = _next_batch(batches, layout, first_step)
        for step in range(first_step + 1, settings.num_steps + 1):
            before = output
            state, output = train_step(state, interval, batch, key)
            report.advance(step, round(work.tokens), training_flops(config.model, config.tokenizer, work))

            last = step == settings.num_steps
            stopping = stop.agreed(step) and not last
            evaluating = settings.evaluate_every > 0 and not stopping and (last or _due(step, settings.evaluate_every))
            saving = last or stopping or _due(step, settings.checkpoint_every)
            # The position after this step's batch: the next batch is drawn before this step is saved.
            data_state = batches.get_state()
            failure: Exception | None = None
            if not (last or stopping):
                try:
                    batch, work = _next_batch(batches, layout, step)
                except Exception as error:  # whatever a reader raises: it is raised again when the step is saved
                    if jax.process_count() > 1:
                        raise  # the others would wait for this process to save with them
                    failure, saving, evaluating = error, True, False
            jax.block_until_ready(before)  # so that no more than two steps are under way
            _require_finite(report.flush(), settings.max_skipped, step, checkpoints)
            checkpoints.check()

            interval = output
            if last or _due(step, settings.log_every):
                report.hold(step, output)
                interval = empty
            score = None
            if evaluating:
                _require_finite(report.flush(), settings.max_skipped, step, checkpoints)
                with report.paused(), jax.transfer_guard("allow"):
                    values: dict[str, float] = {}
                    for evaluator in evaluators:
                        values |= evaluator(state.params, step)
                report.write(step, values)
                score = best.score(values)
                saving = saving or best.is_beaten_by(score)
            if saving:
                report.flush()
                _require_finite(int(jax.device_get(output.longest_skip)), settings.max_skipped, step, checkpoints)
                with report.paused():
                    checkpoints.save(
                        step,
                        params=state.params,
                        train_state=_besides_params(state, interval),
                        data_state=data_state,
                        score=score,
                    )
            if failure is not None:
                checkpoints.wait()
                report.message(f"the data failed: saved step {step} in {run_folder}")
                raise failure
            if stopping:
                checkpoints.wait()
                report.message(f"{stop.signal_name}: saved step {step} in {run_folder}; continue with --resume")
                break
        checkpoints.wait()
        report.ended(step if stopping else settings.num_steps, stopped=stopping)
    return TrainResult(state=state, interrupted=stopping)


class _Best:
    """The best score so far of the metric that `TrainingConfig.keep_best` names."""

    def __init__(self, settings: TrainingConfig, run_folder: Path) -> None:
        self._name, self._is_lowest = settings.keep_best, settings.best_is == "lowest"
        scores = [score_of(folder) for folder in list_checkpoints(run_folder)] if self._name else []
        self._scores = [score for score in scores if score is not None]

    def score(self, values: Mapping[str, float]) -> float | None:
        """The metric's value, None if none is kept by."""
        if not self._name:
            return None
        if self._name not in values:
            raise ValueError(f"training.keep_best is {self._name!r}, but evaluations gave {sorted(values)}: name one")
        return values[self._name]

    def is_beaten_by(self, score: float | None) -> bool:
        """Takes the score in, and tells whether it is better than all before."""
        if score is None:
            return False
        beaten = all(score < other if self._is_lowest else score > other for other in self._scores)
        self._scores.append(score)
        return beaten


def _retention(settings: TrainingConfig) -> Retention:
    return Retention(
        last=settings.keep_checkpoints,
        every=settings.keep_every,
        best=settings.best_is if settings.keep_best else None,
    )


def _agreed_start(
    run_folder: Path, config: RunConfig, *, resume: bool, overwrite: bool, say: Callable[[str], None]
) -> Path | None:
    """What `open_run` finds, which the first of several processes does for all."""
    newest = None
    if jax.process_index() == 0:
        newest = open_run(run_folder, config, resume=resume, overwrite=overwrite, report=say)
    if jax.process_count() == 1:
        return newest
    step = int(multihost_utils.broadcast_one_to_all(np.int32(-1 if newest is None else int(newest.name))))
    return None if step < 0 else step_folder(run_folder, step)


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _next_batch(batches: BatchIterator, layout: Layout, step: int) -> tuple[Batch, Work]:
    """The next batch, on its way to the devices, and what it asks of the network."""
    try:
        batch = next(batches)
    except StopIteration:
        raise ValueError(
            f"the data ended after {step} steps: the iterator of training batches must be endless"
        ) from None
    return layout.put_rows(batch), work_of(batch, jax.process_count())


def _besides_params(state: TrainState, interval: IntervalSums) -> dict[str, Any]:
    """What a checkpoint keeps apart from the parameters."""
    return {"state": dataclasses.replace(state, params={}), "interval": interval}


def _restore(
    checkpoint: Checkpoint, template: TrainState, empty: IntervalSums, tokenizer_model: bytes | None
) -> tuple[TrainState, IntervalSums]:
    """The state and the interval's sums that were saved, where they were loaded to."""
    if checkpoint.tokenizer_model != tokenizer_model:
        raise ValueError("the text tokenizer is not the one in the checkpoint: pass the checkpoint's tokenizer_model")
    params = restore_like(template.params, checkpoint.params, "parameters")
    stored = checkpoint.train_state or {}
    # What older checkpoints did not count begins with nothing.
    stored = {**stored, "interval": {"not_finite": empty.not_finite, **stored.get("interval", {})}}
    stored["state"] = {"norm_mean": jnp.zeros_like(empty.grad_norm), **stored.get("state", {})}
    rest = restore_like(_besides_params(template, empty), stored, "optimizer and counters")
    return dataclasses.replace(rest["state"], params=params), rest["interval"]


def _require_finite(longest_skip: int, max_skipped: int, step: int, checkpoints: CheckpointWriter) -> None:
    if longest_skip >= max_skipped:
        raise FloatingPointError(
            f"{longest_skip} steps in a row up to step {step} had a loss or gradient that is not finite; "
            f"the last checkpoint is {checkpoints.latest()}: lower optimizer.peak_lr, or "
            "look for bad data in the sources that not_finite/ names in metrics.jsonl"
        )
