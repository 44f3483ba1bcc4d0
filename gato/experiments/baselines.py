"""Other players of the episodes that an agent is measured in: chance, experts, replay, and the runs of `gato baseline`.

Each plays the cells of the agent's plan, with their seeds and variants. Who needs no demonstration plays each episode
once, under no prompt. Its episodes are written down in a journal of its own, <out>/baselines/<name>/episodes.jsonl, so
that a player can be added to an evaluation that is finished, and goes on where it was stopped.
"""

import dataclasses
import functools
import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gato.config import RunConfig, SourceConfig
from gato.data.episode import ControlSource, Episode
from gato.data.reading import readable
from gato.data.sources.minari import MinariSource
from gato.data.sources.opening import open_source
from gato.data.split import training_records
from gato.envs import Task, get_task
from gato.envs.context.told_variant import told
from gato.evaluation.actors import ExpertActor, RandomActor
from gato.evaluation.evaluate import PlayedTask, play_cells, score_records
from gato.evaluation.journal import Journal, key_of
from gato.evaluation.nearest_neighbour import Memory, NearestNeighbourActor
from gato.evaluation.plan import Cell, Shown
from gato.evaluation.rollout import Actor
from gato.evaluation.scores import BaselineScores, Prompt
from gato.experiments.baseline_configs import TrainedBaseline, baseline_folder, is_finished, numbering_of
from gato.experiments.session import Match
from gato.inference.agent import Agent
from gato.release import identity, load_config
from gato.run_files import JOURNAL_FILE
from gato.tokenizer.tree import leaf_spaces

Baseline = Literal["random", "expert", "nearest-neighbour"] | TrainedBaseline

MAX_TIMESTEPS = 100_000  # of a task's demonstrations that replay looks up: as many as REGENT retrieves from
_MEMORIES_KEPT = 64  # of demonstrations; an evaluation comes back to few
_FOLDER = "baselines"

# The player for cells of one task. It raises ValueError or FileNotFoundError where it cannot play that task.
_ActorOf: TypeAlias = Callable[[Sequence[Cell]], Actor]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """Who plays, made before anything is played, so that what is missing is told at once."""

    name: Baseline
    measured: Mapping[str, Any]  # JSON values that its episodes depend on, beside what the agent's depend on
    cells: tuple[Cell, ...]
    tasks: Mapping[str, PlayedTask]
    actor_of: _ActorOf
    left_out: Mapping[str, str]  # tasks that it does not play, with the reason; further ones may turn up


@dataclass(frozen=True, kw_only=True)
class Contest:
    """What the contenders of one evaluation have in common."""

    match: Match  # the agent's
    cells: tuple[Cell, ...]  # the agent's
    run: RunConfig  # its sources where they lie now
    checkpoint: Path
    num_envs: int
    studied: bool
    demonstrations: Path | None = None  # a folder with a Minari dataset a task, in place of the run's own sources


def contenders(names: Sequence[Baseline], contest: Contest) -> list[Contender]:
    """The players of these names, once each.

    Raises:
        FileNotFoundError: a run of `gato baseline` is not there, not finished or of another network.
        ValueError: recorded demonstrations are asked for in a study, or by nobody.
    """
    makers: Mapping[Baseline, Callable[[Contest], Contender]] = {
        "random": _random,
        "expert": _expert,
        "nearest-neighbour": _nearest_neighbour,
        "bc": _cloning,
        "no-prompt": _unprompted_network,
        "task-id": _oracle,
    }
    if contest.demonstrations is not None and "nearest-neighbour" not in names:
        raise ValueError("demonstrations are given, but nobody looks them up: add --baselines nearest-neighbour")
    if contest.demonstrations is not None and not contest.demonstrations.is_dir():
        raise FileNotFoundError(f"{contest.demonstrations} is no folder: name the one that `gato collect` wrote")
    return [makers[name](contest) for name in dict.fromkeys(names)]


