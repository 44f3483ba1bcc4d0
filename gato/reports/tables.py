"""Tables of scores and of comparisons, for the console, a page, a model card or a paper."""

from collections.abc import Sequence

from gato.evaluation.comparison import Comparison
from gato.evaluation.scores import EXPERT_SHARES, Aggregate, ScoreRecord, aggregate, groups_of
from gato.reports.format import UNKNOWN, interval_text, number, percent, score_text, with_interval
from gato.reports.table import Table

SCALE = "0 is a random agent, 1 the expert"


def score_table(records: Sequence[ScoreRecord]) -> Table:
    """Lists the records, one row each."""
    return Table(
        headings=("task", "prompt", "episodes", "return", "random", "expert", "normalised", "95% interval", "success"),
        rows=tuple(
            (
                record.task if record.variants == "all" else f"{record.task} ({record.variants})",
                record.prompt,
                str(record.episodes),
                f"{number(record.return_mean)} ± {number(record.return_std)}",
                number(record.random_mean),
                number(record.expert_mean),
                UNKNOWN if record.normalized is None else number(record.normalized),
                interval_text(record.interval),
                percent(record.success),
            )
            for record in records
        ),
        num_text_columns=2,
    )


def aggregate_table(records: Sequence[ScoreRecord]) -> Table:
    """Lists the statistics of all tasks and of each family, as `groups_of` groups them."""
    rows = tuple(_aggregate_row(label, aggregate(group)) for label, group in groups_of(records).items())
    shares = (f"≥ {share:.0%} of expert" for share in EXPERT_SHARES)
    return Table(headings=("tasks", "number", "IQM", "mean", "median", "optimality gap", *shares), rows=rows)


def _aggregate_row(label: str, together: Aggregate | None) -> tuple[str, ...]:
    if together is None:
        return (label, "0", *[UNKNOWN] * (4 + len(EXPERT_SHARES)))
    statistics = (together.iqm, together.mean, together.median, together.optimality_gap)
    return (
        label,
        str(len(together.tasks)),
        *(with_interval(interval) for interval in statistics),
        *(with_interval(share, in_percent=True) for share in together.shares),
    )


def task_comparison_table(comparison: Comparison) -> Table:
    """Lists both scores of each task and their difference."""
    rows = tuple(
        (
            task.label,
            score_text(task.a),
            score_text(task.b),
            with_interval(task.difference, signed=True),
            with_interval(task.improvement),
        )
        for task in comparison.tasks
    )
    return Table(headings=("task", "A", "B", "B − A", "P(B > A)"), rows=rows)


def group_comparison_table(comparison: Comparison) -> Table:
    """Lists means and interquartile means of all tasks and of each family."""
    return Table(
        headings=("tasks", "number", "mean A", "mean B", "mean B − A", "IQM A", "IQM B", "IQM B − A", "P(B > A)"),
        rows=tuple(
            (
                group.label,
                str(len(group.a.tasks)),
                number(group.a.mean.value),
                number(group.b.mean.value),
                with_interval(group.mean_difference, signed=True),
                number(group.a.iqm.value),
                number(group.b.iqm.value),
                with_interval(group.iqm_difference, signed=True),
                with_interval(group.improvement),
            )
            for group in comparison.groups
        ),
    )


def scores_markdown(records: Sequence[ScoreRecord]) -> str:
    """Returns aggregates, what is left out of them, and every task, to paste into a model card."""
    parts = [
        f"Normalised scores: {SCALE}. In brackets: 95% bootstrap intervals over episodes.\n",
        aggregate_table(records).markdown(),
        *(f"{sentence}\n" for sentence in left_out(records)),
        score_table(records).markdown(),
    ]
    return "\n".join(parts)


def scores_latex(records: Sequence[ScoreRecord]) -> str:
    """Returns what `scores_markdown` does, as two tables."""
    comments = (f"% {sentence}\n" for sentence in left_out(records))
    return "\n".join([aggregate_table(records).latex(), *comments, score_table(records).latex()])


def left_out(records: Sequence[ScoreRecord]) -> list[str]:
    """Returns a sentence on the tasks without a normalised score; none where every task has one."""
    names = list(dict.fromkeys(record.task for record in records if record.normalized is None))
    return [f"Left out, because the expert is not above random: {', '.join(names)}."] if names else []


def comparison_markdown(comparison: Comparison) -> str:
    """Returns groups, tasks, and what could not be compared."""
    lines = [
        f"A: {comparison.name_a}  ",
        f"B: {comparison.name_b}",
        "",
        f"Normalised scores: {SCALE}. In brackets: 95% bootstrap intervals over episodes. "
        "P(B > A): how probable it is that an episode of B scores more than one of A; a tie counts half.",
        "",
        *([group_comparison_table(comparison).markdown()] if comparison.groups else []),
        task_comparison_table(comparison).markdown(),
        *(f"{sentence}\n" for sentence in not_compared(comparison)),
    ]
    return "\n".join(lines)


def comparison_latex(comparison: Comparison) -> str:
    """Returns groups and tasks as two tables; what was compared stands in comments."""
    parts = [
        f"% A: {comparison.name_a}\n% B: {comparison.name_b}\n",
        *([group_comparison_table(comparison).latex()] if comparison.groups else []),
        task_comparison_table(comparison).latex(),
        *(f"% {sentence}\n" for sentence in not_compared(comparison)),
    ]
    return "\n".join(parts)


def not_compared(comparison: Comparison) -> list[str]:
    """Returns a sentence for each kind of record that is in no difference."""
    reasons = (
        ("Only in A", comparison.only_a),
        ("Only in B", comparison.only_b),
        ("Left out, because the expert is not above random", comparison.left_out),
    )
    return [f"{reason}: {', '.join(labels)}." for reason, labels in reasons if labels]
