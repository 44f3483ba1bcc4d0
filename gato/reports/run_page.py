"""The page of a training run, finished or not, from the lines of its metrics."""

from collections.abc import Sequence

from gato.reports.curves import (
    Curve,
    Metrics,
    copycat_points_of,
    curve_of,
    curve_pair,
    loss_curves_of,
    recent_median,
)
from gato.reports.format import UNKNOWN, percent
from gato.reports.page import Block, Chart, Fact, Page, Section, draw_chart
from gato.reports.run_plots import Marks, Panel, run_panels, source_panels
from gato.reports.sections import copycat_section, run_section
from gato.reports.table import Table

_MOST_SOURCES = 24  # that are drawn; the table lists all


def run_page(
    metrics: Metrics,
    *,
    name: str,
    num_steps: int,
    resumed: Sequence[int] = (),
    history: Sequence[tuple[str, str, str]] = (),
    config_json: str | None = None,
) -> Page:
    """Shows losses by modality and source, what the optimizer did, speed, and what happened.

    Args:
        metrics: lines in the order of their steps.
        name: of the run's folder.
        num_steps: that the run is to have.
        resumed: the last step before each resumption.
        history: time, step and name of what happened, in order.
        config_json: the whole config, to be read.

    Raises:
        ValueError: no line holds a loss yet.
    """
    if not any(line.get("loss") is not None for line in metrics):
        raise ValueError(f"run {name!r} has written no loss yet: the first comes after training.log_every steps")
    marks = marks_of(metrics, resumed)
    sections = [
        Section(title="Loss", blocks=(_chart(_loss_panels(metrics), marks, "Loss"), _legend_of(marks))),
        _source_section(metrics, marks),
    ]
    if others := _other_panels(metrics):
        chart = _chart(others, marks, "Optimizer and speed")
        sections.append(Section(title="Optimizer and speed", blocks=(chart,)))
    if points := copycat_points_of(metrics):
        sections.append(copycat_section(points[:_MOST_SOURCES]))
    if history:
        rows = tuple(history)
        sections.append(
            Section(
                title="What happened",
                blocks=(Table(headings=("when (UTC)", "what", "after step"), rows=rows, num_text_columns=2),),
            )
        )
    if config_json is not None:
        sections.append(run_section({"folder": name}, config_json))
    step = max(line["step"] for line in metrics)
    state = "finished" if step >= num_steps else f"{step / num_steps:.0%} of its steps made"
    return Page(
        title=f"{name}: training",
        lead=f"A run of {num_steps:,} steps, {state}.",
        facts=_facts(metrics, step),
        sections=tuple(section for section in sections if section is not None),
    )


def training_figure_panels(metrics: Metrics) -> list[Panel]:
    """Returns all plots but those of single sources, for an image without a page."""
    return [*_loss_panels(metrics), *_other_panels(metrics)]


def marks_of(metrics: Metrics, resumed: Sequence[int]) -> Marks:
    """Finds where the run was resumed, and up to which lines the count of skipped steps grew."""
    skipped, before = [], 0
    for line in metrics:
        count = line.get("skipped") or 0
        if count > before:
            skipped.append(line["step"])
        before = max(before, count)
    return Marks(resumed=tuple(resumed), skipped=tuple(skipped))


def _facts(metrics: Metrics, step: int) -> tuple[Fact, ...]:
    loss = recent_median(metrics, "loss")
    facts = [
        Fact(value=f"{step:,}", label="steps made"),
        Fact(value=f"{loss:.3f}", label="loss, nats per target", note="median of the last lines"),
    ]
    if (held_out := curve_of(metrics, "loss", "", held_out=True)) is not None:
        facts.append(
            Fact(
                value=f"{held_out.values[-1]:.3f}",
                label="loss on held-out data",
                note=f"after step {held_out.steps[-1]:,.0f}, lowest {min(held_out.values):.3f}",
            )
        )
    if (speed := recent_median(metrics, "tokens_per_second")) is not None:
        facts.append(Fact(value=f"{speed:,.0f}", label="tokens per second", note="padding not counted"))
    if (mfu := recent_median(metrics, "mfu")) is not None:
        facts.append(Fact(value=f"{mfu:.1%}", label="MFU", note="of the chips' dense bfloat16 peak"))
    if skipped := max((line.get("skipped") or 0 for line in metrics), default=0):
        facts.append(Fact(value=f"{skipped:,.0f}", label="steps skipped", note="their loss or gradient was not finite"))
    return tuple(facts)


