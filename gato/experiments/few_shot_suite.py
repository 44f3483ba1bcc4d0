"""All runs of few-shot fine-tuning of a checkpoint on a task: every number of episodes, every cascade, one folder."""

import dataclasses
import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.rule import Rule

from gato.checkpoint import step_folder
from gato.config import DataConfig, RunConfig
from gato.data.scaling import with_scales
from gato.data.subset import draw_subset, open_pool
from gato.envs import get_task
from gato.evaluation.evaluation_task import reference_means
from gato.evaluation.few_shot import FewShotResults, FewShotRun, Measure, Start
from gato.experiments.few_shot_run import (
    RESULT_FILE,
    SMOOTHED,
    HeldOutJudge,
    Judge,
    PlayJudge,
    Subset,
    fresh_parameters,
    run_subset,
    value_before,
)
from gato.files import replace_file
from gato.inference.agent import Agent
from gato.model.gato import Parameters
from gato.reports.few_shot_plot import few_shot_plot
from gato.reports.few_shot_tables import few_shot_table
from gato.reports.style import save_figure
from gato.training.lock import lock_run
from gato.training.progress import line_printer
from gato.training.trainable import num_trainable

RESULTS_FILE = "results.json"
_BEFORE_FILE = "before.json"  # the value of the checkpoint before any step, and what it was measured with


def finetune_suite(config: RunConfig, agent: Agent, base: dict[str, Any], out: Path, console: Console) -> bool:
    """Trains all runs that are not finished in the folder, and writes results.json, few_shot.md and few_shot.png.

    Args:
        config: by `suite_config`.
        agent: of the checkpoint.
        base: identity of the checkpoint.
        out: folder of the runs; one process at a time works in it.
        console: where progress is shown.

    Returns:
        False if a signal stopped it; the next call continues.

    Raises:
        ValueError: the folder holds runs of other weights or settings; or as `gato.training.loop.train`.
    """
    with lock_run(out, line_printer(console)):
        return _Suite(config, agent, base, out, console).run()


def suite_config(
    config: RunConfig,
    agent: Agent,
    assignments: Sequence[str],
    episodes: Sequence[int],
    cascades: int | None,
    scratch: bool,
) -> RunConfig:
    """Returns the complete config: that of the checkpoint, changed by the given config, changed by the command line.

    Raises:
        ValueError, TypeError: no source, none of the task's name, or settings that do not go together.
    """
    model = dataclasses.replace(
        agent.model, dropout=config.model.dropout, stochastic_depth=config.model.stochastic_depth
    )
    config = dataclasses.replace(config, model=model, tokenizer=agent.tokenizer, policy=agent.policy)
    config = config.override(assignments)
    given: dict[str, Any] = {}
    if episodes:
        given["episodes"] = tuple(episodes)
    if cascades is not None:
        if cascades < 1:
            raise ValueError(f"cascades is {cascades}, expected 1 or more draws of subsets")
        given["cascades"] = tuple(range(cascades))
    if scratch:
        given["scratch"] = True
    names = [source.name for source in config.data.sources]
    if not names:
        raise ValueError(f"run {config.name!r} has no data sources: give --sources FILE.json")
    task = config.finetune.task or (names[0] if len(names) == 1 else "")
    if task not in names:
        asked = f"finetune.task is {task!r}" if task else "finetune.task is not given"
        raise ValueError(f"{asked}, expected the name of the source that is few: one of {names}")
    if config.tokenizer != agent.tokenizer:
        raise ValueError("settings of the tokenizer belong to the checkpoint: leave --set tokenizer... out")
    if config.training.evaluate_every < 1:
        raise ValueError("training.evaluate_every is 0, but fine-tuning is judged as it goes: set it to 1 or more")
    if config.training.keep_best not in ("", SMOOTHED):
        raise ValueError(f"training.keep_best is {config.training.keep_best!r}: leave it out, the best is kept anyway")
    return dataclasses.replace(config, finetune=dataclasses.replace(config.finetune, task=task, **given))


