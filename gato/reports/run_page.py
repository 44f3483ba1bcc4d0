"""The page of a training run, finished or not, from the lines of its metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

from gato.reports.page import Block, Chart, Fact, Page, Paragraph, Section, Table
from gato.reports.plots import Curve
from gato.reports.run_plots import Marks, Panel, run_panels, source_panels
from gato.reports.sections import copycat_points_of, copycat_section, loss_curves_of, run_section
from gato.reports.style import both_themes

_MOST_SOURCES = 24  # that are drawn; the table lists all
_RECENT_LINES = 20  # of metrics, whose median stands for the speed now

# A line of metrics holds numbers and, where one was not finite, null: hence `Any`.
Metrics = Sequence[Mapping[str, Any]]


def run_page(
    metrics: Metrics,
    *,
    name: str,
    num_steps: int,
    resumed: Sequence[int] = (),
    history: Sequence[tuple[str, str, str]] = (),
    config_json: str | None = None,
) -> Page:
    """Losses by modality and source, what the optimizer did, speed, and what happened.

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
    """All plots but those of single sources, for a picture without a page."""
    return [*_loss_panels(metrics), *_other_panels(metrics)]


def marks_of(metrics: Metrics, resumed: Sequence[int]) -> Marks:
    """Where the run was resumed, and up to which lines the count of skipped steps grew."""
    skipped, before = [], 0
    for line in metrics:
        count = line.get("skipped") or 0
        if count > before:
            skipped.append(line["step"])
        before = max(before, count)
    return Marks(resumed=tuple(resumed), skipped=tuple(skipped))


def curve_of(metrics: Metrics, name: str, label: str, *, held_out: bool = False) -> Curve | None:
    """One metric over the steps; None if no line has it."""
    points = [(line["step"], line[name]) for line in metrics if line.get(name) is not None]
    if not points:
        return None
    steps, values = zip(*points, strict=True)
    return Curve(label=label, steps=steps, values=values, held_out=held_out)


def _facts(metrics: Metrics, step: int) -> tuple[Fact, ...]:
    facts = [Fact(value=f"{step:,}", label="steps made")]
    facts.append(
        Fact(value=f"{_last(metrics, 'loss'):.3f}", label="loss, nats a target", note="mean of the last lines")
    )
    if (held_out := curve_of(metrics, "held_out/loss", "")) is not None:
        facts.append(
            Fact(
                value=f"{held_out.values[-1]:.3f}",
                label="loss on held-out data",
                note=f"after step {held_out.steps[-1]:,.0f}, lowest {min(held_out.values):.3f}",
            )
        )
    if (speed := _last(metrics, "tokens_per_second")) is not None:
        facts.append(Fact(value=f"{speed:,.0f}", label="tokens a second", note="padding not counted"))
    if (mfu := _last(metrics, "mfu")) is not None:
        facts.append(Fact(value=f"{mfu:.1%}", label="MFU", note="of the chips' dense bfloat16 peak"))
    if skipped := max((line.get("skipped") or 0 for line in metrics), default=0):
        facts.append(Fact(value=f"{skipped:,.0f}", label="steps skipped", note="their loss or gradient was not finite"))
    return tuple(facts)


def _last(metrics: Metrics, name: str) -> float | None:
    """The median over the last lines."""
    curve = curve_of(metrics, name, name)
    if curve is None:
        return None
    recent = sorted(curve.values[-_RECENT_LINES:])
    return recent[len(recent) // 2]


def _loss_panels(metrics: Metrics) -> list[Panel]:
    curves = loss_curves_of(metrics)
    if not curves:  # a loss function that tells no modalities apart
        curves = [curve for curve in (curve_of(metrics, "loss", "all targets"),) if curve is not None]
    return [Panel(label="loss, nats a target", curves=tuple(curves), cut=True)]


def _other_panels(metrics: Metrics) -> list[Panel]:
    wanted = (
        ("learning_rate", "learning rate", "linear", False),
        ("grad_norm", "gradient norm", "log", False),
        ("tokens_per_second", "tokens a second", "linear", False),
        ("mfu", "MFU", "linear", True),
    )
    panels = []
    for name, label, scale, percent in wanted:
        if (curve := curve_of(metrics, name, label)) is not None:
            panels.append(Panel(label=label, curves=(curve,), scale=scale, percent=percent))
    return panels


def _chart(panels: Sequence[Panel], marks: Marks, what: str) -> Chart:
    ends = "; ".join(
        f"{curve.label}{' held out' if curve.held_out else ''} {curve.values[-1]:.4g}"
        for panel in panels
        for curve in panel.curves
    )
    return Chart(
        image=both_themes(lambda theme: run_panels(panels, marks, theme)),
        alt=f"{what} over the training steps, at the end: {ends}.",
    )


def _legend_of(marks: Marks) -> Paragraph:
    parts = ["Dashed: data that training never sees."]
    if marks.resumed:
        parts.append("Dotted lines: the run was resumed there.")
    if marks.skipped:
        parts.append("Triangles: steps were skipped before that line, because their loss or gradient was not finite.")
    return Paragraph(text=" ".join(parts))


def _source_section(metrics: Metrics, marks: Marks) -> Section | None:
    """Every source's loss over the steps, and its last numbers in a table."""
    names = list(dict.fromkeys(name.removeprefix("loss/") for line in metrics for name in line if name[:5] == "loss/"))
    curves: dict[str, list[Curve]] = {}
    for name in names:
        pair = (
            curve_of(metrics, f"loss/{name}", name),
            curve_of(metrics, f"held_out/loss/{name}", name, held_out=True),
        )
        curves[name] = [curve for curve in pair if curve is not None]
    names = [name for name in names if curves[name]]
    if not names:
        return None
    drawn = sorted(names, key=lambda name: -float(curves[name][0].values[-1]))[:_MOST_SOURCES]
    shown = [curve for name in names if name in drawn for curve in curves[name]]
    blocks: list[Block] = [
        Chart(
            image=both_themes(lambda theme: source_panels(shown, marks, theme)),
            alt="Loss of each source over the training steps; the table below has the last values.",
            caption="Nats a target."
            + ("" if len(names) <= _MOST_SOURCES else f" The {_MOST_SOURCES} sources with the highest loss now."),
        ),
        Table(
            headings=("source", "loss, first", "loss, now", "held out", "accuracy", "where the action changes"),
            rows=tuple(_source_row(metrics, name, curves[name]) for name in names),
        ),
    ]
    return Section(title="Sources", blocks=tuple(blocks))


def _source_row(metrics: Metrics, name: str, curves: Sequence[Curve]) -> tuple[str, ...]:
    def text(value: float | None, form: str) -> str:
        return "–" if value is None else format(value, form)

    held_out = next((curve.values[-1] for curve in curves if curve.held_out), None)
    return (
        name,
        text(curves[0].values[0], ".3f"),
        text(_last(metrics, f"loss/{name}"), ".3f"),
        text(held_out, ".3f"),
        text(_last(metrics, f"accuracy/{name}"), ".0%"),
        text(_last(metrics, f"accuracy_changed/{name}"), ".0%"),
    )
