"""An agent meets tasks of the catalogue: which of them it can play, in what order, and after which demonstrations."""

import contextlib
import dataclasses
import functools
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import gymnasium as gym

from gato.config import EvaluationConfig, PromptConfig
from gato.data.episode import Episode
from gato.envs import Task, get_task
from gato.evaluation.actors import ExpertActor
from gato.evaluation.evaluate import PlayedTask, Subject
from gato.evaluation.plan import Cell, Plan, PlannedTask, Shown, plan_scores, plan_study
from gato.evaluation.policy_actor import Interface, PolicyActor
from gato.evaluation.prompt_policy import build_prompt
from gato.evaluation.remote_env import EnvWorkers
from gato.evaluation.rollout import EpisodeJob, play_jobs
from gato.evaluation.scores import Prompt
from gato.evaluation.time_shares import TimeShares
from gato.inference.agent import NO_SOURCE, Agent
from gato.inference.batch_policy import BatchPolicy
from gato.tokenizer.sequence import TokenSequence
from gato.tokenizer.spaces import TimestepTokenizer
from gato.tokenizer.tree import leaf_spaces

SLOW_STEP_MS = 2.0  # an environment whose mean step takes longer is worth a process of its own
# Batches whose matrix products are rounded alike on a CPU, whatever else is in them: 1 row, 2 to 50 and more each take
# another way through them, and an observation is at least four tokens a row (jaxlib 0.10, AVX-512).
_FEWEST_ROWS, _MOST_ROWS = 16, 48
_PROBED_STEPS = 20
_PROMPTS_KEPT = 64  # encoded ones; an evaluation comes back to few

_PromptKey: TypeAlias = tuple[Shown, int]  # what is shown, and the most tokens of it


def make_task(name: str, render_mode: str | None = None) -> gym.Env:
    """The environment of a task by its name, so that another process can make it too."""
    return get_task(name).make(render_mode=render_mode)


def subject_of(task: Task) -> Subject:
    """What a score of the task is normalised with: chance, and its expert or else a human."""
    reference = None if task.scores is None else task.scores.reference
    if task.scores is None or reference is None:
        raise ValueError(f"task {task.name!r} has no reference scores to compare with")
    return Subject(task=task.name, family=task.family, random_mean=task.scores.random.mean, expert_mean=reference.mean)


@dataclass(frozen=True, kw_only=True)
class MetTask:
    """A task as one agent meets it."""

    task: Task
    subject: Subject
    interface: Interface
    timesteps: TimestepTokenizer
    num_tokens: int  # of a timestep
    num_patches: int  # of those
    step_ms: float  # of the environment, random actions

    @property
    def variants(self) -> list[dict[str, Any]]:
        return [dict(variant) for variant in (*self.task.variants, *self.task.held_out_variants)]

    @property
    def cost(self) -> tuple[int, ...]:
        """Tasks that are alike in this are cheap in one batch, whose rows are all padded to the longest."""
        return self.num_patches, self.num_tokens, self.timesteps.num_action_tokens

    @property
    def planned(self) -> PlannedTask:
        return PlannedTask(
            name=self.task.name,
            num_variants=len(self.task.variants),
            num_held_out=len(self.task.held_out_variants),
            has_expert=self.task.make_expert is not None,
            spaces=(self.interface.observation_space, self.interface.action_space),
        )


