"""One evaluation of an agent: which tasks it can play, in what order, after which demonstrations, and the playing."""

import contextlib
import dataclasses
import functools
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Any, TypeAlias

import gymnasium as gym

from gato.config import EvaluationConfig, PromptConfig
from gato.data.episode import Episode
from gato.envs import Task, get_task
from gato.evaluation.actors import ExpertActor
from gato.evaluation.evaluate import play_specs
from gato.evaluation.evaluation_task import EvaluationTask, reference_means
from gato.evaluation.plan import Demonstrations, EpisodeSpec, Plan, plan_ablation, plan_scores
from gato.evaluation.policy_actor import PolicyActor
from gato.evaluation.remote_env import EnvWorkers
from gato.evaluation.rollout import EpisodeJob, Rollout, play_jobs
from gato.evaluation.scores import Prompt
from gato.evaluation.time_shares import time_spent_on
from gato.inference.agent import NO_SOURCE, Agent
from gato.inference.batch_policy import BatchPolicy
from gato.tokenizer.demonstration import join_demonstrations
from gato.tokenizer.sequence import TokenSequence
from gato.tokenizer.spaces import TimestepTokenizer
from gato.tokenizer.tree import leaf_spaces

SLOW_STEP_MS = 2.0  # an environment whose mean step takes longer is worth a process of its own
# On a CPU, matrix products of 1, of 2 to 50 and of more tokens are each rounded in their own way (jaxlib 0.10,
# AVX-512). Idle environments always make them more, so that scores do not depend on how many play.
_SMALL_PRODUCT = 50  # tokens
_FEWEST_ROWS, _MOST_ROWS = 16, 48
_PROBED_STEPS = 20
_PROMPTS_KEPT = 64  # encoded ones; an evaluation comes back to few

_PromptKey: TypeAlias = tuple[Demonstrations, int]  # what is shown, and the most tokens of it


def make_task(name: str, render_mode: str | None = None) -> gym.Env:
    """Makes the environment of a task by its name, so that another process can make it too."""
    return get_task(name).make(render_mode=render_mode)


def scale_of(agent: Agent, task: Task) -> str:
    """Returns the source whose scale a task's numbers have; one never trained has its family's, where there is one."""
    return next((name for name in (task.name, task.family) if name in agent.fields), NO_SOURCE)


