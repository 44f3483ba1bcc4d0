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
from gato.reports.videos import Clip, write_gif
from gato.seeds import MEASUREMENT_SEED


def play(
    checkpoint: Annotated[Path, tyro.conf.Positional],
    task: Annotated[str, tyro.conf.Positional],
    episodes: int = 1,
    prompt: Literal["right", "none"] = "right",
    seed: int = MEASUREMENT_SEED,
    render: Literal["gif", "window"] = "gif",
    out: Path | None = None,
) -> None:
    """Plays a task and shows it. Example: gato play runs/quickstart lunar-lander

    Args:
        checkpoint: run folder or checkpoint folder.
        task: a name from `gato tasks`.
        episodes: how many, one after another.
        prompt: "right" starts each episode with an expert's demonstration, "none" with nothing.
        seed: of the first episode.
        render: "gif" writes films; "window" opens the environment's own window, on a machine with a screen.
        out: folder of the films; <checkpoint>/films if not given.
    """
    console = Console()
    chosen = get_task(task)
    films = render == "gif"
    if films:
        draw_off_screen()
    record, rollouts = score_task(
        Agent.load(checkpoint),
        chosen,
        EvaluationConfig(episodes=episodes, num_envs=1, seed=seed),
        prompted=prompt == "right",
        make=lambda: chosen.make(render_mode="rgb_array" if films else "human"),
        keep_frames=range(episodes) if films else (),
    )
    folder = out or checkpoint / "films"
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
