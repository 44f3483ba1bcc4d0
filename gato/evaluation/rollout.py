"""Actor x environments -> episodes: expert recording, evaluation and the random baseline are this one function."""

import contextlib
import copy
from collections.abc import Callable, Container, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import gymnasium as gym
import numpy as np

from gato.data.episode import Episode
from gato.evaluation.evaluation_task import EvaluationTask
from gato.evaluation.remote_env import RemoteEnv
from gato.evaluation.stacking import stack_members
from gato.evaluation.time_shares import time_spent_on
from gato.seeds import Stream, stream


@dataclass(frozen=True, kw_only=True)
class EpisodeJob:
    """One episode to be played, with what its actor needs. Jobs with equal `make_env` share environments."""

    make_env: Callable[[], gym.Env]
    seed: int  # of `env.reset` and of the action space
    options: Mapping[str, Any] | None = None  # of `env.reset`
    keep_frames: bool = False  # needs render_mode "rgb_array"
    max_steps: int | None = None  # ends the episode, as truncated, after so many
    task: EvaluationTask | None = None  # for actors that play several
    # Called when the episode begins: what the actor is shown before it, in the actor's own form, hence `Any`.
    prompt: Callable[[], Any] | None = None


@dataclass(frozen=True, kw_only=True)
class EpisodeStart:
    """What an actor may know when an episode begins."""

    slot: int  # which of the environments side by side
    job: EpisodeJob
    env: gym.Env  # already reset; for experts that look behind the observation

    @property
    def seed(self) -> int:
        """An actor draws its randomness from it, so that the number of slots does not matter."""
        return self.job.seed


class Actor(Protocol):
    """Whatever chooses actions for several environments at once.

    Observations and actions are opaque members of the environment's spaces, hence `Any`.
    """

    def reset(self, starts: Sequence[EpisodeStart]) -> None:
        """Forgets the past of the named slots: a new episode begins there."""

    def act(self, observations: Sequence[Any]) -> Sequence[Any]:
        """Returns one action for each slot that has an observation; a slot that idles holds None in both lists."""


class SlotwiseActor(Actor, Protocol):
    """An actor that answers each slot by itself."""

    def act(self, observations: Sequence[Any]) -> list[Any]:
        return [None if seen is None else self.act_in(slot, seen) for slot, seen in enumerate(observations)]

    def act_in(self, slot: int, observation: Any) -> Any:
        """Returns the action of one slot."""


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """One finished episode and what came with it."""

    episode: Episode
    info: dict[str, Any]  # of the last step; its keys are the environment's own
    frames: np.ndarray | None = None  # (T + 1, height, width, 3) uint8, where rendering was asked for


def rollout(
    make_env: Callable[[], gym.Env],
    actor: Actor,
    seeds: Sequence[int],
    *,
    options: Sequence[Mapping[str, Any] | None] | None = None,
    num_envs: int = 1,
    noise: tuple[float, float] | None = None,
    noise_strength: float = 1.0,
    substitute: Actor | None = None,
    steps_after_success: int | None = None,
    keep_frames: Container[int] = (),
) -> Iterator[Rollout]:
    """Plays one episode per seed, `num_envs` side by side, and yields them in the order of the seeds.

    Episodes depend on their seed only, never on `num_envs`, provided the actor's choices do not.

    Args:
        make_env: called once per slot; every environment is the same task and ends its episodes by itself.
        actor: sees one slot for each environment, that is min(num_envs, len(seeds)).
        seeds: of `env.reset` and of the action space.
        options: reset options, one mapping per episode.
        noise: [low, high]: each episode draws a probability from this range, with which any executed action is a
            random one instead. Such actions are recorded, and False in the episode's `action_mask`; what the actor
            chose are its `expert_actions`.
        noise_strength: of such an action in a Box of floats: how far it lies on the way from the actor's to a random
            one, in [0, 1].
        substitute: chooses what is executed in place of the actor's action, instead of chance; sees every observation.
        steps_after_success: ends an episode, as truncated, so many steps after the one whose info first says `success`.
        keep_frames: indices of the episodes whose rendered frames are kept; needs render_mode "rgb_array".

    Raises:
        ValueError: options and seeds differ in number, `num_envs` below 1, noise or its strength outside [0, 1], or
            steps_after_success below 0.
    """
    if options is not None and len(options) != len(seeds):
        raise ValueError(f"{len(options)} reset options came for {len(seeds)} seeds: give one per episode, or None")
    jobs = [
        EpisodeJob(
            make_env=make_env,
            seed=int(seed),
            options=None if options is None else options[index],
            keep_frames=index in keep_frames,
        )
        for index, seed in enumerate(seeds)
    ]
    finished: dict[int, Rollout] = {}
    next_index = 0
    played = play_jobs(
        jobs,
        actor,
        num_envs=num_envs,
        noise=noise,
        noise_strength=noise_strength,
        substitute=substitute,
        steps_after_success=steps_after_success,
    )
    with contextlib.closing(played):
        for index, done in played:
            finished[index] = done
            while next_index in finished:
                yield finished.pop(next_index)
                next_index += 1


