"""`gato evaluate`: scores of a checkpoint with intervals, as a file, a table, a chart and short films."""

import contextlib
import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from gato.checkpoint import load_config
from gato.cli.scoring import score_task
from gato.envs import Task, get_task, select_tasks
from gato.evaluation.plots import score_bars
from gato.evaluation.profile_plot import profile_plot, tasks_above_plot
from gato.evaluation.scores import ScoreRecord, write_scores
from gato.evaluation.style import save_figure
from gato.evaluation.tables import aggregate_table, left_out, score_table, scores_latex, scores_markdown
from gato.evaluation.videos import Clip, write_gif
from gato.inference.agent import Agent


def evaluate(
    checkpoint: Annotated[Path, tyro.conf.Positional],
    tasks: tuple[str, ...] = (),
    family: str | None = None,
    prompt: Literal["right", "none"] = "right",
    episodes: int = 50,
    num_envs: int = 20,
    seed: int = 1_000_000,
    temperature: float | None = None,
    videos: bool = False,
    latex: bool = False,
    out: Path | None = None,
) -> None:
    """Measures an agent. Example: gato evaluate runs/quickstart --tasks cartpole --episodes 50

    Args:
        checkpoint: run folder or checkpoint folder.
        tasks: names from `gato tasks`; all of `family`, or the tasks the run was trained on, if not given.
        family: all tasks of this family.
        prompt: "right" starts each episode with an expert's demonstration, "none" with nothing.
        episodes: episodes a task.
        num_envs: episodes played side by side; the scores do not depend on it.
        seed: of the first episode.
        temperature: of action sampling; the run's own if not given, 0 takes the most likely action.
        videos: also write a GIF of the first episode of each task.
        latex: also write scores.tex, tables with the rules of booktabs.
        out: folder for scores.json, scores.md, charts and the GIFs; <checkpoint>/evaluation if not given.
    """
    console = Console()
    agent = Agent.load(checkpoint)
    if temperature is not None:
        agent = dataclasses.replace(agent, policy=dataclasses.replace(agent.policy, temperature=temperature))
    run = load_config(checkpoint)
    config = dataclasses.replace(run.evaluation, episodes=episodes, num_envs=num_envs, seed=seed)
    chosen = _choose(tasks, family, [source.name for source in run.data.sources])
    out = out or checkpoint / "evaluation"
    out.mkdir(parents=True, exist_ok=True)
    records: list[ScoreRecord] = []
    for number, task in enumerate(chosen, start=1):
        console.print(f"[{number}/{len(chosen)}] {task.name}")
        make = (lambda task=task: task.make(render_mode="rgb_array")) if videos else task.make
        record, rollouts = score_task(
            agent, task, config, prompted=prompt == "right", make=make, keep_frames={0} if videos else ()
        )
        records.append(record)
        write_scores(out / "scores.json", records)
        if videos and rollouts[0].frames is not None:
            note = f"return {rollouts[0].episode.episode_return:.1f}"
            write_gif(out / f"{task.name}.gif", [Clip(frames=rollouts[0].frames, title=task.name, note=note)])
    _summarize(out, records, latex=latex)
    console.print(str(score_table(records)), soft_wrap=True)
    if len(records) > 1:
        console.print(f"\n{aggregate_table(records)}", soft_wrap=True)
    for sentence in left_out(records):
        console.print(sentence, soft_wrap=True)
    console.print(f"written to {out}")


def _summarize(out: Path, records: list[ScoreRecord], *, latex: bool) -> None:
    """The tables and charts of what was measured."""
    (out / "scores.md").write_text(scores_markdown(records), encoding="utf-8")
    if latex:
        (out / "scores.tex").write_text(scores_latex(records), encoding="utf-8")
    scored = [record for record in records if record.normalized is not None]
    if scored:
        save_figure(out / "scores.png", score_bars(scored))
    if len(scored) > 1:
        save_figure(out / "profile.png", profile_plot({"": scored}))
        save_figure(out / "tasks_above.png", tasks_above_plot(scored))


def _choose(patterns: tuple[str, ...], family: str | None, trained: list[str]) -> list[Task]:
    """What is asked for, or else what the run was trained on."""
    if patterns or family is not None:
        return select_tasks(patterns, () if family is None else (family,))
    found = []
    for name in trained:
        with contextlib.suppress(ValueError):  # a source that is no task: text, pictures, somebody's own data
            found.append(get_task(name))
    if not found:
        raise ValueError("none of the run's sources is named like a task: give --tasks or --family")
    return found
