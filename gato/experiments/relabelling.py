"""Episodes that a trained agent plays and an expert labels: the states are the agent's, the answers the expert's.

Demonstrations lead where experts go. A clone that errs comes to places that they never showed. What the expert would do
there is recorded beside what was executed, and learned as `SourceConfig.learned_actions` says.

Source: DAgger (Ross, Gordon and Bagnell, 2011).
"""

import contextlib
import functools
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from gato.envs import Task, get_task
from gato.evaluation.policy_actor import PolicyActor
from gato.experiments.recording import Part, Recording, record_part
from gato.experiments.recording_pool import RecordingJob, record_all
from gato.experiments.session import scale_of
from gato.inference.agent import Agent
from gato.inference.batch_policy import BatchPolicy
from gato.release import identity

SHARE = 0.5, 1.0  # range of the fraction of actions that are the agent's, drawn per episode


def relabel(
    weights: Path,
    tasks: Sequence[Task],
    out: Path,
    *,
    episodes: int,
    share: tuple[float, float],
    seed: int,
    num_workers: int,
    console: Console,
) -> None:
    """Records, for each task, episodes that an agent plays and the task's expert labels.

    Args:
        weights: of the agent: a run, a checkpoint or a release.
        tasks: with an expert, and with a goal that the observation tells.
        out: folder; each task gets a Minari dataset of its name below it.
        episodes: per task.
        share: range of the fraction of executed actions that are the agent's, drawn per episode; the others are the
            expert's.
        seed: of the first episode.
        num_workers: processes, each of which loads the agent.

    Raises:
        FileExistsError: another recording of one of the tasks lies there.
        ValueError: the agent is fed its own actions; a task cannot be recorded so.
    """
    agent = _load(weights)
    if agent.tokenizer.own_actions != "hidden":
        raise ValueError(
            f"the agent of {weights} sees its own actions (own_actions {agent.tokenizer.own_actions!r}), so that it "
            "would not know which ones the expert replaced: only agents with own_actions 'hidden' can be relabelled"
        )
    if context := [task.name for task in tasks if "context" in task.tags]:
        raise ValueError(f"{context[0]} tells its goal by a demonstration alone, and the agent gets none: leave it out")
    digest = str(identity(weights)["sha256"])
    recordings = [
        Recording(task=task.name, episodes=episodes, seed=seed, noise=share, keep="all", agent=digest) for task in tasks
    ]
    record_all(recordings, out, num_workers, console, functools.partial(_record, weights))


def _record(weights: Path, job: RecordingJob) -> Part:
    return record_part(job.recording, job.folder, job.number, _actor(weights, job.recording.task))


@functools.cache
def _load(weights: Path) -> Agent:
    return Agent.load(weights)


@functools.lru_cache(maxsize=1)  # parts of one task come one after the other
def _actor(weights: Path, task: str) -> PolicyActor:
    agent, chosen = _load(weights), get_task(task)
    with contextlib.closing(chosen.make()) as env:
        return PolicyActor(
            BatchPolicy(agent, env.observation_space, env.action_space, num_envs=1, source=scale_of(agent, chosen))
        )
