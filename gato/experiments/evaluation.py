"""A whole evaluation of a checkpoint: what is asked for, the playing and measuring, and the files that come of it."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gato.config import DataConfig, EvaluationConfig, PolicyConfig, PromptPart
from gato.envs import QUICK, Task, select_tasks
from gato.evaluation.evaluate import result_of, score_records, specs_by_record
from gato.evaluation.journal import Journal
from gato.evaluation.plan import EpisodeSpec, Plan
from gato.evaluation.scores import Prompt, ScoreRecord
from gato.evaluation.time_shares import TimeShares
from gato.experiments.baseline_configs import trained_tasks
from gato.experiments.baselines import BaselineContext, BaselineName, forget_baselines, make_baselines, play_baseline
from gato.experiments.evaluation_report import (
    Results,
    score_line,
    score_paragraphs,
    write_report,
    write_tables,
)
from gato.experiments.held_out import HELD_OUT_ROWS, HELD_OUT_TEXTS, measure_held_out, moved_sources
from gato.experiments.prompt_ablation import reference_metrics
from gato.experiments.reporter import Reporter
from gato.experiments.scoring import check_context_task
from gato.experiments.session import EvaluationSession
from gato.inference.agent import Agent
from gato.release import identity, load_config
from gato.release.shipped import outputs_folder
from gato.reports.shown_episodes import best_and_worst
from gato.run_files import EVALUATION_FOLDER, JOURNAL_FILE

ABLATION_EPISODES = 300  # of each prompt in each group of variants: a rate is then known to within 6 percent points
_ACTING_PROMPT = ("part", "max_tokens", "terminal_observation", "pinned", "demonstrations")  # what counts when acting


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What is measured, and how; the flags of `gato evaluate`.

    Attributes:
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

    tasks: tuple[str, ...] = ()
    family: tuple[str, ...] = ()
    suite: Literal["quick", "context"] | None = None
    study: bool = False
    prompt: Prompt = "right"
    prompt_part: PromptPart | None = None
    prompt_tokens: int | None = None
    prompt_terminal: bool | None = None
    prompt_pinned: bool = True
    prompt_demonstrations: int = 1
    first_actions: int = 2
    episodes: int | None = None
    num_envs: int = EvaluationConfig.num_envs
    env_workers: int | None = None
    seed: int = EvaluationConfig.seed
    temperature: float | None = None
    deterministic: bool = False
    baselines: tuple[BaselineName, ...] = ()
    demonstrations: Path | None = None
    held_out: bool = False
    held_out_rows: int = HELD_OUT_ROWS
    held_out_texts: int = HELD_OUT_TEXTS
    source_paths: tuple[str, ...] = ()
    videos: int = 3
    latex: bool = False
    overwrite: bool = False
    out: Path | None = None

    def __post_init__(self) -> None:
        if self.videos < 0:
            raise ValueError(f"videos is {self.videos}, expected 0 tasks or more")

    @property
    def is_ablation(self) -> bool:
        """Whether prompts are compared."""
        return self.study or self.suite == "context"

    @property
    def config(self) -> EvaluationConfig:
        """How many episodes are played, and which."""
        default = ABLATION_EPISODES if self.is_ablation else EvaluationConfig.episodes
        episodes = default if self.episodes is None else self.episodes
        return EvaluationConfig(episodes=episodes, num_envs=self.num_envs, seed=self.seed)

    def policy(self, own: PolicyConfig) -> PolicyConfig:
        """Returns how a run with this policy of its own acts here."""
        given: dict[str, Any] = {  # by the names of `PromptConfig`
            "part": self.prompt_part,
            "max_tokens": self.prompt_tokens,
            "terminal_observation": self.prompt_terminal,
            "pinned": self.prompt_pinned,
            "demonstrations": self.prompt_demonstrations,
        }
        prompt = dataclasses.replace(own.prompt, **{name: value for name, value in given.items() if value is not None})
        temperature = own.temperature if self.temperature is None else self.temperature
        return dataclasses.replace(own, prompt=prompt, temperature=temperature)

    def settings(self, tasks: list[Task], policy: PolicyConfig) -> dict[str, Any]:
        """Returns all that the episodes depend on but the checkpoint, as JSON values."""
        acting = dataclasses.asdict(policy)
        prompt = acting.pop("prompt")
        for name in ("top_k", "top_p"):  # named only where used, so that evaluations begun without them go on
            if acting[name] is None:
                del acting[name]
        config = self.config
        return {
            "tasks": [task.name for task in tasks],
            "study": {"first_actions": self.first_actions} if self.is_ablation else None,
            "prompt": {
                "kind": "right, wrong and none" if self.is_ablation else self.prompt,
                **{name: prompt[name] for name in _ACTING_PROMPT},
            },
            "policy": {**acting, "deterministic": self.deterministic},
            "episodes": config.episodes,
            "seed": config.seed,
        }


def run_evaluation(checkpoint: Path, options: EvaluationOptions, reporter: Reporter) -> list[ScoreRecord]:
    """Plays what is not played yet, measures what is asked for, and writes scores, tables, charts and page.

    Returns the agent's records; everything else that was measured is in the file of scores.

    Raises:
        ValueError: the options contradict each other or the run, or the folder holds another evaluation.
        FileNotFoundError: a baseline or a source of the run is not there.
    """
    with TimeShares() as times:
        agent = Agent.load(checkpoint)
        policy = options.policy(agent.policy)
        agent = dataclasses.replace(agent, policy=policy)
        run = load_config(checkpoint)
        run = dataclasses.replace(run, data=moved_sources(run.data, options.source_paths))
        tasks = choose_tasks(options, run.data)
        settings = options.settings(tasks, policy)
        measured = {"checkpoint": {"run": run.name, **identity(checkpoint)}, **settings}
        out = options.out or outputs_folder(checkpoint) / EVALUATION_FOLDER
        out.mkdir(parents=True, exist_ok=True)
        # First of all, since it is soon done, and missing data would else be found at the end.
        held_out = None
        if options.held_out:
            rows, texts = options.held_out_rows, options.held_out_texts
            held_out = measure_held_out(agent, run, num_rows=rows, num_texts=texts)
        if options.overwrite:
            (out / JOURNAL_FILE).unlink(missing_ok=True)
            forget_baselines(out)
        with Journal(out / JOURNAL_FILE, measured) as journal:
            kind: Prompt = "right" if options.is_ablation else options.prompt
            session = EvaluationSession(agent, tasks, policy.prompt, kind=kind, deterministic=options.deterministic)
            plan = session.plan(options.config, ablation=options.is_ablation)
            context = BaselineContext(
                session=session,
                specs=plan.specs,
                run=run,
                checkpoint=checkpoint,
                num_envs=session.width(options.num_envs),
                ablation=options.is_ablation,
                demonstrations=options.demonstrations,
            )
            baselines = make_baselines(options.baselines, context)
            with session.env_workers(options.env_workers):
                play_missing(plan, session, journal, context.num_envs, reporter)
                references = None
                if options.is_ablation:
                    references = reference_metrics(session, plan.specs, num_actions=options.first_actions)
            records = score_records(plan.specs, journal.results, session.tasks, references)
        played = {str(each.name): play_baseline(each, context, out, settings, reporter) for each in baselines}
        results = Results(
            records=records, measured=measured, not_played=plan.left_out, baselines=played, held_out=held_out
        )
        write_tables(out, results, latex=options.latex)
        for paragraph in score_paragraphs(results):
            reporter.say(paragraph)
        chosen = best_and_worst(plan.specs, journal.results, num_tasks=options.videos)
        write_report(out, session, chosen, results, reporter)
    reporter.say(f"time: {times}\nwritten to {out}")
    return records


def choose_tasks(options: EvaluationOptions, data: DataConfig) -> list[Task]:
    """Returns what is asked for, or else what the run was trained on; for an ablation, those that have hidden variants.

    Raises:
        ValueError: there are none, or a task named for an ablation has no hidden variants.
    """
    patterns = (*options.tasks, *(QUICK if options.suite == "quick" else ()))
    families = (*options.family, *(("context",) if options.suite == "context" else ()))
    if patterns or families:
        chosen = select_tasks(patterns, families)
        if options.is_ablation and not families:
            for task in chosen:
                check_context_task(task)
    else:
        chosen = list(trained_tasks(data).values())
        if not chosen:
            raise ValueError("none of the run's sources is named like a task: give --tasks, --family or --suite")
    if options.is_ablation:
        chosen = [task for task in chosen if task.follows is not None]
        if not chosen:
            raise ValueError("none of these tasks has the tag 'context', of which a study can be made: --suite context")
    return chosen


def play_missing(plan: Plan, session: EvaluationSession, journal: Journal, num_envs: int, reporter: Reporter) -> None:
    """Plays what the journal lacks, and notes it there."""
    waiting = [spec for spec in session.ordered(plan.specs) if spec.key not in journal.results]
    if not waiting:
        return
    groups = specs_by_record(plan.specs)
    missing = {key: len(specs) for key, specs in specs_by_record(waiting).items()}
    with reporter.bar("episodes", len(plan.specs), len(plan.specs) - len(waiting)) as advance:
        done: set[EpisodeSpec] = set()
        for spec, rollout in session.play(waiting, num_envs):
            journal.append(result_of(spec, session.tasks[spec.task], rollout))
            done.add(spec)
            running = dict.fromkeys(other.task for other in waiting[: len(done) + num_envs] if other not in done)
            advance(doing=_names(list(running)) or "episodes")
            key = spec.record_key
            missing[key] -= 1
            if not missing[key]:
                (record,) = score_records(groups[key], journal.results, session.tasks)
                reporter.say(f"  {score_line(record)}")


def _names(tasks: list[str]) -> str:
    return ", ".join(tasks[:2]) + (f" and {len(tasks) - 2} more" if len(tasks) > 2 else "")
