"""`gato evaluate`: scores of a checkpoint with intervals, as a file, tables, charts and a page with episodes to see."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gato.config import EvaluationConfig, PolicyConfig, PromptPart
from gato.envs import QUICK, Task, get_task, select_tasks
from gato.evaluation.evaluate import PlayedTask, cells_by_record, play_cells, score_records
from gato.evaluation.journal import Journal, key_of
from gato.evaluation.plan import Cell, Plan
from gato.evaluation.remote_env import EnvWorkers
from gato.evaluation.scores import Prompt, ScoreRecord, write_scores
from gato.evaluation.time_shares import TimeShares
from gato.experiments.baselines import Baseline, Contest, contenders, forget, play_contender
from gato.experiments.evaluation_report import write_report
from gato.experiments.extra_results import Further
from gato.experiments.held_out import HELD_OUT_ROWS, HELD_OUT_TEXTS, measure_held_out, moved_sources
from gato.experiments.prompt_ablation import yardsticks
from gato.experiments.scoring import check_context_task
from gato.experiments.session import SLOW_STEP_MS, Match
from gato.files import replace_file
from gato.inference.agent import Agent
from gato.release import identity, load_config
from gato.reports.context_tables import study_markdown, study_tables
from gato.reports.plots import score_bars
from gato.reports.profile_plot import profile_plot, tasks_above_plot
from gato.reports.style import save_figure
from gato.reports.tables import aggregate_table, left_out, score_table, scores_latex, scores_markdown
from gato.run_files import EVALUATION_FOLDER, JOURNAL_FILE, SCORES_FILE

STUDY_EPISODES = 300  # of each prompt in each group of variants: a rate is then known to within 6 percent points
SCORE_EPISODES = 50  # a task (section 4)
_ACTING_PROMPT = ("part", "max_tokens", "terminal_observation", "pinned", "demonstrations")  # what counts when acting


def evaluate(
    checkpoint: Annotated[Path, tyro.conf.Positional],
    tasks: tuple[str, ...] = (),
    family: tuple[str, ...] = (),
    suite: Literal["quick", "context"] | None = None,
    study: bool = False,
    prompt: Prompt = "right",
    prompt_part: PromptPart | None = None,
    prompt_tokens: int | None = None,
    prompt_terminal: bool | None = None,
    prompt_pinned: bool = True,
    prompt_demonstrations: int = 1,
    first_actions: int = 2,
    episodes: int | None = None,
    num_envs: int = 20,
    env_workers: int | None = None,
    seed: int = 1_000_000,
    temperature: float | None = None,
    deterministic: bool = False,
    baselines: tuple[Baseline, ...] = (),
    demonstrations: Path | None = None,
    held_out: bool = False,
    held_out_rows: int = HELD_OUT_ROWS,
    held_out_texts: int = HELD_OUT_TEXTS,
    source_paths: tuple[str, ...] = (),
    videos: int = 3,
    latex: bool = False,
    overwrite: bool = False,
    out: Path | None = None,
) -> None:
    """Measures an agent. Example: gato evaluate runs/quickstart --tasks cartpole --episodes 50

    Called again after it was stopped, it goes on where it was and ends with the same scores.

    Args:
        checkpoint: run folder or checkpoint folder.
        tasks: names from `gato tasks`, or shell patterns of them; the tasks the run was trained on, if neither they nor
            a family or suite is given.
        family: all tasks of these families.
        suite: "quick", forty tasks of all families that have experts; "context", with --study, the tasks that only a
            demonstration can tell apart.
        study: play every task under a right, a wrong and no demonstration, trained and held-out variants apart, and
            tell what the demonstration decides; for tasks tagged "context".
        prompt: "right" starts each episode with an expert's demonstration, "wrong" with one of another task that has
            the same spaces, or of another variant, "none" with nothing.
        prompt_part: of a demonstration: its "first" timesteps, its "end", or a "uniform" run; the run's own if not
            given.
        prompt_tokens: longest prompt, tokens; the run's own if not given.
        prompt_terminal: show the observation after the last action too; the run's own if not given.
        prompt_pinned: the prompt stays at the front of the context; if not, it leaves as the oldest timesteps do.
        prompt_demonstrations: different ones, one after another, sharing prompt-tokens.
        first_actions: of an expert's episodes, whose likelihood a study tells.
        episodes: a task, 50 if not given; in a study, of each prompt and group of variants, 300.
        num_envs: episodes played side by side, at most 48 where deterministic; the scores do not depend on it.
        env_workers: processes that hold the environments, 0 for none; if not given, one for each processor core where
            a step takes long.
        seed: of the first episode.
        temperature: of action sampling; the run's own if not given.
        deterministic: take the most likely actions.
        baselines: who else plays these episodes: "random" actions; the task's "expert"; "nearest-neighbour" replay of
            the demonstrations that the run was trained on, in a study of the one before the episode; and the runs that
            `gato baseline` has trained, "bc", "no-prompt" and "task-id".
        demonstrations: folder of `gato collect` that nearest-neighbour replays, in place of the run's sources.
        held_out: also tell loss, accuracy and bits per byte on the records that the run kept from training, and how
            many captions of and answers about its held-out pictures are exactly right.
        held_out_rows: of each source.
        held_out_texts: most pictures of each source.
        source_paths: where sources of the run lie now, as NAME=PATH, if they have moved.
        videos: tasks, the first ones, whose best and worst episodes are played once more and shown in report.html with
            what the network saw and did at each timestep; 0 for none.
        latex: also write scores.tex, tables with the rules of booktabs.
        overwrite: begin anew where the folder holds an evaluation already.
        out: folder for scores.json, scores.md, report.html, charts and films; <checkpoint>/evaluation if not given.
    """
    if videos < 0:
        raise ValueError(f"videos is {videos}, expected 0 tasks or more")
    console = Console()
    shares = TimeShares()
    agent = Agent.load(checkpoint)
    if temperature is not None:
        agent = dataclasses.replace(agent, policy=dataclasses.replace(agent.policy, temperature=temperature))
    run = load_config(checkpoint)
    run = dataclasses.replace(run, data=moved_sources(run.data, source_paths))
    studied = study or suite == "context"
    if episodes is None:
        episodes = STUDY_EPISODES if studied else SCORE_EPISODES
    config = EvaluationConfig(episodes=episodes, num_envs=num_envs, seed=seed)
    chosen = _choose(tasks, family, suite, studied, [source.name for source in run.data.sources])
    prompts = agent.policy.prompt
    prompts = dataclasses.replace(
        prompts,
        part=prompts.part if prompt_part is None else prompt_part,
        max_tokens=prompts.max_tokens if prompt_tokens is None else prompt_tokens,
        terminal_observation=prompts.terminal_observation if prompt_terminal is None else prompt_terminal,
        pinned=prompt_pinned,
        demonstrations=prompt_demonstrations,
    )
    kind: Prompt = "right" if studied else prompt
    measured: dict[str, Any] = {  # JSON values
        "checkpoint": {"run": run.name, **identity(checkpoint)},
        "tasks": [task.name for task in chosen],
        "study": {"first_actions": first_actions} if studied else None,
        "prompt": {
            "kind": "right, wrong and none" if studied else prompt,
            **{name: getattr(prompts, name) for name in _ACTING_PROMPT},
        },
        "policy": _acting(agent.policy, deterministic),
        "episodes": episodes,
        "seed": seed,
    }
    out = out or checkpoint / EVALUATION_FOLDER
    out.mkdir(parents=True, exist_ok=True)
    # First of all, since it is soon done, and missing data would else be found at the end.
    unseen = measure_held_out(agent, run, num_rows=held_out_rows, num_texts=held_out_texts) if held_out else None
    if overwrite:
        (out / JOURNAL_FILE).unlink(missing_ok=True)
        forget(out)
    with Journal(out / JOURNAL_FILE, measured) as journal:
        match = Match(agent, chosen, prompts, kind=kind, deterministic=deterministic, shares=shares)
        plan = match.plan(config, study=studied)
        width = match.width(num_envs)
        contest = Contest(
            match=match,
            cells=plan.cells,
            run=run,
            checkpoint=checkpoint,
            num_envs=width,
            studied=studied,
            demonstrations=demonstrations,
        )
        rivals = contenders(baselines, contest)
        with contextlib.ExitStack() as stack:
            played = _played(match, env_workers, stack)
            _play(plan, match, played, journal, width, console)
            beside = yardsticks(match, plan.cells, played, num_actions=first_actions) if studied else None
        records = score_records(plan.cells, journal.results, played, beside)
    settings = {name: value for name, value in measured.items() if name != "checkpoint"}
    further = Further(
        baselines={rival.name: play_contender(rival, contest, out, settings, console) for rival in rivals},
        held_out=unseen,
    )
    write_scores(out / SCORES_FILE, records, {**measured, "left_out": plan.left_out}, sections=further.sections())
    _summarize(out, records, plan.left_out, further, latex=latex)
    _tell(records, plan.left_out, further, console)
    write_report(
        out,
        match,
        plan,
        journal.results,
        records,
        measured=measured,
        further=further,
        num_tasks=videos,
        console=console,
    )
    console.print(f"time: {shares}\nwritten to {out}", soft_wrap=True)


def _play(
    plan: Plan,
    match: Match,
    tasks: Mapping[str, PlayedTask],
    journal: Journal,
    num_envs: int,
    console: Console,
) -> None:
    """Plays what the journal lacks, and notes it there."""
    waiting = [cell for cell in match.ordered(plan.cells) if key_of(cell) not in journal.results]
    if not waiting:
        return
    missing = {key: len(cells) for key, cells in cells_by_record(waiting).items()}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task("episodes", total=len(plan.cells), completed=len(plan.cells) - len(waiting))
        done: set[Cell] = set()
        actor = match.actor(waiting, num_envs)
        for cell, rollout in play_cells(waiting, tasks, actor, num_envs=num_envs, shares=match.shares):
            journal.append(tasks[cell.task].result(cell, rollout))
            done.add(cell)
            running = dict.fromkeys(other.task for other in waiting[: len(done) + num_envs] if other not in done)
            progress.update(bar, advance=1, description=_names(list(running)) or "episodes")
            key = cell.task, cell.prompt, cell.variants
            missing[key] -= 1
            if not missing[key]:
                (record,) = score_records(cells_by_record(plan.cells)[key], journal.results, tasks)
                console.print(f"  {_line(record)}", soft_wrap=True)


def _played(match: Match, env_workers: int | None, stack: contextlib.ExitStack) -> dict[str, PlayedTask]:
    """The tasks, with environments in processes where that was asked for or pays."""
    threshold = SLOW_STEP_MS if env_workers is None else 0.0
    num_workers = (os.cpu_count() or 1) if env_workers is None else env_workers
    if not num_workers or all(met.step_ms <= threshold for met in match.met.values()):
        return match.played()
    return match.played(stack.enter_context(EnvWorkers(num_workers)), threshold)


def _tell(records: Sequence[ScoreRecord], not_played: Mapping[str, str], further: Further, console: Console) -> None:
    """Everything on the console."""
    console.print(str(score_table(records)), soft_wrap=True)
    if len(records) > 1:
        console.print(f"\n{aggregate_table(records)}", soft_wrap=True)
    if any(record.variants != "all" for record in records):
        for sentence, table in study_tables(records):
            console.print(f"\n{sentence}\n{table}", soft_wrap=True)
    for sentence, table in further.tables(records):
        console.print(f"\n{sentence}\n{table}", soft_wrap=True)
    for sentence in (*left_out(records), *_not_played(not_played), *further.sentences()):
        console.print(sentence, soft_wrap=True)


def _summarize(
    out: Path, records: list[ScoreRecord], not_played: Mapping[str, str], further: Further, *, latex: bool
) -> None:
    """The tables and charts of what was measured."""
    parts = [scores_markdown(records), *(f"{sentence}\n" for sentence in _not_played(not_played))]
    if any(record.variants != "all" for record in records):
        parts.append(study_markdown(records))
    parts += further.markdown(records)
    replace_file(out / "scores.md", "\n".join(parts))
    if latex:
        replace_file(out / "scores.tex", "\n".join([scores_latex(records), *further.latex(records)]))
    scored = [record for record in records if record.normalized is not None]
    if scored:
        save_figure(out / "scores.png", score_bars(scored))
    if len({record.task for record in scored}) == len(scored) > 1:  # under several prompts a task would weigh twice
        save_figure(out / "profile.png", profile_plot({"": scored}))
        save_figure(out / "tasks_above.png", tasks_above_plot(scored))


def _not_played(reasons: Mapping[str, str]) -> Iterator[str]:
    return (f"Not played: {name}: {reason}." for name, reason in reasons.items())


def _line(record: ScoreRecord) -> str:
    setting = "" if record.variants == "all" else f", {record.prompt} prompt, {record.variants} variants"
    score = "" if record.normalized is None else f", normalised {record.normalized:z.2f}"
    return f"{record.task}{setting}: return {record.return_mean:.4g}{score}"


def _names(tasks: list[str]) -> str:
    return ", ".join(tasks[:2]) + (f" and {len(tasks) - 2} more" if len(tasks) > 2 else "")


def _acting(policy: PolicyConfig, deterministic: bool) -> dict[str, Any]:
    """What else decides an action; the prompt is told apart."""
    acting = {name: value for name, value in dataclasses.asdict(policy).items() if name != "prompt"}
    return {**acting, "deterministic": deterministic}


def _choose(
    patterns: tuple[str, ...], families: tuple[str, ...], suite: str | None, studied: bool, trained: list[str]
) -> list[Task]:
    """What is asked for, or else what the run was trained on; of these, a study takes those that it can be made of."""
    if suite == "quick":
        patterns = (*patterns, *QUICK)
    if suite == "context":
        families = (*families, "context")
    if patterns or families:
        chosen = select_tasks(patterns, families)
        if studied and not families:
            for task in chosen:
                check_context_task(task)
    else:
        chosen = []
        for name in trained:
            with contextlib.suppress(ValueError):  # a source that is no task: text, pictures, somebody's own data
                chosen.append(get_task(name))
        if not chosen:
            raise ValueError("none of the run's sources is named like a task: give --tasks, --family or --suite")
    if studied:
        chosen = [task for task in chosen if task.follows is not None]
        if not chosen:
            raise ValueError("none of these tasks has the tag 'context', of which a study can be made: --suite context")
    return chosen