def play_contender(
    contender: Contender, contest: Contest, out: Path, settings: Mapping[str, Any], console: Console
) -> BaselineScores:
    """Plays what the contender's journal lacks, and scores it.

    Args:
        contender: who.
        contest: of the evaluation.
        out: folder of the evaluation.
        settings: JSON values that the agent's plan depends on: tasks, episodes, seed and prompts.
        console: shows how far it is.

    Raises:
        ValueError: the journal is of other settings.
    """
    folder = out / _FOLDER / contender.name
    folder.mkdir(parents=True, exist_ok=True)
    left_out = dict(contender.left_out)
    by_task: dict[str, list[Cell]] = {}
    for cell in contender.cells:
        by_task.setdefault(cell.task, []).append(cell)
    try:
        journal = Journal(folder / JOURNAL_FILE, {**settings, "baseline": contender.name, **contender.measured})
    except ValueError as error:
        raise ValueError(f"{error}; or delete {folder}, to play this baseline alone anew") from error
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with journal, Progress(*columns, console=console) as progress:
        bar = progress.add_task(contender.name, total=len(contender.cells))
        for name, cells in by_task.items():
            waiting = [cell for cell in cells if key_of(cell) not in journal.results]
            progress.advance(bar, len(cells) - len(waiting))
            if not waiting:
                continue
            try:
                actor = contender.actor_of(waiting)
            except (ValueError, FileNotFoundError) as error:
                left_out[name] = " ".join(str(error).split())
                progress.advance(bar, len(waiting))
                continue
            played = play_cells(waiting, contender.tasks, actor, num_envs=contest.num_envs, shares=contest.match.shares)
            for cell, rollout in played:
                journal.append(contender.tasks[name].result(cell, rollout))
                progress.advance(bar)
        records = score_records(contender.cells, journal.results, contender.tasks)
    return BaselineScores(measured=dict(contender.measured), records=tuple(records), left_out=left_out)


def forget(out: Path) -> None:
    """Deletes the episodes of all baselines of an evaluation."""
    shutil.rmtree(out / _FOLDER, ignore_errors=True)


