"""The trained agent as an actor; apart from the other actors so that recording demonstrations does not load JAX."""

from collections.abc import Sequence
from typing import Any

from gato.evaluation.evaluation_task import EvaluationTask
from gato.evaluation.rollout import EpisodeStart
from gato.inference.batch_policy import BatchPolicy
from gato.tokenizer.sequence import TokenSequence


class PolicyActor:
    """Acts with a policy that has at least as many slots as the rollout has environments.

    A slot takes up the spaces of its job's task, where the job names one, and starts with the job's prompt.
    """

    def __init__(self, policy: BatchPolicy, *, pinned: bool = True, deterministic: bool = False) -> None:
        """Keeps the policy.

        Args:
            policy: whose spaces are those of jobs without a task.
            pinned: prompts stay at the front of the context.
            deterministic: takes the most likely actions.
        """
        self._policy = policy
        self._pinned = pinned
        self._deterministic = deterministic
        self._task_names: dict[int, str] = {}  # by slot

    def reset(self, starts: Sequence[EpisodeStart]) -> None:
        self._assign({start.slot: start.job.task for start in starts if start.job.task is not None})
        # One call for all episodes that share a prompt, which is then encoded once.
        groups: dict[str | None, tuple[TokenSequence | None, list[EpisodeStart]]] = {}
        for start in starts:
            prompt = None if start.job.prompt is None else start.job.prompt()
            groups.setdefault(None if prompt is None else prompt.key, (prompt, []))[1].append(start)
        for prompt, alike in groups.values():
            slots, seeds = [start.slot for start in alike], [start.seed for start in alike]
            self._policy.reset(slots, seeds=seeds, prompt=prompt, pinned=self._pinned)

    def act(self, observations: Sequence[Any]) -> list[Any]:
        idle = [None] * (self._policy.num_envs - len(observations))
        return self._policy.act([*observations, *idle], deterministic=self._deterministic)[: len(observations)]

    def _assign(self, tasks: dict[int, EvaluationTask]) -> None:
        """Gives the slots whose task has changed the spaces of their new one."""
        changed = {slot: task for slot, task in tasks.items() if self._task_names.get(slot) != task.name}
        for task in {task.name: task for task in changed.values()}.values():
            slots = [slot for slot, new in changed.items() if new.name == task.name]
            self._policy.assign(slots, task.observation_space, task.action_space, source=task.source)
            self._task_names |= dict.fromkeys(slots, task.name)
