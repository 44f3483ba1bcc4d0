"""The training loop: keeps the device busy, logs what happens, and can be stopped and continued at any step.

A step is started before any result of the one before is read, and the next batch is on its way to the device before
the host waits. What is drawn at a step depends only on the run's key and the number of the step. So a run that was
stopped and resumed ends in the same state, to the bit, as one that never stopped (on the same kind of device).
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

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
from gato.config import RunConfig, TokenizerConfig, TrainingConfig
from gato.model.cost.size import BatchCost, training_flops
from gato.model.gato import Parameters
from gato.run_files import EVENTS_FILE, METRICS_FILE, PROFILE_FOLDER, TENSORBOARD_FOLDER
from gato.training.events import EventLog
from gato.training.metrics_logger import MetricsLogger
from gato.training.optimizer import make_optimizer, make_schedule
from gato.training.parallel import MeshSharding
from gato.training.profiler import Profiler
from gato.training.progress import ProgressDisplay, line_printer
from gato.training.run_folder import open_run
from gato.training.spikes import SpikeWatch
from gato.training.step import IntervalSums, LossFunction, TrainState, empty_interval, init_state, make_train_step
from gato.training.stop import StopRequest
from gato.training.throughput import batch_cost, peak_of
from gato.training.writers import JsonlWriter, MetricWriter, TensorBoardWriter, read_metrics, require_tensorboard


class BatchIterator(Protocol):
    """Endless batches whose position can be saved and restored."""

    source_names: tuple[str, ...]  # by source id

    def __next__(self) -> Batch: ...

    def get_state(self) -> dict[str, Any]:
        """Returns the position, in JSON values."""
        ...

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes to a position: the next batch is the one that followed there."""
        ...


