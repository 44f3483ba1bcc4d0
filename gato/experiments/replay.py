"""Plays episodes of an evaluation once more, for its page: films, and the timesteps as the network met them."""

import dataclasses
import functools
from collections.abc import Sequence

import gymnasium as gym
import jax
import numpy as np

from gato.batch import Batch
from gato.data.episode import Episode
from gato.evaluation.action_probabilities import LogitsOf, action_probabilities
from gato.evaluation.evaluate import episode_job
from gato.evaluation.filmed_env import FilmedEnv
from gato.evaluation.rollout import play_jobs
from gato.experiments.headless_rendering import draw_off_screen
from gato.experiments.session import EvaluationSession, make_task
from gato.inference.agent import Agent
from gato.model.gato import Parameters, rebuild
from gato.reports.shown_episodes import ShownEpisode
from gato.reports.token_view import TokenView, spread
from gato.reports.videos import Clip, gif_bytes

_PAGE_BYTES = 14_000_000  # of all films and timesteps together, as they stand in the page
_FILM_BYTES = 300_000  # of one film, where they are few
_FILM_SHARE, _BASE64 = 0.4, 4 / 3  # of an episode's bytes; what becomes of a byte in a page
_FRAME_WIDTH = 240  # pixels
_MOST_TIMESTEPS = 60  # shown of an episode
_MOST_PASSES = 16  # of those, timesteps that need a pass of their own
_MOST_TOKENS = 12_000  # shown of an episode, where a timestep is long
_MOST_FRAMES = 90  # of a film
_FPS = 12


def replay(session: EvaluationSession, chosen: Sequence[ShownEpisode]) -> list[ShownEpisode]:
    """Plays each chosen episode, with its film where the task can be drawn, and its timesteps.

    What a simulator or its renderer raises costs an episode its film, or all that is shown of it, and nothing else.

    Args:
        session: of the agent and the tasks.
        chosen: in the order in which they are to be shown.
    """
    logits_of = row_logits(session.agent)
    page_bytes = _PAGE_BYTES // max(len(chosen), 1)
    shown = []
    for episode in chosen:
        # Simulators and renderers raise what they like, and the scores are complete without a film.
        try:
            shown.append(_play(session, episode, logits_of, page_bytes, drawn=True))
        except Exception as error:
            problem = f"No film: drawing the task failed with {_named(error)}."
            try:
                one = _play(session, episode, logits_of, page_bytes, drawn=False)
                shown.append(dataclasses.replace(one, problem=problem))
            except Exception as again:
                problem = f"This episode could not be played again: {_named(again)}."
                shown.append(dataclasses.replace(episode, problem=problem))
    return shown


def row_logits(agent: Agent) -> LogitsOf:
    """Returns one uncached pass over a row, compiled for each size of row; all else is `LogitsOf`'s."""

    @functools.partial(jax.jit, static_argnames=("first", "stop"))
    def scored(params: Parameters, batch: Batch, places: jax.Array, first: int, stop: int) -> jax.Array:
        model = rebuild(agent.model, agent.tokenizer, params)
        queries = model(batch)[0, places]
        if agent.tokenizer.has_action_groups:
            values = batch.action_values[0, places]
            queries = model.action_queries(queries, values.shape[1], values)
        return model.logits(queries, slice(first, stop))

    def logits_of(batch: Batch, places: np.ndarray, rows: slice) -> np.ndarray:
        logits = scored(agent.params, jax.device_put(batch), jax.device_put(places), rows.start, rows.stop)
        return np.asarray(jax.device_get(logits))

    return logits_of


def _play(
    session: EvaluationSession, asked: ShownEpisode, logits_of: LogitsOf, page_bytes: int, *, drawn: bool
) -> ShownEpisode:
    spec, agent = asked.spec, session.agent
    task, prompt = session.tasks[spec.task], session.prompt_at([spec], 0)
    num_prompt = 0 if prompt is None else len(prompt)
    num_own = task.num_tokens - task.timesteps.num_action_tokens + task.timesteps.num_own_action_tokens
    timesteps = shown_timesteps(asked.result.length, num_own, agent.policy.context_length - num_prompt)
    draw_off_screen()
    filmed: list[FilmedEnv] = []

    def make_env() -> gym.Env:
        steps = {*timesteps, *spread(asked.result.length + 1, _MOST_FRAMES)}
        filmed.append(FilmedEnv(make_task(spec.task, render_mode="rgb_array"), steps, _FRAME_WIDTH))
        return filmed[-1]

    job = episode_job(spec, task, prompt=lambda: prompt)
    if drawn:
        job = dataclasses.replace(job, make_env=make_env)
    ((_, rollout),) = play_jobs([job], session.actor([spec], 1))
    episode, frames = rollout.episode, filmed[-1].frames if filmed else {}
    predictions = action_probabilities(
        logits_of,
        task.timesteps.encode_episode(episode.observations, episode.actions),
        [timestep for timestep in timesteps if timestep < len(episode)],
        task.timesteps.action_ranges,
        prompt=prompt,
        pinned=session.prompts.pinned,
        policy=agent.policy,
        tokenizer=agent.tokenizer,
    )
    view = TokenView(
        task.observation_space,
        task.action_space,
        agent.tokenizer,
        agent.text,
        fields=agent.fields_of(task.source),
        action_names=task.task.action_names,
    )
    return dataclasses.replace(
        asked,
        replayed_return=episode.episode_return,
        replayed_length=len(episode),
        video=_film(asked, episode, list(frames.values()), page_bytes) if frames else None,
        content=view.content(episode, predictions, frames=frames, max_bytes=int(page_bytes * (1 - _FILM_SHARE))),
    )


def _film(asked: ShownEpisode, episode: Episode, frames: Sequence[np.ndarray], page_bytes: int) -> bytes:
    clip = Clip(
        frames=np.stack(frames), title=asked.spec.task, note=f"{asked.rank}, return {episode.episode_return:.1f}"
    )
    most_bytes = min(_FILM_BYTES, int(page_bytes * _FILM_SHARE / _BASE64))
    # Where steps were left out the film is slower, as `gif_bytes` has it where it leaves frames out itself.
    return gif_bytes([clip], fps=_FPS if len(frames) > len(episode) else _FPS // 2, max_bytes=most_bytes)


def shown_timesteps(number: int, num_tokens: int, num_free: int) -> list[int]:
    """Chooses timesteps of an episode to show: evenly spread ones, fewer where something has left the context.

    Args:
        number: of its timesteps.
        num_tokens: of a timestep.
        num_free: tokens of the context beside the prompt.
    """
    most = min(_MOST_TIMESTEPS, max(_MOST_TOKENS // num_tokens, 1))
    shared = min(num_free // num_tokens, number)  # as long as all are in the context, one pass serves them
    chosen = spread(number, most)
    if sum(timestep >= shared for timestep in chosen) <= _MOST_PASSES:
        return chosen
    later = [shared + timestep for timestep in spread(number - shared, _MOST_PASSES)]
    return [*(spread(shared, most - _MOST_PASSES) if most > _MOST_PASSES else []), *later]


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