class EvaluationSession:
    """An agent and the tasks that it is to play; plans, jobs, prompts and actors are made from it."""

    def __init__(
        self,
        agent: Agent,
        tasks: Sequence[Task],
        prompts: PromptConfig,
        *,
        kind: Prompt = "right",
        deterministic: bool = False,
        make: Callable[[str], gym.Env] = make_task,
    ) -> None:
        """Looks at every task once.

        Args:
            agent: with the temperatures to act with.
            tasks: those that the agent cannot play go to `left_out`.
            prompts: how much of a demonstration stands before an episode.
            kind: which demonstration; a prompt ablation shows all kinds.
            deterministic: takes the most likely actions.
            make: (task name) -> environment to be played; a function of a module where processes are to hold them.
        """
        self.agent = agent
        self.prompts = prompts
        self.kind: Prompt = kind
        self.deterministic = deterministic
        self.left_out: dict[str, str] = {}
        self.tasks: dict[str, EvaluationTask] = {}
        self._prompts: OrderedDict[_PromptKey, TokenSequence] = OrderedDict()  # the oldest leave first
        with time_spent_on("simulators"):
            for task in tasks:
                try:
                    self.tasks[task.name] = self._look_at(task, functools.partial(make, task.name))
                except ValueError as error:
                    self.left_out[task.name] = " ".join(str(error).split())  # one line

    def plan(self, config: EvaluationConfig, *, ablation: bool = False) -> Plan:
        """Plans all episodes, and names all tasks that have none.

        Raises:
            ValueError: nothing can be played.
        """
        tasks = list(self.tasks.values())
        numbers = {
            "episodes": config.episodes,
            "seed": config.seed,
            "demonstrations": self.prompts.demonstrations,
        }
        plan = plan_ablation(tasks, **numbers) if ablation else plan_scores(tasks, self.kind, **numbers)
        left_out = {**self.left_out, **plan.left_out}
        if not plan.specs:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
            raise ValueError(f"no task can be played as asked. {reasons}")
        return Plan(specs=plan.specs, left_out=left_out)

    def ordered(self, specs: Sequence[EpisodeSpec]) -> list[EpisodeSpec]:
        """Sorts the specs into the best order to play: tasks of like cost together, long episodes first."""
        order = {name: number for number, name in enumerate(self.tasks)}

        def rank(spec: EpisodeSpec) -> tuple[Any, ...]:
            task = self.tasks[spec.task]
            return task.cost, -task.task.max_episode_steps, order[spec.task]

        return sorted(specs, key=rank)

    @contextlib.contextmanager
    def env_workers(self, num_workers: int | None) -> Iterator[None]:
        """Holds environments in other processes as long as the block lasts.

        Args:
            num_workers: processes, 0 for none; None takes one for each processor core, and only for slow tasks.
        """
        threshold = SLOW_STEP_MS if num_workers is None else 0.0
        count = (os.cpu_count() or 1) if num_workers is None else num_workers
        slow = [task for task in self.tasks.values() if task.step_ms > threshold]
        if not count or not slow:
            yield
            return
        before = self.tasks
        with EnvWorkers(count) as workers:
            for task in slow:
                make_env = functools.partial(workers.make, task.make_env, task.observation_space, task.action_space)
                self.tasks = {**self.tasks, task.name: dataclasses.replace(task, make_env=make_env)}
            try:
                yield
            finally:
                self.tasks = before

    def width(self, num_envs: int) -> int:
        """Returns how many of so many episodes are played side by side, if all are to be rounded alike where asked."""
        return min(num_envs, _MOST_ROWS) if self.deterministic else num_envs

    def play(
        self, specs: Sequence[EpisodeSpec], num_envs: int, *, keep_frames: Container[EpisodeSpec] = ()
    ) -> Iterator[tuple[EpisodeSpec, Rollout]]:
        """Has the agent play these episodes, so many side by side; each comes as it ends.

        Args:
            specs: in the order in which they are begun.
            num_envs: of environments.
            keep_frames: specs whose rendered frames are kept.
        """
        return play_specs(
            specs,
            self.tasks,
            self.actor(specs, num_envs),
            num_envs=num_envs,
            prompt_of=functools.partial(self.prompt_at, specs),
            keep_frames=keep_frames,
        )

    def actor(self, specs: Sequence[EpisodeSpec], num_envs: int) -> PolicyActor:
        """Makes the agent that plays these specs, so many side by side; some rows may idle."""
        first = self.tasks[specs[0].task]
        num_rows = min(num_envs, len(specs))
        if self.deterministic:
            num_tokens = min(self.tasks[spec.task].num_observation_tokens for spec in specs)
            num_rows = max(num_rows, _FEWEST_ROWS, _SMALL_PRODUCT // num_tokens + 1)
        policy = BatchPolicy(
            self.agent,
            first.observation_space,
            first.action_space,
            num_envs=num_rows,
            source=first.source,
            config=dataclasses.replace(self.agent.policy, prompt=self.prompts),
        )
        return PolicyActor(policy, pinned=self.prompts.pinned, deterministic=self.deterministic)

    def prompt_at(self, specs: Sequence[EpisodeSpec], index: int) -> TokenSequence | None:
        """Returns what stands before the episode of `specs[index]`; looks ahead to make several prompts at once."""
        spec = specs[index]
        if spec.shown is None:
            return None
        key = self._prompt_key(spec, spec.shown)
        if key not in self._prompts:
            ahead = specs[index : index + _PROMPTS_KEPT // 2]
            keys = dict.fromkeys(
                self._prompt_key(other, other.shown)
                for other in ahead
                if other.shown is not None and other.shown.task == spec.shown.task
            )
            with time_spent_on("demonstrations"):
                self._make_prompts([missing for missing in keys if missing not in self._prompts])
        return self._prompts[key]

    def expert_episodes(
        self, name: str, variants_and_seeds: Sequence[tuple[int, int]], max_steps: int | None = None
    ) -> list[Episode]:
        """Plays clean episodes of a task's expert, or their first steps, by variant and seed."""
        task = self.tasks[name]
        assert task.task.make_expert is not None  # the plan asks for no others
        jobs = [
            EpisodeJob(make_env=task.task.make, seed=seed, options=task.variants[variant], max_steps=max_steps)
            for variant, seed in variants_and_seeds
        ]
        return [done.episode for _, done in play_jobs(jobs, ExpertActor(task.task.make_expert))]

    def _look_at(self, task: Task, make_env: Callable[[], gym.Env]) -> EvaluationTask:
        """Measures a task; raises ValueError where the agent cannot play it or its scores could not be normalised."""
        reference_means(task)
        source = scale_of(self.agent, task)
        with contextlib.closing(task.make()) as env:
            timesteps = TimestepTokenizer(
                env.observation_space,
                env.action_space,
                self.agent.tokenizer,
                self.agent.text,
                fields=self.agent.fields_of(source),
            )
            observation, _ = env.reset(seed=0, options=dict(task.variants[0]))
            observed = timesteps.encode_observation(observation)
            found = EvaluationTask(
                task=task,
                make_env=make_env,
                observation_space=env.observation_space,
                action_space=env.action_space,
                timesteps=timesteps,
                source=source,
                num_tokens=len(observed) + timesteps.num_action_tokens,
                num_patches=len(observed.patches),
                step_ms=_mean_step_ms(env),
            )
        context_length = self.agent.policy.context_length
        if found.num_tokens > context_length:
            raise ValueError(f"a timestep takes {found.num_tokens} tokens, the context holds {context_length}")
        if self.kind != "none" and found.num_tokens > self._prompt_limit(found):
            raise ValueError(
                f"a timestep takes {found.num_tokens} tokens: no demonstration fits before it into a context of "
                f"{context_length} and a prompt of {self.prompts.max_tokens}"
            )
        return found

    def _prompt_limit(self, task: EvaluationTask) -> int:
        """Returns the tokens that a prompt may take, so that a timestep still fits beside it where it stays."""
        return min(self.prompts.max_tokens, self.agent.policy.context_length - task.num_tokens * self.prompts.pinned)

    def _prompt_key(self, spec: EpisodeSpec, shown: Demonstrations) -> _PromptKey:
        return shown, self._prompt_limit(self.tasks[spec.task])

    def _make_prompts(self, keys: Sequence[_PromptKey]) -> None:
        """Makes prompts, all out of demonstrations of one task, and keeps them."""
        task = self.tasks[keys[0][0].task]
        longest = max(max_tokens for _, max_tokens in keys)
        # Only the first steps are seen of a demonstration that is shown from its start; text has no fixed length.
        texts = any(isinstance(space, gym.spaces.Text) for _, space in leaf_spaces(task.observation_space, ""))
        needed = longest // task.num_tokens + 1 if self.prompts.part == "first" and not texts else None
        variants_and_seeds = [(shown.variant, seed) for shown, _ in keys for seed in shown.seeds]
        encoded = iter(
            [
                task.timesteps.encode_episode(
                    episode.observations, episode.actions, terminal_observation=self.prompts.terminal_observation
                )
                for episode in self.expert_episodes(task.name, variants_and_seeds, needed)
            ]
        )
        for shown, max_tokens in keys:
            episodes = [next(encoded) for _ in shown.seeds]
            self._prompts[shown, max_tokens] = join_demonstrations(
                episodes, self.prompts.part, max_tokens, rng=shown.rng
            )
        while len(self._prompts) > _PROMPTS_KEPT:
            self._prompts.popitem(last=False)


def _mean_step_ms(env: gym.Env) -> float:
    """Measures steps of random actions in an episode that has begun."""
    env.action_space.seed(0)
    begun = time.perf_counter()
    over, num_steps = False, 0
    while not over and num_steps < _PROBED_STEPS:
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        over, num_steps = terminated or truncated, num_steps + 1
    return (time.perf_counter() - begun) / num_steps * 1000
