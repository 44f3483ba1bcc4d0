"""One run of few-shot fine-tuning: trained on a subset of episodes, scored as it goes, its best checkpoint kept."""

import dataclasses
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import jax
import numpy as np
from rich.console import Console

from gato.checkpoint import list_checkpoints, score_of
from gato.config import RunConfig
from gato.data.mixture import build_mixture
from gato.envs import Task
from gato.evaluation.few_shot import FewShotRun, Judged, Measure, Start, best_of, smoothed
from gato.experiments.scoring import score_task
from gato.inference.agent import Agent
from gato.model.gato import Parameters, init_parameters
from gato.run_files import CONFIG_FILE, METRICS_FILE
from gato.tokenizer.text import TextTokenizer
from gato.training.held_out import HeldOutLoss
from gato.training.loop import train
from gato.training.parallel import MeshSharding
from gato.training.skip_log import SkipLog
from gato.training.step import model_loss
from gato.training.trainable import freeze
from gato.training.writers import read_metrics

RESULT_FILE = "result.json"
SMOOTHED = "judged/smoothed"  # the metric that the best checkpoint is kept by


class PlayJudge:
    """Scores parameters by the mean return in episodes of the task."""

    measure: Measure = "return"
    metric = "play/return"  # name of the value among the metrics

    def __init__(self, config: RunConfig, task: Task, text: TextTokenizer | None) -> None:
        self._config, self._task, self._text = config, task, text

    def judge(self, params: Parameters, number: int) -> dict[str, float]:
        """Returns metrics, the value among them; evaluations of different numbers play different episodes."""
        settings = self._config.evaluation
        returns, normalized = self._play(params, settings.episodes, settings.seed + number * settings.episodes)
        metrics = {self.metric: float(np.mean(returns)), "play/return_std": float(np.std(returns))}
        return metrics if normalized is None else {**metrics, "play/normalized": normalized}

    def retest(self, params: Parameters, number: int) -> tuple[float, ...]:
        """Plays other episodes and returns their returns."""
        settings, num_episodes = self._config.evaluation, self._config.finetune.retest_episodes
        return self._play(params, num_episodes, settings.seed + number * settings.episodes)[0] if num_episodes else ()

    def _play(self, params: Parameters, num_episodes: int, seed: int) -> tuple[tuple[float, ...], float | None]:
        config = self._config
        agent = Agent(
            model=config.model,
            tokenizer=config.tokenizer,
            policy=config.policy,
            params=jax.device_put(jax.device_get(params)),  # on one device, however they lay
            text=self._text,
            fields={source.name: source.fields for source in config.data.sources},
        )
        evaluation = dataclasses.replace(config.evaluation, episodes=num_episodes, seed=seed)
        prompted = config.finetune.prompt == "right"
        record, _ = score_task(agent, self._task, evaluation, prompted=prompted)
        return record.returns, record.normalized


class HeldOutJudge:
    """Scores parameters by the loss on held-out episodes of the source, where there is no environment to play in."""

    measure: Measure = "held-out loss"

    def __init__(self, config: RunConfig, source: str, text: TextTokenizer | None) -> None:
        self.metric = f"held_out/loss/{source}"
        names = tuple(each.name for each in config.data.sources)
        batches = functools.partial(build_mixture, config.data, config.tokenizer, text, seed=config.seed, held_out=True)
        self._sharding = MeshSharding(config.parallel)
        loss_function = model_loss(config.model, config.tokenizer, len(names), self._sharding)
        num_batches = config.training.held_out_batches
        self._loss = HeldOutLoss(loss_function, batches, num_batches, names, put=self._sharding.put_rows)
        batches()  # fails early if nothing is held out

    def judge(self, params: Parameters, number: int) -> dict[str, float]:
        """Returns metrics, the value among them."""
        return self._loss(self._sharding.put(params), number)

    def retest(self, params: Parameters, number: int) -> tuple[float, ...]:
        """Plays nothing."""
        return ()


Judge: TypeAlias = PlayJudge | HeldOutJudge


@dataclass(frozen=True, kw_only=True)
class Subset:
    """The episodes that a run is trained on, and what it starts from."""

    size: int  # number of episodes that was asked for; 0 = all
    chosen: tuple[int, ...]  # indices of the episodes
    cascade: int
    start: Start