def _unprompted(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Each episode once, with nothing before it."""
    return tuple(dict.fromkeys(dataclasses.replace(cell, prompt="none", shown=None) for cell in cells))


def _random(contest: Contest) -> Contender:
    met = contest.match.met
    return Contender(
        name="random",
        measured={},
        cells=_unprompted(contest.cells),
        tasks=contest.match.played(),
        actor_of=lambda cells: RandomActor(met[cells[0].task].interface.action_space),
        left_out={},
    )


def _expert(contest: Contest) -> Contender:
    experts = {name: met.task.make_expert for name, met in contest.match.met.items()}

    def actor_of(cells: Sequence[Cell]) -> Actor:
        make_expert = experts[cells[0].task]
        assert make_expert is not None  # its cells are left out
        return ExpertActor(make_expert)

    planned = dict.fromkeys(cell.task for cell in contest.cells)
    return Contender(
        name="expert",
        measured={},
        cells=tuple(cell for cell in _unprompted(contest.cells) if experts[cell.task] is not None),
        tasks=contest.match.played(),
        actor_of=actor_of,
        left_out={name: "it has no expert" for name in planned if experts[name] is None},
    )


def _nearest_neighbour(contest: Contest) -> Contender:
    """Replays the demonstrations of the prompts in a study, and else all that the run was trained on."""
    if not contest.studied:
        told_from = "the run's sources" if contest.demonstrations is None else str(contest.demonstrations)
        return Contender(
            name="nearest-neighbour",
            measured={"demonstrations": told_from, "max_timesteps": MAX_TIMESTEPS},
            cells=_unprompted(contest.cells),
            tasks=contest.match.played(),
            actor_of=lambda cells: _replay_of_recorded(contest, cells[0].task),
            left_out={},
        )
    if contest.demonstrations is not None:
        raise ValueError(
            "in a study, nearest-neighbour replays the demonstration that stands before the episode: leave "
            "--demonstrations out"
        )
    return Contender(
        name="nearest-neighbour",
        measured={"demonstrations": "those of the prompts, whole"},
        cells=tuple(cell for cell in contest.cells if cell.shown is not None),
        tasks=contest.match.played(),
        actor_of=lambda cells: _replay_of_prompts(contest.match, cells),
        left_out={},
    )


def _replay_of_prompts(match: Match, cells: Sequence[Cell]) -> Actor:
    met = match.met[cells[0].task]
    memories: OrderedDict[Shown, Memory] = OrderedDict()  # the oldest leave first

    def memory_of(index: int) -> Memory:
        shown = cells[index].shown
        assert shown is not None  # others are not played
        if shown not in memories:
            with match.shares.of("demonstrations"):
                episodes = match.expert_episodes(shown.task, [(shown.variant, seed) for seed in shown.seeds])
            interface = met.interface
            memories[shown] = Memory(
                interface.observation_space, interface.action_space, episodes, match.agent.tokenizer
            )
            if len(memories) > _MEMORIES_KEPT:
                memories.popitem(last=False)
        return memories[shown]

    return NearestNeighbourActor(memory_of)


def _replay_of_recorded(contest: Contest, name: str) -> Actor:
    """All demonstrations of a task in one memory; raises ValueError or FileNotFoundError where there are none."""
    interface = contest.match.met[name].interface
    if contest.demonstrations is not None:
        opened: ControlSource = MinariSource(contest.demonstrations / name, name)
        episodes: Iterator[Episode] = (opened[index] for index in range(len(opened)))
    else:
        source = next((source for source in contest.run.data.sources if source.name == name), None)
        if source is None:
            raise ValueError("the run has no source of its name: give --demonstrations FOLDER")
        opened = _control_source(source)
        episodes = _trained_on(opened, source)
    for recorded, played in (
        (opened.observation_space, interface.observation_space),
        (opened.action_space, interface.action_space),
    ):
        if _shapes(recorded) != _shapes(played):
            raise ValueError(f"its demonstrations were recorded with {recorded}, but it is played with {played}")
    memory = Memory(
        interface.observation_space, interface.action_space, _first_of(episodes), contest.match.agent.tokenizer
    )
    return NearestNeighbourActor(lambda index: memory)


def _control_source(source: SourceConfig) -> ControlSource:
    if source.kind == "prepared":
        raise ValueError("its source is prepared and holds no episodes any more: give --demonstrations FOLDER")
    opened = open_source(source)
    if not isinstance(opened, ControlSource):
        raise ValueError("the run's source of its name holds no episodes: give --demonstrations FOLDER")
    return opened


def _trained_on(opened: ControlSource, source: SourceConfig) -> Iterator[Episode]:
    """The episodes that the run was trained on, in their order."""
    indices = training_records(opened, source)
    for _, episode in readable(opened, indices, skip_bad=source.bad_records == "skip"):
        yield episode


def _first_of(episodes: Iterator[Episode]) -> Iterator[Episode]:
    """As many as hold `MAX_TIMESTEPS`, and one at least."""
    num_timesteps = 0
    for episode in episodes:
        num_timesteps += len(episode)
        if len(episode) < num_timesteps > MAX_TIMESTEPS:
            return
        yield episode


def _shapes(space: Any) -> list[tuple[str, type, Any]]:
    """What has to be equal for values to be compared and replayed; bounds need not be. `Any`: of any element type."""
    return [(path, type(leaf), leaf.shape) for path, leaf in leaf_spaces(space, "")]


def _cloning(contest: Contest) -> Contender:
    """One network a task, prompted as the agent is."""
    planned = dict.fromkeys(cell.task for cell in contest.cells)
    folders = {name: baseline_folder(contest.checkpoint, "bc", name) for name in planned}
    reasons = {name: _unusable(folder, "bc", contest.run) for name, folder in folders.items()}
    left_out = {name: reason for name, reason in reasons.items() if reason is not None}
    if len(left_out) == len(planned):
        raise FileNotFoundError(next(iter(left_out.values())))

    def actor_of(cells: Sequence[Cell]) -> Actor:
        name = cells[0].task
        # A wrong demonstration may be of another task.
        needed = {name, *(cell.shown.task for cell in cells if cell.shown is not None)}
        tasks = [contest.match.met[each].task for each in needed]
        match = _rematch(contest.match, Agent.load(folders[name]), tasks, contest.match.kind)
        return match.actor(cells, contest.num_envs)

    return Contender(
        name="bc",
        measured={"checkpoint": {name: identity(folders[name]) for name in planned if name not in left_out}},
        cells=tuple(cell for cell in contest.cells if cell.task not in left_out),
        tasks=contest.match.played(),
        actor_of=actor_of,
        left_out=left_out,
    )


def _unprompted_network(contest: Contest) -> Contender:
    folder = baseline_folder(contest.checkpoint, "no-prompt")
    _require_usable(folder, "no-prompt", contest.run)
    load = functools.cache(functools.partial(Agent.load, folder))  # once, and only if an episode is missing

    def actor_of(cells: Sequence[Cell]) -> Actor:
        task = contest.match.met[cells[0].task].task
        return _rematch(contest.match, load(), [task], "none").actor(cells, contest.num_envs)

    return Contender(
        name="no-prompt",
        measured={"checkpoint": identity(folder)},
        cells=_unprompted(contest.cells),
        tasks=contest.match.played(),
        actor_of=actor_of,
        left_out={},
    )


def _oracle(contest: Contest) -> Contender:
    folder = baseline_folder(contest.checkpoint, "task-id")
    _require_usable(folder, "task-id", contest.run)
    numbering = numbering_of(load_config(folder).data)
    load = functools.cache(functools.partial(Agent.load, folder))
    planned = dict.fromkeys(cell.task for cell in contest.cells)
    telling = {name: told(get_task(name), numbering) for name in planned if name in numbering.tasks}
    played = contest.match.played()

    def actor_of(cells: Sequence[Cell]) -> Actor:
        match = _rematch(contest.match, load(), [telling[cells[0].task]], "none")
        return match.actor(cells, contest.num_envs)

    return Contender(
        name="task-id",
        measured={"checkpoint": identity(folder)},
        cells=tuple(cell for cell in _unprompted(contest.cells) if cell.task in telling),
        tasks={name: dataclasses.replace(played[name], make_env=task.make) for name, task in telling.items()},
        actor_of=actor_of,
        left_out={name: "the oracle was not trained on it" for name in planned if name not in telling},
    )


def _rematch(match: Match, agent: Agent, tasks: Sequence[Task], kind: Prompt) -> Match:
    """Another network at some of the tasks, which acts as the match's own does.

    Raises:
        ValueError: it cannot play one of them.
    """
    makers = {task.name: task.make for task in tasks}
    again = Match(
        dataclasses.replace(agent, policy=match.agent.policy),
        tasks,
        match.prompts,
        kind=kind,
        deterministic=match.deterministic,
        make=lambda name: makers[name](),
        shares=match.shares,
    )
    if again.left_out:
        raise ValueError("; ".join(again.left_out.values()))
    return again


def _unusable(folder: Path, kind: TrainedBaseline, run: RunConfig) -> str | None:
    """Why there is nothing to play with; None where there is."""
    if not is_finished(folder):
        state = "is not trained to its end" if folder.exists() else "is not there"
        return f"{folder} {state}: make it with `gato baseline {kind} RUN`"
    trained = load_config(folder)
    if (trained.model, trained.tokenizer) != (run.model, run.tokenizer):
        return (
            f"{folder} is of another network than the run: delete it and make it anew with `gato baseline {kind} RUN`"
        )
    return None


def _require_usable(folder: Path, kind: TrainedBaseline, run: RunConfig) -> None:
    reason = _unusable(folder, kind, run)
    if reason is not None:
        raise FileNotFoundError(reason)