class _Suite:
    """All runs of one call."""

    def __init__(self, config: RunConfig, agent: Agent, base: dict[str, Any], out: Path, console: Console) -> None:
        self._base, self._out, self._console, self._say = base, out, console, line_printer(console)
        self._text = agent.text
        self._params: Parameters = jax.tree.map(np.array, jax.device_get(agent.params))
        self._task = config.finetune.task
        self._played = config.finetune.judged_by == "play"
        if self._played:
            self._require_task()
        self._config = dataclasses.replace(config, data=self._scaled(config, agent))
        self._subsets = list(self._draw())
        self._moving = num_trainable(self._params, config.optimizer)

    def run(self) -> bool:
        """Trains what is not finished yet; returns False if a signal stopped it."""
        total = sum(leaf.size for leaf in jax.tree.leaves(self._params))
        self._say(f"{self._task}: {len(self._subsets)} runs; {self._moving:,} of {total:,} parameters are trained")
        rows, acts = self._config.data.context_length, self._config.policy.context_length
        if rows > acts:
            self._say(f"rows hold {rows} tokens, but the checkpoint acts with {acts}: see data.context_length")
        self._check_folder()
        results = self._write()
        before = self._value_before()
        copied = functools.partial(jax.tree.map, np.array, self._params)  # a run consumes its parameters
        for number, subset in enumerate(self._subsets, start=1):
            config = self._of_run(subset)
            from_checkpoint = subset.start == "checkpoint"
            start = "the checkpoint" if from_checkpoint else "scratch"
            text = f"from {start}, {len(subset.chosen)} episode(s), cascade {subset.cascade}"
            self._console.print(Rule(f"{number}/{len(self._subsets)} {text}"))
            finished = run_subset(
                config,
                self._out / _name(subset),
                subset,
                self._judge(config),
                params=copied if from_checkpoint else functools.partial(fresh_parameters, config),
                before=before if from_checkpoint else None,
                text=self._text,
                console=self._console,
            )
            if finished is None:
                return False
            results = self._write()
            best = step_folder(self._out / finished.folder, finished.best_step)
            self._say(f"best: {results.score_name} {results.score(finished.best.smoothed):.3g} in {best}")
        self._console.print(str(few_shot_table(results)), soft_wrap=True, highlight=False)
        self._say(f"written to {self._out}")
        return True

    def _require_task(self) -> None:
        try:
            self._references = reference_means(get_task(self._task))
        except ValueError as error:
            raise ValueError(
                f"the source {self._task!r} cannot be judged by playing ({error}): name it like its task, see `gato "
                "tasks`, or set finetune.judged_by=held_out"
            ) from error

    def _judge(self, config: RunConfig) -> Judge:
        if self._played:
            return PlayJudge(config, get_task(self._task), self._text)
        return HeldOutJudge(config, self._task, self._text)

    def _scaled(self, config: RunConfig, agent: Agent) -> DataConfig:
        """Returns the data section with the fields of the checkpoint's sources of the same names."""
        sources = tuple(
            dataclasses.replace(source, fields=tuple(agent.fields.get(source.name, ())))
            if source.scaling != "mu-law" and not source.fields
            else source
            for source in config.data.sources
        )
        data = dataclasses.replace(config.data, sources=sources)
        return with_scales(data, config.tokenizer, self._text, report=self._say)

    def _draw(self) -> Iterator[Subset]:
        """Yields every subset: small ones first, from the checkpoint before from scratch."""
        config, settings = self._config, self._config.finetune
        (source,) = (source for source in config.data.sources if source.name == self._task)
        pool = open_pool(source, config.data, config.tokenizer, self._text, best=settings.best_episodes)
        if max(settings.episodes) > len(pool):
            raise ValueError(
                f"source {self._task!r} has {len(pool)} episodes to draw from, but a subset of "
                f"{max(settings.episodes)} was asked for: collect more, ask for fewer (0 = all), or raise "
                "finetune.best_episodes"
            )
        starts: list[Start] = ["checkpoint", "scratch"] if settings.scratch else ["checkpoint"]
        for size in sorted(settings.episodes, key=lambda size: size or len(pool)):
            for cascade in settings.cascades:
                chosen = tuple(draw_subset(pool, size, cascade).tolist())
                for start in starts:
                    yield Subset(size=size, chosen=chosen, cascade=cascade, start=start)

    def _of_run(self, subset: Subset) -> RunConfig:
        """Returns the config of one run. Runs of one cascade share their seed, so that only their subsets differ."""
        config = self._config
        finetune = dataclasses.replace(
            config.finetune, episodes=(subset.size,), cascades=(subset.cascade,), scratch=subset.start == "scratch"
        )
        optimizer = config.optimizer
        if subset.start == "scratch":
            optimizer = dataclasses.replace(
                optimizer,
                peak_lr=finetune.scratch_lr or optimizer.peak_lr,
                trained=("embedding", "transformer"),
                last_layers=0,
                lora_rank=0,
            )
        lowest = not self._played
        training = dataclasses.replace(config.training, keep_best=SMOOTHED, best_is="lowest" if lowest else "highest")
        return dataclasses.replace(
            config,
            name=f"{config.name} {_name(subset)}",
            seed=config.seed + subset.cascade,
            finetune=finetune,
            optimizer=optimizer,
            training=training,
        )

    def _check_folder(self) -> None:
        """Refuses a folder of runs from other weights or under other settings, which would share tables and curves."""
        path = self._out / RESULTS_FILE
        if not path.exists():
            return
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["checkpoint"] != self._base:
            raise ValueError(
                f"{self._out} holds runs from another checkpoint (step {found['checkpoint']['step']}, sha256 "
                f"{found['checkpoint']['sha256'][:12]}...): give another --out"
            )
        saved, given = _compared(RunConfig.from_json(json.dumps(found["config"]))), _compared(self._config)
        if different := [name for name in given if saved[name] != given[name]]:
            text = ", ".join(f"{name} (there {saved[name]!r}, now {given[name]!r})" for name in different)
            raise ValueError(f"{self._out} holds runs under other settings: {text}; restore them or give another --out")

    def _value_before(self) -> float:
        """Returns the value of the checkpoint, measured once."""
        path = self._out / _BEFORE_FILE
        config = self._config
        measured = {
            "checkpoint": self._base,
            "judged_by": config.finetune.judged_by,
            "prompt": config.finetune.prompt,
            "smoothing": config.finetune.smoothing,
            "evaluation": dataclasses.asdict(config.evaluation),
            "policy": dataclasses.asdict(config.policy),
        }
        if path.exists() and (found := json.loads(path.read_text(encoding="utf-8")))["measured"] == measured:
            return found["value"]
        value = value_before(self._judge(config), self._params, config)
        replace_file(path, json.dumps({"value": value, "measured": measured}, indent=2) + "\n")
        return value

    def _write(self) -> FewShotResults:
        """Writes the results of all finished runs of the folder, also of earlier calls."""
        measure: Measure = "return" if self._played else "held-out loss"
        runs = map(FewShotRun.load, self._out.glob(f"*/{RESULT_FILE}"))
        results = FewShotResults(
            task=self._task,
            measure=measure,
            random_mean=self._references[0] if self._played else None,
            expert_mean=self._references[1] if self._played else None,
            runs=tuple(sorted(runs, key=lambda run: (run.episodes, run.cascade, run.start))),
        )
        settings = {"checkpoint": self._base, "config": json.loads(self._config.to_json())}
        results.save(self._out / RESULTS_FILE, settings)
        if not results.runs:
            return results
        replace_file(self._out / "few_shot.md", few_shot_table(results).markdown())
        save_figure(self._out / "few_shot.png", few_shot_plot(results))
        return results


def _name(subset: Subset) -> str:
    return f"{subset.start}-{subset.size or 'all'}-episodes-cascade-{subset.cascade}"


def _compared(config: RunConfig) -> dict[str, Any]:
    """Returns the settings that all runs of a folder share, by name; data may move, and runs be added."""
    finetune = dataclasses.replace(config.finetune, episodes=(0,), cascades=(0,), scratch=False)
    sources = tuple(dataclasses.replace(source, path="") for source in config.data.sources)
    shared = dataclasses.replace(config, finetune=finetune, data=dataclasses.replace(config.data, sources=sources))
    return {
        f"{section}.{name}" if isinstance(content, dict) else section: value
        for section, content in dataclasses.asdict(shared).items()
        for name, value in (content.items() if isinstance(content, dict) else [("", content)])
    }
