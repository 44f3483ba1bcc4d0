"""Baselines of an evaluation: chance, experts, replay of demonstrations, and the runs of `gato baseline`.

Each plays the episodes of the agent's plan, with their seeds and variants. Baselines that take no prompt are played
once per episode. Results are kept in a journal of their own, <out>/baselines/<name>/episodes.jsonl, so that a baseline
can be added to an evaluation that is finished, and goes on where it was stopped.
"""

import dataclasses
import functools
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from gato.config import RunConfig, SourceConfig
from gato.data.episode import ControlSource, Episode
from gato.data.reading import readable
from gato.data.sources.minari import MinariSource
from gato.data.sources.opening import open_source
from gato.data.split import training_records
from gato.envs import Task, get_task
from gato.envs.context.told_variant import with_task_id
from gato.evaluation.actors import ExpertActor, RandomActor
from gato.evaluation.evaluate import play_specs, result_of, score_records
from gato.evaluation.journal import Journal
from gato.evaluation.nearest_neighbour import Memory, NearestNeighbourActor
from gato.evaluation.plan import Demonstrations, EpisodeSpec
from gato.evaluation.rollout import Actor, Rollout
from gato.evaluation.scores import BaselineScores, Prompt
from gato.evaluation.time_shares import time_spent_on
from gato.experiments.baseline_configs import TrainedBaseline, baseline_folder, is_finished, numbering_of
from gato.experiments.reporter import Reporter
from gato.experiments.session import EvaluationSession
from gato.inference.agent import Agent
from gato.release import identity, load_config
from gato.run_files import JOURNAL_FILE
from gato.tokenizer.tree import leaf_spaces

BaselineName = Literal["random", "expert", "nearest-neighbour"] | TrainedBaseline

MAX_TIMESTEPS = 100_000  # of a task's demonstrations that replay looks up: as many as REGENT retrieves from
_MEMORIES_KEPT = 64  # memories of demonstrations; an evaluation comes back to few
_FOLDER = "baselines"

