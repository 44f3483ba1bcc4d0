"""The runs that the agent of another run is compared with: where they lie, on what and how long they are trained.

<run>/baselines/bc/<task>/    behavioural cloning of one task, on its source alone
<run>/baselines/no-prompt/    the same network on the same mixture, without demonstrations
<run>/baselines/task-id/      the same, told which task and variant is wanted; its data lie in data/ below it
"""

import dataclasses
import fnmatch
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console

from gato.checkpoint import latest_checkpoint
from gato.config import DataConfig, FieldScale, RunConfig, SourceConfig
from gato.data.episode import ControlSource, Episode
from gato.data.mixture import build_mixture
from gato.data.reading import readable
from gato.data.sources.minari_writer import write_minari
from gato.data.sources.opening import open_source
from gato.envs import Task, find_task
from gato.envs.context.told_variant import Numbering
from gato.release import load_config
from gato.tokenizer.text import TextTokenizer

TrainedBaseline = Literal["bc", "no-prompt", "task-id"]

_FOLDER = "baselines"


def baseline_folder(checkpoint: Path, kind: TrainedBaseline, task: str | None = None) -> Path:
    """Returns the run folder of a baseline of the run that this run or checkpoint folder is of; `task` for "bc"."""
    run = checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint
    folder = run / _FOLDER / kind
    return folder / task if task is not None else folder


def is_finished(folder: Path) -> bool:
    """Tells whether the run folder's newest checkpoint is that of its last step."""
    newest = latest_checkpoint(folder)
    return newest is not None and int(newest.name) >= load_config(newest).training.num_steps


def trained_tasks(data: DataConfig) -> dict[str, Task]:
    """Returns the tasks that sources are named like, in the order of the sources."""
    found = {source.name: find_task(source.name) for source in data.sources}
    return {name: task for name, task in found.items() if task is not None}


def numbering_of(data: DataConfig) -> Numbering:
    """Numbers the run's tasks of hidden variants, and their variants, for the oracle.

    Raises:
        ValueError: there are none.
    """
    tasks = [task for task in trained_tasks(data).values() if task.follows is not None]
    if not tasks:
        raise ValueError(
            "the run has no task with hidden variants, of which an oracle could be told: see --suite context"
        )
    return Numbering.of(tasks)


def source_steps(config: RunConfig, text: TextTokenizer | None) -> dict[str, int]:
    """Returns, by source, the steps whose rows are as many as the run takes of that source; 1 or more.

    Args:
        config: of the run.
        text: needed where a source holds text and some source has a budget.
    """
    sources, num_steps = config.data.sources, config.training.num_steps
    fractions: Sequence[float]
    if any(source.max_epochs or source.max_tokens for source in sources):  # budgets ask how large the sources are
        num_rows = num_steps * config.data.batch_size
        fractions = build_mixture(config.data, config.tokenizer, text, seed=config.seed, num_rows=num_rows).row_shares
    else:
        weights = config.data.row_weights
        fractions = [weight / sum(weights) for weight in weights]
    return {
        source.name: max(round(fraction * num_steps), 1) for source, fraction in zip(sources, fractions, strict=True)
    }


def cloning_config(config: RunConfig, source: str, steps: int) -> RunConfig:
    """Returns the run on one of its sources alone: the same network, rows and held-out split, in so many steps."""
    (alone,) = (each for each in config.data.sources if each.name == source)
    # The steps decide how often it is shown; a budget was meant for the length of the whole run.
    alone = dataclasses.replace(alone, weight=1.0, max_epochs=None, max_tokens=None)
    shorter = _shortened(config, steps)
    return dataclasses.replace(
        shorter, name=f"{config.name}-bc-{source}", data=dataclasses.replace(config.data, sources=(alone,))
    )


def unprompted_config(config: RunConfig, steps: int) -> RunConfig:
    """Returns the run without demonstrations before its episodes."""
    sources = tuple(
        dataclasses.replace(source, prompt=dataclasses.replace(source.prompt, probability=0.0))
        for source in config.data.sources
    )
    shorter = _shortened(config, steps)
    return dataclasses.replace(
        shorter, name=f"{config.name}-no-prompt", data=dataclasses.replace(config.data, sources=sources)
    )


def data_with_task_id(data: DataConfig, folder: Path, console: Console) -> DataConfig:
    """Rewrites the sources of tasks with hidden variants into the folder, with the variant in the observation.

    What is there already is kept. Nothing is recorded anew: an episode holds the reset options that it was played with.

    Raises:
        ValueError: no such source, one that is prepared, or an episode whose options are no variant of its task.
    """
    numbering = numbering_of(data)
    return dataclasses.replace(
        data,
        sources=tuple(
            _source_with_task_id(source, numbering, folder / source.name, console)
            if source.name in numbering.tasks
            else source
            for source in data.sources
        ),
    )


def _source_with_task_id(source: SourceConfig, numbering: Numbering, path: Path, console: Console) -> SourceConfig:
    if not path.exists():
        opened = open_source(source)
        if not isinstance(opened, ControlSource):
            raise ValueError(f"source {source.name!r} is named like a task but holds no episodes")
        console.print(f"telling the variants of {source.name}", highlight=False, soft_wrap=True)
        write_minari(
            path,
            _episodes_with_task_id(opened, source, numbering),
            numbering.observation_space(opened.observation_space),
            opened.action_space,
            dataset_id=f"gato/{source.name}-told-v0",
        )
    inner = "observation"  # the leaf, or the tree, that is now one level further down
    fields = tuple(
        FieldScale(path=scale.path.replace(inner, f"{inner}/{inner}", 1), low=scale.low, high=scale.high)
        if scale.path.startswith(inner)
        else scale
        for scale in source.fields
    )
    return dataclasses.replace(source, kind="minari", path=str(path), options={}, fields=fields)


def _episodes_with_task_id(opened: ControlSource, source: SourceConfig, numbering: Numbering) -> Iterator[Episode]:
    for _, episode in readable(opened, skip_bad=source.bad_records == "skip"):
        wanted = numbering.of_episode(source.name, episode.options)
        # Every leaf of the observations has as many entries as there are actions, or one more.
        length = _length(episode.observations)
        observations = {"observation": episode.observations, "wanted": wanted[None].repeat(length, axis=0)}
        yield dataclasses.replace(episode, observations=observations)


def _length(tree: object) -> int:
    while isinstance(tree, dict | tuple):
        tree = next(iter(tree.values())) if isinstance(tree, dict) else tree[0]
    return len(tree)  # type: ignore[arg-type]


def chosen_sources(data: DataConfig, patterns: Sequence[str]) -> list[str]:
    """Returns the sources that a network of their own is trained on."""
    known = list(trained_tasks(data))
    if not known:
        raise ValueError("none of the run's sources is named like a task: nothing could be evaluated")
    for pattern in patterns:
        if not fnmatch.filter(known, pattern):
            raise ValueError(f"no source of the run that is a task matches {pattern!r}, those are {known}")
    return [name for name in known if not patterns or any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]


def _shortened(config: RunConfig, steps: int) -> RunConfig:
    """Returns the run in so many steps, its learning rate rising and falling over the same fraction of them."""
    part = steps / config.training.num_steps
    optimizer = dataclasses.replace(
        config.optimizer,
        warmup_steps=round(config.optimizer.warmup_steps * part),
        decay_steps=max(round(config.optimizer.decay_steps * part), 1),
    )
    # The best step is chosen by a metric that a run on other sources may not have.
    training = dataclasses.replace(config.training, num_steps=steps, keep_best="")
    return dataclasses.replace(config, optimizer=optimizer, training=training)