def play_jobs(
    jobs: Sequence[EpisodeJob],
    actor: Actor,
    *,
    num_envs: int = 1,
    noise: tuple[float, float] | None = None,
    noise_strength: float = 1.0,
    substitute: Actor | None = None,
    steps_after_success: int | None = None,
) -> Generator[tuple[int, Rollout], None, None]:
    """Plays jobs, perhaps of many tasks, and yields each with its index as it ends.

    They are begun in their order: a slot that has finished takes the next one, so that none idles before the end. Jobs
    of one task should stand together, since a slot makes a new environment when its task changes.

    Args:
        jobs: what to play.
        actor: sees one slot for each of min(num_envs, len(jobs)) environments.
        num_envs: episodes side by side.
        noise, noise_strength, substitute, steps_after_success: as for `rollout`.

    Raises:
        ValueError: `num_envs` below 1, noise or its strength outside [0, 1], or steps_after_success below 0.
    """
    _check(num_envs, noise, noise_strength, steps_after_success)
    num_envs = min(num_envs, len(jobs))
    waiting = iter(range(len(jobs)))
    environments: list[tuple[Callable[[], gym.Env], gym.Env] | None] = [None] * num_envs
    running: dict[int, _Recorder] = {}
    try:
        while True:
            starts = []
            with time_spent_on("simulators"):
                for slot in range(num_envs):
                    if slot not in running and (index := next(waiting, None)) is not None:
                        job, held = jobs[index], environments[slot]
                        if held is None or held[0] != job.make_env:
                            if held is not None:
                                held[1].close()
                            held = environments[slot] = job.make_env, job.make_env()
                        running[slot] = _Recorder(
                            env=held[1],
                            index=index,
                            job=job,
                            noise=noise,
                            noise_strength=noise_strength,
                            steps_after_success=steps_after_success,
                        )
                        starts.append(EpisodeStart(slot=slot, job=job, env=held[1]))
                        running[slot].begin()
                for start in starts:
                    running[start.slot].started()
            if not running:
                return
            with time_spent_on("actor"):
                seen = [running[slot].observations[-1] if slot in running else None for slot in range(num_envs)]
                if starts:
                    actor.reset(starts)
                actions = actor.act(seen)
                others: Sequence[Any] = actions
                if substitute is not None:
                    if starts:
                        substitute.reset(starts)
                    others = substitute.act(seen)
            with time_spent_on("simulators"):
                for slot, recorder in running.items():
                    recorder.send(actions[slot], None if substitute is None else others[slot])
                over = [slot for slot, recorder in running.items() if recorder.receive()]
            for slot in over:
                recorder = running.pop(slot)
                yield recorder.index, recorder.result()
    finally:
        for held in environments:
            if held is not None:
                held[1].close()


def _check(
    num_envs: int, noise: tuple[float, float] | None, noise_strength: float, steps_after_success: int | None
) -> None:
    if num_envs < 1:
        raise ValueError(f"num_envs is {num_envs}, needs 1 or more")
    if noise is not None and not 0 <= noise[0] <= noise[1] <= 1:
        raise ValueError(f"noise is {noise}, expected (low, high) with 0 <= low <= high <= 1")
    if not 0 <= noise_strength <= 1:
        raise ValueError(f"noise_strength is {noise_strength}, expected a number in [0, 1]")
    if steps_after_success is not None and steps_after_success < 0:
        raise ValueError(f"steps_after_success is {steps_after_success}, expected 0 or more")