# Plays specs of one task. Raises ValueError or FileNotFoundError, when called, where it cannot play that task.
_Play: TypeAlias = Callable[[Sequence[EpisodeSpec]], Iterator[tuple[EpisodeSpec, Rollout]]]


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Another policy and the episodes that it plays; made before anything is played, so that errors come at once."""

    name: BaselineName
    measured: Mapping[str, Any] = field(default_factory=dict)  # JSON values that its episodes depend on alone
    specs: tuple[EpisodeSpec, ...]
    play: _Play
    left_out: Mapping[str, str] = field(default_factory=dict)  # tasks with the reason; further ones may turn up


@dataclass(frozen=True, kw_only=True)
class BaselineContext:
    """What the baselines of one evaluation have in common."""

    session: EvaluationSession  # the agent's
    specs: tuple[EpisodeSpec, ...]  # the agent's
    run: RunConfig  # its sources where they lie now
    checkpoint: Path
    num_envs: int
    ablation: bool
    demonstrations: Path | None = None  # a folder with one Minari dataset per task, in place of the run's own sources

    @property
    def task_names(self) -> list[str]:
        return list(dict.fromkeys(spec.task for spec in self.specs))

    def play(
        self, specs: Sequence[EpisodeSpec], actor: Actor, prompt_of: Callable[[int], Any] | None = None
    ) -> Iterator[tuple[EpisodeSpec, Rollout]]:
        """Plays with an actor; `prompt_of` as for `play_specs`."""
        return play_specs(specs, self.session.tasks, actor, num_envs=self.num_envs, prompt_of=prompt_of)


def make_baselines(names: Sequence[BaselineName], context: BaselineContext) -> list[Baseline]:
    """Makes the baselines of these names, once each.

    Raises:
        FileNotFoundError: a run of `gato baseline` is not there, not finished or of another network.
        ValueError: recorded demonstrations are asked for in a prompt ablation, or by nobody.
    """
    makers: Mapping[BaselineName, Callable[[BaselineContext], Baseline]] = {
        "random": _random,
        "expert": _expert,
        "nearest-neighbour": _nearest_neighbour,
        "bc": _cloning,
        "no-prompt": functools.partial(_unprompted_network, kind="no-prompt"),
        "task-id": functools.partial(_unprompted_network, kind="task-id"),
    }
    if context.demonstrations is not None and "nearest-neighbour" not in names:
        raise ValueError("demonstrations are given, but nobody looks them up: add --baselines nearest-neighbour")
    if context.demonstrations is not None and not context.demonstrations.is_dir():
        raise FileNotFoundError(f"{context.demonstrations} is no folder: name the one that `gato collect` wrote")
    return [makers[name](context) for name in dict.fromkeys(names)]


def play_baseline(
    baseline: Baseline, context: BaselineContext, out: Path, settings: Mapping[str, Any], reporter: Reporter
) -> BaselineScores:
    """Plays what the baseline's journal lacks, and scores it.

    Args:
        baseline: of the context.
        context: of the evaluation.
        out: folder of the evaluation.
        settings: JSON values that the agent's plan depends on: tasks, episodes, seed and prompts.
        reporter: shows how far it is.

    Raises:
        ValueError: the journal is of other settings.
    """
    folder = out / _FOLDER / baseline.name
    folder.mkdir(parents=True, exist_ok=True)
    tasks, left_out = context.session.tasks, dict(baseline.left_out)
    by_task: dict[str, list[EpisodeSpec]] = {}
    for spec in baseline.specs:
        by_task.setdefault(spec.task, []).append(spec)
    try:
        journal = Journal(folder / JOURNAL_FILE, {**settings, "baseline": baseline.name, **baseline.measured})
    except ValueError as error:
        raise ValueError(f"{error}; or delete {folder}, to play this baseline alone anew") from error
    with journal, reporter.bar(baseline.name, len(baseline.specs)) as advance:
        for name, specs in by_task.items():
            waiting = [spec for spec in specs if spec.key not in journal.results]
            advance(len(specs) - len(waiting))
            if not waiting:
                continue
            try:
                played = baseline.play(waiting)
            except (ValueError, FileNotFoundError) as error:
                left_out[name] = " ".join(str(error).split())
                advance(len(waiting))
                continue
            for spec, done in played:
                journal.append(result_of(spec, tasks[name], done))
                advance()
        records = score_records(baseline.specs, journal.results, tasks)
    return BaselineScores(measured=dict(baseline.measured), records=tuple(records), left_out=left_out)


def forget_baselines(out: Path) -> None:
    """Deletes the episodes of all baselines of an evaluation."""
    shutil.rmtree(out / _FOLDER, ignore_errors=True)


def _unprompted(specs: Sequence[EpisodeSpec]) -> tuple[EpisodeSpec, ...]:
    """Returns each episode once, with nothing before it."""
    return tuple(dict.fromkeys(dataclasses.replace(spec, prompt="none", shown=None) for spec in specs))


def _random(context: BaselineContext) -> Baseline:
    def play(specs: Sequence[EpisodeSpec]) -> Iterator[tuple[EpisodeSpec, Rollout]]:
        return context.play(specs, RandomActor(context.session.tasks[specs[0].task].action_space))

    return Baseline(name="random", specs=_unprompted(context.specs), play=play)


def _expert(context: BaselineContext) -> Baseline:
    experts = {name: task.task.make_expert for name, task in context.session.tasks.items()}

    def play(specs: Sequence[EpisodeSpec]) -> Iterator[tuple[EpisodeSpec, Rollout]]:
        make_expert = experts[specs[0].task]
        assert make_expert is not None  # its specs are left out
        return context.play(specs, ExpertActor(make_expert))

    return Baseline(
        name="expert",
        specs=tuple(spec for spec in _unprompted(context.specs) if experts[spec.task] is not None),
        play=play,
        left_out={name: "it has no expert" for name in context.task_names if experts[name] is None},
    )


def _nearest_neighbour(context: BaselineContext) -> Baseline:
    """Replays the demonstrations of the prompts in a prompt ablation, and else all that the run was trained on."""
    if not context.ablation:
        return Baseline(
            name="nearest-neighbour",
            measured={
                "demonstrations": "the run's sources"
                if context.demonstrations is None
                else str(context.demonstrations),
                "max_timesteps": MAX_TIMESTEPS,
            },
            specs=_unprompted(context.specs),
            play=functools.partial(_replay_recorded, context),
        )
    if context.demonstrations is not None:
        raise ValueError(
            "in a study, nearest-neighbour replays the demonstration that stands before the episode: leave "
            "--demonstrations out"
        )
    return Baseline(
        name="nearest-neighbour",
        measured={"demonstrations": "those of the prompts, whole"},
        specs=tuple(spec for spec in context.specs if spec.shown is not None),
        play=functools.partial(_replay_prompts, context),
    )


def _replay_prompts(context: BaselineContext, specs: Sequence[EpisodeSpec]) -> Iterator[tuple[EpisodeSpec, Rollout]]:
    session, task = context.session, context.session.tasks[specs[0].task]

    @functools.lru_cache(_MEMORIES_KEPT)
    def memory_of(shown: Demonstrations) -> Memory:
        with time_spent_on("demonstrations"):
            episodes = session.expert_episodes(shown.task, [(shown.variant, seed) for seed in shown.seeds])
        return Memory(task.observation_space, task.action_space, episodes, session.agent.tokenizer)

    def prompt_of(index: int) -> Memory:
        shown = specs[index].shown
        assert shown is not None  # others are not played
        return memory_of(shown)

    return context.play(specs, NearestNeighbourActor(), prompt_of)


def _replay_recorded(context: BaselineContext, specs: Sequence[EpisodeSpec]) -> Iterator[tuple[EpisodeSpec, Rollout]]:
    """Replays all demonstrations of a task; raises ValueError or FileNotFoundError where there are none."""
    name, task = specs[0].task, context.session.tasks[specs[0].task]
    if context.demonstrations is not None:
        opened: ControlSource = MinariSource(context.demonstrations / name, name)
        episodes: Iterator[Episode] = (opened[index] for index in range(len(opened)))
    else:
        source = next((source for source in context.run.data.sources if source.name == name), None)
        if source is None:
            raise ValueError("the run has no source of its name: give --demonstrations FOLDER")
        opened = _control_source(source)
        trained = readable(opened, training_records(opened, source), skip_bad=source.bad_records == "skip")
        episodes = (episode for _, episode in trained)
    for recorded, played in (
        (opened.observation_space, task.observation_space),
        (opened.action_space, task.action_space),
    ):
        if _shapes(recorded) != _shapes(played):
            raise ValueError(f"its demonstrations were recorded with {recorded}, but it is played with {played}")
    tokenizer = context.session.agent.tokenizer
    memory = Memory(task.observation_space, task.action_space, _first_of(episodes), tokenizer)
    return context.play(specs, NearestNeighbourActor(), lambda index: memory)


def _control_source(source: SourceConfig) -> ControlSource:
    if source.kind == "prepared":
        raise ValueError("its source is prepared and holds no episodes any more: give --demonstrations FOLDER")
    opened = open_source(source)
    if not isinstance(opened, ControlSource):
        raise ValueError("the run's source of its name holds no episodes: give --demonstrations FOLDER")
    return opened


def _first_of(episodes: Iterator[Episode]) -> Iterator[Episode]:
    """Yields as many as hold `MAX_TIMESTEPS`, and one at least."""
    num_timesteps = 0
    for episode in episodes:
        num_timesteps += len(episode)
        if len(episode) < num_timesteps > MAX_TIMESTEPS:
            return
        yield episode


def _shapes(space: Any) -> list[tuple[str, type, Any]]:
    """Lists what has to be equal for values to be compared and replayed; bounds need not be. `Any`: any type."""
    return [(path, type(leaf), leaf.shape) for path, leaf in leaf_spaces(space, "")]


def _cloning(context: BaselineContext) -> Baseline:
    """Plays one network per task, prompted as the agent is."""
    names = context.task_names
    folders = {name: baseline_folder(context.checkpoint, "bc", name) for name in names}
    reasons = {name: _unusable(folder, "bc", context.run) for name, folder in folders.items()}
    left_out = {name: reason for name, reason in reasons.items() if reason is not None}
    if len(left_out) == len(names):
        raise FileNotFoundError(next(iter(left_out.values())))

    def play(specs: Sequence[EpisodeSpec]) -> Iterator[tuple[EpisodeSpec, Rollout]]:
        name = specs[0].task
        # A wrong demonstration may be of another task.
        needed = {name, *(spec.shown.task for spec in specs if spec.shown is not None)}
        tasks = [context.session.tasks[each].task for each in needed]
        return _session_of(context.session, Agent.load(folders[name]), tasks).play(specs, context.num_envs)

    return Baseline(
        name="bc",
        measured={"checkpoint": {name: identity(folders[name]) for name in names if name not in left_out}},
        specs=tuple(spec for spec in context.specs if spec.task not in left_out),
        play=play,
        left_out=left_out,
    )


def _unprompted_network(context: BaselineContext, kind: Literal["no-prompt", "task-id"]) -> Baseline:
    folder = baseline_folder(context.checkpoint, kind)
    if (reason := _unusable(folder, kind, context.run)) is not None:
        raise FileNotFoundError(reason)
    load = functools.cache(functools.partial(Agent.load, folder))  # once, and only if an episode is missing
    tasks = {name: context.session.tasks[name].task for name in context.task_names}
    if kind == "task-id":
        numbering = numbering_of(load_config(folder).data)
        tasks = {name: with_task_id(get_task(name), numbering) for name in tasks if name in numbering.tasks}

    def play(specs: Sequence[EpisodeSpec]) -> Iterator[tuple[EpisodeSpec, Rollout]]:
        return _session_of(context.session, load(), [tasks[specs[0].task]], "none").play(specs, context.num_envs)

    return Baseline(
        name=kind,
        measured={"checkpoint": identity(folder)},
        specs=tuple(spec for spec in _unprompted(context.specs) if spec.task in tasks),
        play=play,
        left_out={name: "the oracle was not trained on it" for name in context.task_names if name not in tasks},
    )


def _session_of(
    session: EvaluationSession, agent: Agent, tasks: Sequence[Task], kind: Prompt | None = None
) -> EvaluationSession:
    """Makes a session of another network at some of the tasks, which acts as the agent of `session` does.

    Raises:
        ValueError: it cannot play one of them.
    """
    makers = {task.name: task.make for task in tasks}
    other = EvaluationSession(
        dataclasses.replace(agent, policy=session.agent.policy),
        tasks,
        session.prompts,
        kind=kind or session.kind,
        deterministic=session.deterministic,
        make=lambda name: makers[name](),
    )
    if other.left_out:
        raise ValueError("; ".join(other.left_out.values()))
    return other


def _unusable(folder: Path, kind: TrainedBaseline, run: RunConfig) -> str | None:
    """Says why there is nothing to play with; None where there is."""
    if not is_finished(folder):
        state = "is not trained to its end" if folder.exists() else "is not there"
        return f"{folder} {state}: make it with `gato baseline {kind} RUN`"
    trained = load_config(folder)
    if (trained.model, trained.tokenizer) != (run.model, run.tokenizer):
        return (
            f"{folder} is of another network than the run: delete it and make it anew with `gato baseline {kind} RUN`"
        )
    return None