class Match:
    """An agent and the tasks that it is to play: what the plan, the actor and the environments are made from."""

    def __init__(
        self,
        agent: Agent,
        tasks: Sequence[Task],
        prompts: PromptConfig,
        *,
        kind: Prompt = "right",
        deterministic: bool = False,
        make: Callable[[str], gym.Env] = make_task,
        shares: TimeShares | None = None,
    ) -> None:
        """Looks at every task once.

        Args:
            agent: with the temperatures to act with.
            tasks: those that the agent cannot play go to `left_out`.
            prompts: how much of a demonstration stands before an episode.
            kind: which demonstration; a study shows all kinds.
            deterministic: takes the most likely actions.
            make: (task name) -> environment to be played; a function of a module where processes are to hold them.
            shares: is told what time was spent on.
        """
        self.agent = agent
        self.prompts = prompts
        self.kind: Prompt = kind
        self.deterministic = deterministic
        self.shares = TimeShares() if shares is None else shares
        self.left_out: dict[str, str] = {}
        self.met: dict[str, MetTask] = {}
        self._make = make
        self._prompts: OrderedDict[_PromptKey, TokenSequence] = OrderedDict()  # the oldest leave first
        with self.shares.of("simulators"):
            for task in tasks:
                try:
                    self.met[task.name] = self._meet(task)
                except ValueError as error:
                    self.left_out[task.name] = " ".join(str(error).split())  # one line

    def plan(self, config: EvaluationConfig, *, study: bool = False) -> Plan:
        """All episodes, and all tasks that have none.

        Raises:
            ValueError: nothing can be played.
        """
        tasks = [met.planned for met in self.met.values()]
        if study:
            plan = plan_study(
                tasks, episodes=config.episodes, seed=config.seed, demonstrations=self.prompts.demonstrations
            )
        else:
            plan = plan_scores(
                tasks,
                self.kind,
                episodes=config.episodes,
                seed=config.seed,
                demonstrations=self.prompts.demonstrations,
            )
        left_out = {**self.left_out, **plan.left_out}
        if not plan.cells:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
            raise ValueError(f"no task can be played as asked. {reasons}")
        return Plan(cells=plan.cells, left_out=left_out)

    def ordered(self, cells: Sequence[Cell]) -> list[Cell]:
        """The cells in the order in which they are played best: tasks of like cost together, long episodes first."""
        place = {name: number for number, name in enumerate(self.met)}

        def rank(cell: Cell) -> tuple[Any, ...]:
            met = self.met[cell.task]
            return met.cost, -met.task.max_episode_steps, place[cell.task]

        return sorted(cells, key=rank)

    def played(self, workers: EnvWorkers | None = None, slower_than_ms: float = 0.0) -> dict[str, PlayedTask]:
        """The tasks by name.

        Args:
            workers: hold the environments of tasks whose step takes longer than `slower_than_ms`.
            slower_than_ms: milliseconds.
        """
        return {
            name: PlayedTask(
                subject=met.subject,
                make_env=self._maker(met, workers if met.step_ms > slower_than_ms else None),
                variants=met.variants,
                succeeded=met.task.success,
                follows=met.task.follows,
            )
            for name, met in self.met.items()
        }

    def width(self, num_envs: int) -> int:
        """How many of so many episodes are played side by side, if all are to be rounded alike where that is asked."""
        return min(num_envs, _MOST_ROWS) if self.deterministic else num_envs

    def actor(self, cells: Sequence[Cell], num_envs: int) -> PolicyActor:
        """The agent for these cells in this order, so many side by side; some rows may idle."""
        first = self.met[cells[0].task].interface
        num_rows = min(num_envs, len(cells))
        policy = BatchPolicy(
            self.agent,
            first.observation_space,
            first.action_space,
            num_envs=max(num_rows, _FEWEST_ROWS) if self.deterministic else num_rows,
            source=first.source,
            config=dataclasses.replace(self.agent.policy, prompt=self.prompts),
        )
        return PolicyActor(
            policy,
            lambda index: self.prompt_at(cells, index),
            interface_of=lambda index: self.met[cells[index].task].interface,
            pinned=self.prompts.pinned,
            deterministic=self.deterministic,
        )

    def prompt_at(self, cells: Sequence[Cell], index: int) -> TokenSequence | None:
        """What stands before the episode of `cells[index]`; looks ahead to make several demonstrations at once."""
        cell = cells[index]
        if cell.shown is None:
            return None
        key = self._prompt_key(cell)
        if key not in self._prompts:
            ahead = cells[index : index + _PROMPTS_KEPT // 2]
            keys = dict.fromkeys(
                self._prompt_key(other)
                for other in ahead
                if other.shown is not None and other.shown.task == cell.shown.task
            )
            with self.shares.of("demonstrations"):
                self._demonstrate([wanted for wanted in keys if wanted not in self._prompts])
        return self._prompts[key]

    def expert_episodes(
        self, name: str, variants_and_seeds: Sequence[tuple[int, int]], max_steps: int | None = None
    ) -> list[Episode]:
        """Clean episodes of a task's expert, or their first steps, by variant and seed."""
        task, variants = self.met[name].task, self.met[name].variants
        assert task.make_expert is not None  # the plan asks for no others
        jobs = [
            EpisodeJob(make_env=task.make, seed=seed, options=variants[variant], max_steps=max_steps)
            for variant, seed in variants_and_seeds
        ]
        return [done.episode for _, done in play_jobs(jobs, ExpertActor(task.make_expert))]

    def _meet(self, task: Task) -> MetTask:
        """Raises ValueError where the agent cannot play the task."""
        subject = subject_of(task)
        with contextlib.closing(task.make()) as env:
            interface = Interface(
                observation_space=env.observation_space,
                action_space=env.action_space,
                source=task.name if task.name in self.agent.fields else NO_SOURCE,
            )
            timesteps = TimestepTokenizer(
                env.observation_space,
                env.action_space,
                self.agent.tokenizer,
                self.agent.text,
                fields=self.agent.fields_of(interface.source),
            )
            observation, _ = env.reset(seed=0, options=dict(task.variants[0]))
            observed = timesteps.encode_observation(observation)
            step_ms = _mean_step_ms(env)
        num_tokens = len(observed) + timesteps.num_action_tokens
        context_length = self.agent.policy.context_length
        if num_tokens > context_length:
            raise ValueError(f"a timestep takes {num_tokens} tokens, the context holds {context_length}")
        if self.kind != "none" and num_tokens > self._prompt_limit(num_tokens):
            raise ValueError(
                f"a timestep takes {num_tokens} tokens: no demonstration fits before it into a context of "
                f"{context_length} and a prompt of {self.prompts.max_tokens}"
            )
        return MetTask(
            task=task,
            subject=subject,
            interface=interface,
            timesteps=timesteps,
            num_tokens=num_tokens,
            num_patches=len(observed.patches),
            step_ms=step_ms,
        )

    def _prompt_limit(self, num_tokens: int) -> int:
        """Tokens that a prompt may take, so that a timestep still fits beside it where it stays."""
        context_length = self.agent.policy.context_length
        return min(self.prompts.max_tokens, context_length - num_tokens * self.prompts.pinned)

    def _maker(self, met: MetTask, workers: EnvWorkers | None) -> Callable[[], gym.Env]:
        make = functools.partial(self._make, met.task.name)
        if workers is None:
            return make
        spaces = met.interface.observation_space, met.interface.action_space
        return lambda: workers.make(make, *spaces)

    def _prompt_key(self, cell: Cell) -> _PromptKey:
        assert cell.shown is not None
        return cell.shown, self._prompt_limit(self.met[cell.task].num_tokens)

    def _demonstrate(self, keys: Sequence[_PromptKey]) -> None:
        """Makes prompts, all out of demonstrations of one task."""
        met = self.met[keys[0][0].task]
        longest = max(max_tokens for _, max_tokens in keys)
        # Only the first steps are seen of a demonstration that is shown from its start; text has no fixed length.
        texts = any(isinstance(space, gym.spaces.Text) for _, space in leaf_spaces(met.interface.observation_space, ""))
        needed = longest // met.num_tokens + 1 if self.prompts.part == "first" and not texts else None
        variants_and_seeds = [(shown.variant, seed) for shown, _ in keys for seed in shown.seeds]
        encoded = iter(
            [
                met.timesteps.encode_episode(
                    episode.observations, episode.actions, terminal_observation=self.prompts.terminal_observation
                )
                for episode in self.expert_episodes(met.task.name, variants_and_seeds, needed)
            ]
        )
        for shown, max_tokens in keys:
            episodes = [next(encoded) for _ in shown.seeds]
            self._prompts[shown, max_tokens] = build_prompt(episodes, shown, self.prompts, max_tokens)
        while len(self._prompts) > _PROMPTS_KEPT:
            self._prompts.popitem(last=False)


def _mean_step_ms(env: gym.Env) -> float:
    """Of random actions in an episode that has begun."""
    env.action_space.seed(0)
    begun = time.perf_counter()
    over, num_steps = False, 0
    while not over and num_steps < _PROBED_STEPS:
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        over, num_steps = terminated or truncated, num_steps + 1
    return (time.perf_counter() - begun) / num_steps * 1000
