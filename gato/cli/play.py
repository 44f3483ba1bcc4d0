"""`gato play`: watch an agent act."""

from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from gato.config import EvaluationConfig
from gato.envs import get_task
from gato.experiments.headless_rendering import draw_off_screen
from gato.experiments.scoring import score_task
from gato.inference.agent import Agent
from gato.release.shipped import outputs_folder, split_weights
from gato.reports.videos import Clip, write_gif
from gato.seeds import MEASUREMENT_SEED

FIRST_TASK = "babyai-go-to-local"  # played where none is named


def play(
    run_task: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[RUN] [TASK]")] = (),
    episodes: int = 1,
    prompt: Literal["right", "none"] = "right",
    seed: int = MEASUREMENT_SEED,
    render: Literal["gif", "window"] = "gif",
    out: Path | None = None,
) -> None:
    """Plays a task and shows it. Example: gato play runs/quickstart lunar-lander

    Args:
        run_task: run, checkpoint or released folder, or the agent that comes with the package if none is given; and a
            name from `gato tasks`, or the one that it shows first.
        episodes: how many, one after another.
        prompt: "right" starts each episode with an expert's demonstration, "none" with nothing.
        seed: of the first episode.
        render: "gif" writes films; "window" opens the environment's own window, on a machine with a screen.
        out: folder of the films; <run>/films if not given.
    """
    console = Console()
    weights, rest = split_weights(run_task, most=1)
    if len(rest) > 1:
        raise ValueError(f"gato play takes a run and a task, but {' '.join(run_task)!r} came")
    task = rest[0] if rest else FIRST_TASK
    chosen = get_task(task)
    films = render == "gif"
    if films:
        draw_off_screen()
    record, rollouts = score_task(
        Agent.load(weights),
        chosen,
        EvaluationConfig(episodes=episodes, num_envs=1, seed=seed),
        prompted=prompt == "right",
        make=lambda: chosen.make(render_mode="rgb_array" if films else "human"),
        keep_frames=range(episodes) if films else (),
    )
    folder = out or outputs_folder(weights) / "films"
    for number, played in enumerate(rollouts):
        line = f"episode {number}: return {played.episode.episode_return:.2f} in {len(played.episode)} steps"
        if played.frames is not None:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{task}-{seed + number}.gif"
            write_gif(
                path, [Clip(frames=played.frames, title=task, note=f"return {played.episode.episode_return:.1f}")]
            )
            line += f", {path}"
        console.print(line, soft_wrap=True)
    if record.normalized is not None:
        # z: a score that rounds to nothing has no sign.
        console.print(f"normalised score {record.normalized:z.2f} (0 = random, 1 = expert)")
