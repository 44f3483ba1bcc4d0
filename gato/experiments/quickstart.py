"""The quickstart: demonstrations, one network, scores and a report, from nothing, in minutes on a laptop."""

import dataclasses
import os
import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.rule import Rule

import gato
from gato.config import RunConfig, SourceConfig
from gato.envs import Task, get_task
from gato.evaluation.evaluate import PromptAblation
from gato.evaluation.language_scores import LanguageTrial
from gato.evaluation.rollout import Rollout
from gato.evaluation.scores import ScoreRecord, write_scores
from gato.experiments.headless_rendering import draw_off_screen
from gato.experiments.held_out import describe, language_examples
from gato.experiments.quickstart_data import prepare
from gato.experiments.quickstart_targets import missed_sentences, reached_by, target_table, task_to_watch
from gato.experiments.run_configs import load_config
from gato.experiments.scoring import ablate_prompts, score_task
from gato.experiments.training import text_tokenizer, train_run
from gato.files import replace_file
from gato.inference.agent import Agent
from gato.reports.curves import copycat_points_of
from gato.reports.evaluation_page import evaluation_page
from gato.reports.page import Page, write_page
from gato.reports.sections import (
    clip_section,
    copycat_section,
    headline_facts,
    language_section,
    loss_section,
    next_section,
    room_section,
    run_section,
)
from gato.reports.tables import SCALE, score_table
from gato.reports.videos import Clip, gif_bytes
from gato.run_files import METRICS_FILE, SCORES_FILE, TOKENIZER_FILE
from gato.tokenizer.text import TextTokenizer
from gato.training.writers import read_metrics

CONTEXT_TASK = "dark-room"
ROOM_SIZE = 7
CONTEXT_EPISODES = 40  # of each prompt, on trained and on held-out goals each
NUM_PICTURES = 200  # held-out captions, and as many questions


def run_quickstart(out: Path, *, share: float, settings: Sequence[str], console: Console) -> bool:
    """Makes what is not there yet: data, network, scores and report; False if a signal stopped the training.

    Args:
        out: folder of the run; its data go to <out>/data.
        share: fraction of the full amount of data.
        settings: "name=value" of the config of that name.
        console: shows how far it is.
    """
    started = time.monotonic()
    console.print(Rule("1/4 demonstrations, pictures and texts"))
    data = out / "data"
    data.mkdir(parents=True, exist_ok=True)
    config = with_data_folder(load_config("quickstart").override(settings), data)
    prepare(data, share=share, seed=config.seed, console=console)
    minutes = {"data": _minutes_since(started)}

    console.print(Rule("2/4 one network on all of it"))
    text = _text_tokenizer(config, data)
    begun = time.monotonic()
    if train_run(config, out, text=text, resume=True, console=console).interrupted:
        return False
    minutes["training"] = _minutes_since(begun)

    console.print(Rule("3/4 acting and speaking"))
    begun = time.monotonic()
    agent = Agent.load(out)
    records, clips = _play_all(agent, config, console)
    evaluation = dataclasses.replace(config.evaluation, episodes=CONTEXT_EPISODES)
    ablation = ablate_prompts(agent, get_task(CONTEXT_TASK), evaluation)
    language = language_trials(agent, data)
    write_scores(out / SCORES_FILE, [*records, *ablation.records])
    minutes["evaluation"] = _minutes_since(begun)

    console.print(Rule("4/4 report"))
    console.print(str(score_table([*records, *ablation.records])))
    reached = reached_by(records, language)
    next_steps = _next_steps(out, task_to_watch(reached))
    console.print(str(target_table(reached)))
    minutes["all together"] = _minutes_since(started)
    write_page(out / "report.html", _page(out, config, records, clips, ablation, language, minutes, next_steps))
    console.print(f"report: {out / 'report.html'}   scores: {out / SCORES_FILE}", soft_wrap=True)
    for text_line, command in next_steps:
        console.print(f"{text_line}\n  [bold]{command}[/]", soft_wrap=True)
    for sentence in missed_sentences(reached, share=share):
        console.print(sentence, soft_wrap=True)
    return True


def with_data_folder(config: RunConfig, data: Path) -> RunConfig:
    """Returns the config with its sources, whose paths are relative, in a folder."""
    sources = tuple(dataclasses.replace(source, path=str(data / source.path)) for source in config.data.sources)
    return dataclasses.replace(config, data=dataclasses.replace(config.data, sources=sources))


