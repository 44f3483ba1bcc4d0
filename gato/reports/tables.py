"""Tables of scores and of comparisons, for the console, a page, a model card or a paper."""

from collections.abc import Sequence

from gato.evaluation.comparison import Comparison
from gato.evaluation.scores import EXPERT_SHARES, Aggregate, ScoreRecord, aggregate, groups_of
from gato.evaluation.statistics import Interval
from gato.reports.page import Table
from gato.reports.table_markup import latex, markdown

SCALE = "0 is an agent that acts at random, 1 the expert"


def score_table(records: Sequence[ScoreRecord]) -> Table:
    """One row a record."""
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
                "–" if record.normalized is None else number(record.normalized),
                "–"
                if record.ci_low is None or record.ci_high is None
                else f"{number(record.ci_low)} to {number(record.ci_high)}",
                "–" if record.success is None else f"{record.success:.0%}",
            )
            for record in records
        ),
        num_text_columns=2,
    )


def aggregate_table(records: Sequence[ScoreRecord]) -> Table:
    """One row for all tasks and for each family, as `groups_of` tells."""
    rows = tuple(_aggregate_row(label, aggregate(group)) for label, group in groups_of(records).items())
    shares = (f"≥ {share:.0%} of expert" for share in EXPERT_SHARES)
    return Table(headings=("tasks", "number", "IQM", "mean", "median", "optimality gap", *shares), rows=rows)


def _aggregate_row(label: str, together: Aggregate | None) -> tuple[str, ...]:
    if together is None:
        return (label, "0", *["–"] * (4 + len(EXPERT_SHARES)))
    statistics = (together.iqm, together.mean, together.median, together.optimality_gap)
    return (
        label,
        str(len(together.tasks)),
        *(_with_interval(interval) for interval in statistics),
        *(f"{share.value:.0%} ({interval_text(share, percent=True)})" for share in together.shares),
    )


def task_comparison_table(comparison: Comparison) -> Table:
    """One row a task: both scores and their difference."""
    rows = []
    for task in comparison.tasks:
        cells = [_score_with_interval(record) for record in (task.a, task.b)]
        cells.append("–" if task.difference is None else _with_interval(task.difference, signed=True))
        cells.append("–" if task.improvement is None else _with_interval(task.improvement))
        rows.append((task.label, *cells))
    return Table(headings=("task", "A", "B", "B − A", "P(B > A)"), rows=tuple(rows))


def group_comparison_table(comparison: Comparison) -> Table:
    """One row for all tasks and for each family."""
    return Table(
        headings=("tasks", "number", "mean A", "mean B", "mean B − A", "IQM A", "IQM B", "IQM B − A", "P(B > A)"),
        rows=tuple(
            (
                group.label,
                str(len(group.a.tasks)),
                number(group.a.mean.value),
                number(group.b.mean.value),
                _with_interval(group.mean_difference, signed=True),
                number(group.a.iqm.value),
                number(group.b.iqm.value),
                _with_interval(group.iqm_difference, signed=True),
                _with_interval(group.improvement),
            )
            for group in comparison.groups
        ),
    )


def scores_markdown(records: Sequence[ScoreRecord]) -> str:
    """Aggregates, what is left out of them, and every task, to paste into a model card."""
    parts = [
        f"Normalised scores: {SCALE}. In brackets: 95% bootstrap intervals over episodes.\n",
        markdown(aggregate_table(records)),
        *(f"{sentence}\n" for sentence in left_out(records)),
        markdown(score_table(records)),
    ]
    return "\n".join(parts)


def scores_latex(records: Sequence[ScoreRecord]) -> str:
    """The same as `scores_markdown`, as two tables."""
    comments = (f"% {sentence}\n" for sentence in left_out(records))
    return "\n".join([latex(aggregate_table(records)), *comments, latex(score_table(records))])


def left_out(records: Sequence[ScoreRecord]) -> list[str]:
    """A sentence on the tasks without a normalised score; none where every task has one."""
    names = list(dict.fromkeys(record.task for record in records if record.normalized is None))
    return [f"Left out, because the expert is not above random: {', '.join(names)}."] if names else []


def comparison_markdown(comparison: Comparison) -> str:
    """Groups, tasks, and what could not be compared."""
    lines = [
        f"A: {comparison.name_a}  ",
        f"B: {comparison.name_b}",
        "",
        f"Normalised scores: {SCALE}. In brackets: 95% bootstrap intervals over episodes. "
        "P(B > A): how probable it is that an episode of B scores more than one of A; a tie counts half.",
        "",
        *([markdown(group_comparison_table(comparison))] if comparison.groups else []),
        markdown(task_comparison_table(comparison)),
        *(f"{sentence}\n" for sentence in not_compared(comparison)),
    ]
    return "\n".join(lines)


def comparison_latex(comparison: Comparison) -> str:
    """Groups and tasks as two tables; what was compared stands in comments."""
    parts = [
        f"% A: {comparison.name_a}\n% B: {comparison.name_b}\n",
        *([latex(group_comparison_table(comparison))] if comparison.groups else []),
        latex(task_comparison_table(comparison)),
        *(f"% {sentence}\n" for sentence in not_compared(comparison)),
    ]
    return "\n".join(parts)


def not_compared(comparison: Comparison) -> list[str]:
    """A sentence for each kind of record that is in no difference."""
    reasons = (
        ("Only in A", comparison.only_a),
        ("Only in B", comparison.only_b),
        ("Left out, because the expert is not above random", comparison.left_out),
    )
    return [f"{reason}: {', '.join(labels)}." for reason, labels in reasons if labels]


def number(value: float) -> str:
    """Three digits or so, with a real minus sign."""
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:z.{decimals}f}".replace("-", "−")


def interval_text(interval: Interval, *, percent: bool = False) -> str:
    """The two ends, without the value between."""
    if percent:
        return f"{interval.low:.0%} to {interval.high:.0%}"
    return f"{number(interval.low)} to {number(interval.high)}"


def signed_number(value: float) -> str:
    """Like `number`, with a plus sign where it is positive."""
    text = number(value)
    return f"+{text}" if text.strip("0.") and not text.startswith("−") else text


def _with_interval(interval: Interval, *, signed: bool = False) -> str:
    text = signed_number if signed else number
    return f"{text(interval.value)} ({text(interval.low)} to {text(interval.high)})"


def _score_with_interval(record: ScoreRecord) -> str:
    if record.normalized is None or record.ci_low is None or record.ci_high is None:
        return f"return {number(record.return_mean)}"
    return f"{number(record.normalized)} ({number(record.ci_low)} to {number(record.ci_high)})"