class Evaluations:
    """The evaluator of a run: the value now, and the mean with the last values, which are read from the metrics."""

    def __init__(self, judge: Judge, config: RunConfig, run: Path, before: float, console: Console) -> None:
        self._judge, self._config, self._run, self._before, self._console = judge, config, run, before, console

    def __call__(self, params: Parameters, step: int) -> dict[str, float]:
        training = self._config.training
        metrics = self._judge.judge(params, -(-step // training.evaluate_every) - 1)
        earlier = [line[self._judge.metric] for line in _evaluated(self._run, self._judge) if line["step"] < step]
        value = metrics[self._judge.metric]
        if not math.isfinite(value):
            raise FloatingPointError(f"{self._judge.metric} is {value} at step {step}: lower optimizer.peak_lr")
        window = min(self._config.finetune.smoothing, num_evaluations(self._config))
        mean = smoothed([*earlier, value], self._before, window, self._judge.measure)
        self._console.print(
            f"step {step}: {self._judge.measure} {value:.4g}, smoothed {mean:.4g}", highlight=False, soft_wrap=True
        )
        return {**metrics, SMOOTHED: mean}


def num_evaluations(config: RunConfig) -> int:
    """Counts the evaluations of a whole run; the last step is always evaluated."""
    return -(-config.training.num_steps // config.training.evaluate_every)


def value_before(judge: Judge, params: Parameters, config: RunConfig) -> float:
    """Returns the value of the first parameters, over as many evaluations as are averaged later."""
    first = num_evaluations(config)
    values = [judge.judge(params, first + turn)[judge.metric] for turn in range(config.finetune.smoothing)]
    return float(np.mean(values))


def run_subset(
    config: RunConfig,
    run: Path,
    subset: Subset,
    judge: Judge,
    *,
    params: Callable[[], Parameters],
    before: float | None,
    text: TextTokenizer | None,
    console: Console,
) -> FewShotRun | None:
    """Trains until the end, or goes on where the run was stopped, and writes its result; None if a signal stopped it.

    Args:
        config: of this run alone; its `finetune` section names one subset.
        run: folder of the run.
        subset: what it is trained on.
        judge: of its parameters.
        params: makes the first parameters.
        before: their value; measured here if None.
        text: tokenizer of the checkpoint.
        console: where progress is shown.

    Raises:
        ValueError, FloatingPointError, OSError: as `gato.training.loop.train`.
    """
    done = run / RESULT_FILE
    if done.exists() and RunConfig.load(run / CONFIG_FILE) == config:
        finished = FewShotRun.load(done)
        if finished.evaluations[-1].step == config.training.num_steps:  # it may have become longer since
            return finished
    if before is None:
        before = value_before(judge, params(), config)
    num_rows = config.training.num_steps * config.data.batch_size
    chosen = {config.finetune.task: subset.chosen}
    batches = build_mixture(config.data, config.tokenizer, text, seed=config.seed, episodes=chosen, num_rows=num_rows)
    sharding = MeshSharding(config.parallel)
    loss_function = model_loss(config.model, config.tokenizer, len(batches.source_names), sharding)
    result = train(
        config,
        run_folder=run,
        params=params(),
        loss_function=freeze(loss_function, config.optimizer),
        batches=SkipLog(batches, run, console, resume=True),
        key=jax.random.split(jax.random.key(config.seed))[1],
        evaluators=[Evaluations(judge, config, run, before, console)],
        tokenizer_model=None if text is None else text.to_bytes(),
        resume=True,
        console=console,
        sharding=sharding,
    )
    if result.interrupted:
        return None
    evaluations = tuple(
        Judged(step=line["step"], value=line[judge.metric], smoothed=line[SMOOTHED]) for line in _evaluated(run, judge)
    )
    best = _kept_checkpoint(run, best_of(evaluations, judge.measure))
    first_left = num_evaluations(config) + config.finetune.smoothing
    finished = FewShotRun(
        start=subset.start,
        episodes=len(subset.chosen),
        cascade=subset.cascade,
        chosen=subset.chosen,
        before=before,
        evaluations=evaluations,
        best_step=int(best.name),
        retest=judge.retest(Agent.load(best).params, first_left),
        folder=run.name,
    )
    finished.save(done)
    return finished


def fresh_parameters(config: RunConfig) -> Parameters:
    """Returns the first parameters of a run from scratch, by its seed, as `gato train` does."""
    key, _ = jax.random.split(jax.random.key(config.seed))
    return MeshSharding(config.parallel).make(functools.partial(init_parameters, config.model, config.tokenizer), key)


def _kept_checkpoint(run: Path, best: Judged) -> Path:
    """Finds the checkpoint of the best evaluation, or of an equal one: a run need not keep the first of these."""
    kept = [folder for folder in list_checkpoints(run) if score_of(folder) == best.smoothed]
    if not kept:
        raise FileNotFoundError(
            f"{run} no longer holds the checkpoint of step {best.step}, its best: delete the folder to train it anew"
        )
    return kept[0]


def _evaluated(run: Path, judge: Judge) -> list[dict]:
    """Reads the lines of metrics that evaluations wrote."""
    path = run / METRICS_FILE
    return [line for line in read_metrics(path) if judge.metric in line] if path.exists() else []