def _loss_panels(metrics: Metrics) -> list[Panel]:
    curves = loss_curves_of(metrics)
    if not curves:  # a loss function that tells no modalities apart
        curves = [curve for curve in (curve_of(metrics, "loss", "all targets"),) if curve is not None]
    return [Panel(label="loss, nats per target", curves=tuple(curves), cut=True)]


def _other_panels(metrics: Metrics) -> list[Panel]:
    plots = (
        ("learning_rate", "learning rate", "linear", False),
        ("grad_norm", "gradient norm", "log", False),
        ("tokens_per_second", "tokens per second", "linear", False),
        ("mfu", "MFU", "linear", True),
    )
    panels = []
    for name, label, scale, in_percent in plots:
        if (curve := curve_of(metrics, name, label)) is not None:
            panels.append(Panel(label=label, curves=(curve,), scale=scale, percent=in_percent))
    return panels


def _chart(panels: Sequence[Panel], marks: Marks, what: str) -> Chart:
    ends = "; ".join(
        f"{curve.label}{' held out' if curve.held_out else ''} {curve.values[-1]:.4g}"
        for panel in panels
        for curve in panel.curves
    )
    return draw_chart(run_panels, panels, marks, alt=f"{what} over the training steps, at the end: {ends}.")


def _legend_of(marks: Marks) -> str:
    parts = ["Dashed: data that training never sees."]
    if marks.resumed:
        parts.append("Dotted lines: the run was resumed there.")
    if marks.skipped:
        parts.append("Triangles: steps were skipped before that line, because their loss or gradient was not finite.")
    return " ".join(parts)


def _source_section(metrics: Metrics, marks: Marks) -> Section | None:
    """Draws every source's loss over the steps, and lists its last numbers."""
    names = list(dict.fromkeys(name.removeprefix("loss/") for line in metrics for name in line if name[:5] == "loss/"))
    curves = {name: curve_pair(metrics, f"loss/{name}", name) for name in names}
    names = [name for name in names if curves[name]]
    if not names:
        return None
    drawn = sorted(names, key=lambda name: -float(curves[name][0].values[-1]))[:_MOST_SOURCES]
    shown = [curve for name in names if name in drawn for curve in curves[name]]
    blocks: list[Block] = [
        draw_chart(
            source_panels,
            shown,
            marks,
            alt="Loss of each source over the training steps; the table below has the last values.",
            caption="Nats per target."
            + ("" if len(names) <= _MOST_SOURCES else f" The {_MOST_SOURCES} sources with the highest loss now."),
        ),
        Table(
            headings=("source", "loss, first", "loss, now", "held out", "accuracy", "where the action changes"),
            rows=tuple(_source_row(metrics, name, curves[name]) for name in names),
        ),
    ]
    return Section(title="Sources", blocks=tuple(blocks))


def _source_row(metrics: Metrics, name: str, curves: Sequence[Curve]) -> tuple[str, ...]:
    def loss(value: float | None) -> str:
        return UNKNOWN if value is None else f"{value:.3f}"

    return (
        name,
        loss(curves[0].values[0]),
        loss(recent_median(metrics, f"loss/{name}")),
        loss(next((curve.values[-1] for curve in curves if curve.held_out), None)),
        percent(recent_median(metrics, f"accuracy/{name}")),
        percent(recent_median(metrics, f"accuracy_changed/{name}")),
    )