# Measures the parameters after a step. It must not keep them: the next step consumes them.
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
    sharding: MeshSharding | None = None,
) -> TrainResult:
    """Trains until `config.training.num_steps`, or until Ctrl-C or SIGTERM, and saves the last state either way.

    Args:
        params: initial parameters, consumed by the first step; a resumed run uses their shapes only. The same on every
            process, or already on the mesh.
        key: the run's key for stochastic depth, dropout and patch positions; the same for a resumed run.
        evaluators: called every `config.training.evaluate_every` steps and after the last step.
        tokenizer_model: SentencePiece model to store in every checkpoint.
        resume: continue from the newest good checkpoint, if there is one.
        overwrite: delete the checkpoints and metrics that the folder holds.
        tensorboard: also write TensorBoard files; needs the extra of that name.
        console: where progress is shown; the terminal if not given. Only the first process shows progress.
        sharding: places arrays on the devices; by `config.parallel` if not given.

    Raises:
        FileExistsError, DamagedCheckpointError: see `open_run`.
        ValueError: the checkpoint to resume does not fit the config; the data ended; tensorboardX is missing.
        FloatingPointError: `config.training.max_skipped` steps in a row had a non-finite loss or gradient.
    """
    if tensorboard:
        require_tensorboard()
    is_first = jax.process_index() == 0
    console = (console or Console()) if is_first else Console(quiet=True)
    say = line_printer(console)
    settings = config.training
    sharding = sharding or MeshSharding(config.parallel)
    optimizer = make_optimizer(config.optimizer, seed=config.seed)
    empty = sharding.put(empty_interval(len(batches.source_names)))
    template = jax.eval_shape(lambda params: init_state(params, optimizer), params)

    newest = _agreed_start(run_folder, config, resume=resume, overwrite=overwrite, say=say)
    if newest is None:
        first_step, interval = 0, empty
        state = sharding.make(lambda params: init_state(params, optimizer), sharding.put(params))
    else:
        checkpoint = load_checkpoint(newest, train_state=True, placement=sharding.of, verified=True)
        state, interval = _restore(checkpoint, template, empty, tokenizer_model)
        batches.set_state(checkpoint.data_state or {})
        first_step = checkpoint.step
        say(f"resuming {run_folder} after step {first_step}")
        del checkpoint
    del params  # the loop holds the only copy of the state
    say(f"{sharding}; {config.model.compute_dtype}, attention {config.model.attention}")
    key = sharding.make(lambda key: key, key)
    train_step = make_train_step(
        loss_function,
        optimizer,
        make_schedule(config.optimizer),
        accumulate=settings.accumulate,
        max_norm_ratio=settings.max_norm_ratio,
        out_shardings=(sharding.shardings(template), sharding.shardings(empty)),
    )

    events = EventLog(run_folder / EVENTS_FILE, first_step=first_step) if is_first else None
    writers = _open_writers(run_folder, first_step, say, tensorboard=tensorboard) if is_first else []
    progress = ProgressDisplay(console, first_step=first_step, num_steps=settings.num_steps)
    best = _Best(settings, run_folder)
    output, stopping = interval, False
    with (
        MetricsLogger(
            writers, progress, batches.source_names, events=events, peak_flops=peak_of(jax.devices())
        ) as logger,
        StopRequest() as stop,
        CheckpointWriter(
            run_folder,
            config,
            tokenizer_model=tokenizer_model,
            retention=Retention(
                last=settings.keep_checkpoints,
                every=settings.keep_every,
                best=settings.best_is if settings.keep_best else None,
            ),
            on_saved=logger.saved,
        ) as checkpoints,
        Profiler(run_folder / PROFILE_FOLDER, settings.profile_steps if is_first else None, say) as profiler,
        jax.transfer_guard("disallow"),
    ):
        require_finite = functools.partial(_require_finite, max_skipped=settings.max_skipped, checkpoints=checkpoints)

        def save(step: int, data_state: dict[str, Any], score: float | None) -> None:
            """Starts to write a checkpoint of the present state, unless too many steps were not finite."""
            logger.flush()
            require_finite(int(jax.device_get(output.longest_skip)), step)
            with logger.paused():
                checkpoints.save(
                    step,
                    params=state.params,
                    train_state=_besides_params(state, interval),
                    data_state=data_state,
                    score=score,
                )

        if first_step < settings.num_steps:
            batch, cost = _next_batch(batches, sharding, config.tokenizer, first_step)
        for step in range(first_step + 1, settings.num_steps + 1):
            before = output
            with profiler.step(step):
                state, output = train_step(state, interval, batch, key)
            logger.advance(step, round(cost.tokens), training_flops(config.model, config.tokenizer, cost))

            stopping = stop.agreed(step) and step < settings.num_steps
            due = _Due.after(step, settings, stopping=stopping)
            # The position after this step's batch: the next batch is drawn before this step is saved.
            data_state = batches.get_state()
            failure: Exception | None = None
            if not due.end:
                try:
                    batch, cost = _next_batch(batches, sharding, config.tokenizer, step)
                except Exception as error:  # whatever a reader raises: it is raised again when the step is saved
                    if jax.process_count() > 1:
                        raise  # the others would wait for this process to save with them
                    failure, due = error, dataclasses.replace(due, evaluate=False, save=True)
            jax.block_until_ready(before)  # at most two steps are under way
            require_finite(logger.flush(), step)
            checkpoints.check()
            if step == profiler.last_step:
                with logger.paused():
                    profiler.finish(output)

            interval = output
            if due.log:
                logger.buffer(step, output)
                interval = empty
            score = None
            if due.evaluate:
                require_finite(logger.flush(), step)
                with logger.paused(), jax.transfer_guard("allow"):
                    values: dict[str, float] = {}
                    for evaluator in evaluators:
                        values |= evaluator(state.params, step)
                logger.write(step, values)
                score = best.score(values)
            if due.save or best.is_beaten_by(score):
                save(step, data_state, score)
            if failure is not None:
                checkpoints.wait()
                say(f"the data failed: saved step {step} in {run_folder}")
                raise failure
            if stopping:
                checkpoints.wait()
                say(f"{stop.signal_name}: saved step {step} in {run_folder}; continue with --resume")
                break
        checkpoints.wait()
        logger.ended(step if stopping else settings.num_steps, stopped=stopping)
    return TrainResult(state=state, interrupted=stopping)


@dataclass(frozen=True, kw_only=True)
class _Due:
    """What follows a step."""

    log: bool
    evaluate: bool
    save: bool
    end: bool  # no step follows

    @classmethod
    def after(cls, step: int, settings: TrainingConfig, *, stopping: bool) -> Self:
        """Returns what is due by the settings; a run that is being stopped saves and evaluates nothing."""
        last = step == settings.num_steps

        def every(interval: int) -> bool:
            return interval > 0 and (last or step % interval == 0)

        return cls(
            log=every(settings.log_every),
            evaluate=every(settings.evaluate_every) and not stopping,
            save=every(settings.checkpoint_every) or stopping,
            end=last or stopping,
        )