@dataclass(kw_only=True)
class _Recorder:
    """One episode in the making: steps its environment and keeps copies of what passes.

    Each call of the environment is asked for and answered apart, so that environments in other processes work at the
    same time.
    """

    env: gym.Env
    index: int
    job: EpisodeJob
    noise: tuple[float, float] | None
    noise_strength: float
    steps_after_success: int | None
    observations: list[Any] = field(default_factory=list)
    actions: list[Any] = field(default_factory=list)
    chosen_actions: list[Any] = field(default_factory=list)
    action_mask: list[bool] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    frames: list[np.ndarray] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)
    terminated: bool = False
    truncated: bool = False
    steps_since_success: int | None = None

    def begin(self) -> None:
        """Asks for the reset."""
        if isinstance(self.env, RemoteEnv):
            self.env.ask_reset(seed=self.job.seed, options=self._options())

    def started(self) -> None:
        """Takes the first observation."""
        seed = self.job.seed
        observation, self.info = self.env.reset(seed=seed, options=self._options())
        self.env.action_space.seed(seed)
        self.noise_rng = stream(Stream.NOISE, seed)
        self.noise_space = copy.deepcopy(self.env.action_space)
        self.noise_space.seed(int(self.noise_rng.integers(2**31)))
        self.noise_probability = 0.0 if self.noise is None else float(self.noise_rng.uniform(*self.noise))
        self._observe(observation)

    def _options(self) -> dict[str, Any] | None:
        return None if self.job.options is None else dict(self.job.options)

    def _observe(self, observation: Any) -> None:
        # Environments and actors may reuse their buffers, so every entry is a copy.
        self.observations.append(copy.deepcopy(observation))
        if self.job.keep_frames:
            frame = self.env.render()
            if not isinstance(frame, np.ndarray):
                raise ValueError(
                    f"render() of {self.env} returned {type(frame).__name__}, expected an RGB array: "
                    'make the environment with render_mode="rgb_array"'
                )
            self.frames.append(frame.copy())

    def send(self, action: Any, other: Any = None) -> None:
        """Has the environment execute the action, or the other one, by default a random one."""
        chosen = self.noise_rng.random() >= self.noise_probability
        executed = action if chosen else self._disturbed(action) if other is None else other
        self.executed = executed
        self.actions.append(copy.deepcopy(executed))
        self.chosen_actions.append(copy.deepcopy(action))
        self.action_mask.append(chosen)
        if isinstance(self.env, RemoteEnv):
            self.env.ask_step(executed)

    def receive(self) -> bool:
        """Takes what the action led to; True when the episode is over."""
        observation, reward, self.terminated, self.truncated, self.info = self.env.step(self.executed)
        self.rewards.append(float(reward))
        self._observe(observation)
        if self.steps_since_success is not None:
            self.steps_since_success += 1
        elif self.info.get("success"):
            self.steps_since_success = 0
        if self.steps_after_success is not None and self.steps_since_success == self.steps_after_success:
            self.truncated = not self.terminated
        if len(self.actions) == self.job.max_steps:
            self.truncated = self.truncated or not self.terminated
        return self.terminated or self.truncated

    def _disturbed(self, action: Any) -> Any:
        """Returns a random action, or one on the way there."""
        space = self.noise_space
        random_action = space.sample()
        if not isinstance(space, gym.spaces.Box) or space.dtype.kind != "f" or self.noise_strength == 1:
            return random_action
        mixed = (1 - self.noise_strength) * np.asarray(action) + self.noise_strength * random_action
        return np.clip(mixed, space.low, space.high).astype(space.dtype)

    def result(self) -> Rollout:
        episode = Episode(
            observations=stack_members(self.env.observation_space, self.observations),
            actions=stack_members(self.env.action_space, self.actions),
            rewards=np.array(self.rewards),
            terminated=bool(self.terminated),
            truncated=bool(self.truncated),
            action_mask=None if self.noise is None else np.array(self.action_mask),
            expert_actions=None if self.noise is None else stack_members(self.env.action_space, self.chosen_actions),
            seed=self.job.seed,
            options=self._options(),
        )
        return Rollout(episode=episode, info=self.info, frames=np.stack(self.frames) if self.frames else None)