def _text_tokenizer(config: RunConfig, data: Path) -> TextTokenizer:
    """Makes the run's SentencePiece model once and keeps it beside the data."""
    path = data / TOKENIZER_FILE
    if not path.exists():
        text = text_tokenizer(config.data, config.tokenizer.text_vocab_size)
        assert text is not None  # the quickstart has texts
        replace_file(path, text.to_bytes())
    return TextTokenizer.load(path)


def _play_all(
    agent: Agent, config: RunConfig, console: Console
) -> tuple[list[ScoreRecord], list[tuple[Task, Rollout]]]:
    """Scores all control tasks of the mixture but the context task, and films an episode of each."""
    draw_off_screen()
    records, clips = [], []
    for source in config.data.sources:
        if source.kind != "minari" or source.name == CONTEXT_TASK:
            continue
        task = get_task(source.name)
        record, rollouts = score_task(
            agent,
            task,
            config.evaluation,
            prompted=True,
            make=lambda task=task: task.make(render_mode="rgb_array"),
            keep_frames={0},
        )
        records.append(record)
        clips.append((task, rollouts[0]))
        console.print(f"  {task.name}: {record.normalized:.2f} ({record.ci_low:.2f} to {record.ci_high:.2f})")
    return records, clips


def language_trials(agent: Agent, data: Path) -> list[LanguageTrial]:
    """Has the agent describe and be asked about pictures that training never saw."""
    captions, questions = (
        language_examples(SourceConfig(name=f"held-out {kind}", kind=kind, path=str(data / f"held-out-{kind}.zip")))
        for kind in ("captions", "questions")
    )
    described, asked = captions[:NUM_PICTURES], questions[:NUM_PICTURES]
    kinds = [" ".join((example.question or "").split()[:2]) for example in asked]
    return [*describe(agent, described, ["caption"] * len(described)), *describe(agent, asked, kinds)]


def _page(
    out: Path,
    config: RunConfig,
    records: Sequence[ScoreRecord],
    clips: Sequence[tuple[Task, Rollout]],
    ablation: PromptAblation,
    language: Sequence[LanguageTrial],
    minutes: dict[str, float],
    next_steps: Sequence[tuple[str, str]],
) -> Page:
    metrics = read_metrics(out / METRICS_FILE)
    films = [
        (gif_bytes([Clip(frames=played.frames, title=task.name)]), f"{task.name}: {task.description}")
        for task, played in clips
        if played.frames is not None
    ]
    control = {source.name for source in config.data.sources if source.kind == "minari"}
    facts = {
        "time": ", ".join(f"{what} {value:.1f} min" for what, value in minutes.items()),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "python": platform.python_version(),
        "versions": ", ".join(f"{name} {version(name)}" for name in ("jax", "flax", "optax", "gymnasium", "minari")),
        "gato": gato.__version__,
        "seed": str(config.seed),
    }
    return evaluation_page(
        records,
        {"evaluation": dataclasses.asdict(config.evaluation), "policy": dataclasses.asdict(config.policy)},
        not_played={},
        title="Gato quickstart",
        lead="One network, trained from scratch on this machine a moment ago: it plays, describes and answers with "
        f"one set of weights, and a demonstration tells it what to do. Of scores, {SCALE}; intervals are 95% intervals "
        "over episodes.",
        facts=headline_facts(records, ablation, language),
        first_sections=(room_section(ablation, ROOM_SIZE),),
        extra_sections=(
            clip_section(films),
            language_section(language),
            copycat_section([point for point in copycat_points_of(metrics) if point.task in control]),
            loss_section(metrics),
            run_section(facts, config.to_json()),
            next_section(next_steps),
        ),
    )


def _next_steps(out: Path, task: str) -> list[tuple[str, str]]:
    return [
        ("Watch it play.", f"gato play {out} {task} --episodes 3"),
        ("Talk to it about the little world that it knows.", f"gato chat {out}"),
        ("Take the demonstration away.", f"gato evaluate {out} --prompt none"),
        ("See what else there is to learn.", "gato tasks"),
    ]


def _minutes_since(begun: float) -> float:
    return (time.monotonic() - begun) / 60