class _Best:
    """The best score so far of the metric that `TrainingConfig.keep_best` names."""

    def __init__(self, settings: TrainingConfig, run_folder: Path) -> None:
        self._name, self._is_lowest = settings.keep_best, settings.best_is == "lowest"
        scores = [score_of(folder) for folder in list_checkpoints(run_folder)] if self._name else []
        self._scores = [score for score in scores if score is not None]

    def score(self, values: Mapping[str, float]) -> float | None:
        """Returns the metric's value, None if no metric is named."""
        if not self._name:
            return None
        if self._name not in values:
            raise ValueError(f"training.keep_best is {self._name!r}, but evaluations gave {sorted(values)}: name one")
        return values[self._name]

    def is_beaten_by(self, score: float | None) -> bool:
        """Records the score and returns whether it is better than all before."""
        if score is None:
            return False
        beaten = all(score < other if self._is_lowest else score > other for other in self._scores)
        self._scores.append(score)
        return beaten


def _open_writers(
    run_folder: Path, first_step: int, say: Callable[[str], None], *, tensorboard: bool
) -> list[MetricWriter]:
    """Opens the files of metrics, without what follows the first step, and the watch on the loss."""
    writers: list[MetricWriter] = [JsonlWriter(run_folder / METRICS_FILE, last_step=first_step)]
    if tensorboard:
        writers.append(TensorBoardWriter(run_folder / TENSORBOARD_FOLDER, last_step=first_step))
    return [*writers, SpikeWatch(say, read_metrics(run_folder / METRICS_FILE))]


def _agreed_start(
    run_folder: Path, config: RunConfig, *, resume: bool, overwrite: bool, say: Callable[[str], None]
) -> Path | None:
    """Returns what `open_run` finds; the first process looks for all."""
    newest = None
    if jax.process_index() == 0:
        newest = open_run(run_folder, config, resume=resume, overwrite=overwrite, report=say)
    if jax.process_count() == 1:
        return newest
    step = int(multihost_utils.broadcast_one_to_all(np.int32(-1 if newest is None else int(newest.name))))
    return None if step < 0 else step_folder(run_folder, step)


def _next_batch(
    batches: BatchIterator, sharding: MeshSharding, tokenizer: TokenizerConfig, step: int
) -> tuple[Batch, BatchCost]:
    """Draws the next batch, sends it to the devices, and counts its cost."""
    try:
        batch = next(batches)
    except StopIteration:
        raise ValueError(
            f"the data ended after {step} steps: the iterator of training batches must be endless"
        ) from None
    return sharding.put_rows(batch), batch_cost(batch, tokenizer.padding_id, jax.process_count())


def _besides_params(state: TrainState, interval: IntervalSums) -> dict[str, Any]:
    """Returns what a checkpoint keeps apart from the parameters."""
    return {"state": dataclasses.replace(state, params={}), "interval": interval}


def _restore(
    checkpoint: Checkpoint, template: TrainState, empty: IntervalSums, tokenizer_model: bytes | None
) -> tuple[TrainState, IntervalSums]:
    """Returns the saved state and sums of the interval, on the devices to which they were loaded."""
    if checkpoint.tokenizer_model != tokenizer_model:
        raise ValueError("the text tokenizer is not the one in the checkpoint: pass the checkpoint's tokenizer_model")
    params = restore_like(template.params, checkpoint.params, "parameters")
    stored = checkpoint.train_state or {}
    # Counters that older checkpoints lack start at zero.
    stored = {**stored, "interval": {"not_finite": empty.not_finite, **stored.get("interval", {})}}
    stored["state"] = {"norm_mean": jnp.zeros_like(empty.grad_norm), **stored.get("state", {})}
    rest = restore_like(_besides_params(template, empty), stored, "optimizer and counters")
    return dataclasses.replace(rest["state"], params=params), rest["interval"]


def _require_finite(longest_skip: int, step: int, *, max_skipped: int, checkpoints: CheckpointWriter) -> None:
    if longest_skip >= max_skipped:
        raise FloatingPointError(
            f"{longest_skip} steps in a row up to step {step} had a loss or gradient that is not finite; "
            f"the last checkpoint is {checkpoints.latest()}: lower optimizer.peak_lr, or "
            "look for bad data in the sources that not_finite/ names in metrics.jsonl"
        )
