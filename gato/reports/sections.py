"""The sections of a run's report, from what the measurements returned; `page` lays them out."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from gato.evaluation.evaluate import PromptAblation
from gato.evaluation.language_scores import LanguageTrial, score_language
from gato.evaluation.scores import ScoreRecord, aggregate
from gato.evaluation.statistics import wilson_interval
from gato.reports.page import Block, Chart, Code, Fact, Grid, Paragraph, Picture, Section, Table
from gato.reports.plots import CopycatPoint, Curve, copycat_plot, loss_curves, score_bars
from gato.reports.room_plot import room_figure, room_trials
from gato.reports.style import both_themes
from gato.reports.tables import aggregate_table, interval_text, left_out, score_table

_PICTURE_SIDE = 280  # pixels to which the smaller pictures of the gallery are enlarged


def headline_facts(
    records: Sequence[ScoreRecord] = (),
    study: PromptAblation | None = None,
    language: Sequence[LanguageTrial] = (),
) -> tuple[Fact, ...]:
    """The numbers to show first: control, prompt, pictures."""
    facts = []
    if (together := aggregate(records)) is not None:
        facts.append(
            Fact(
                value=f"{together.iqm.value:.2f}",
                label="of expert, over all control tasks",
                note=f"interquartile mean of {len(together.tasks)} tasks, {interval_text(together.iqm)}",
            )
        )
    if study is not None:
        group = "held-out" if study.context_effect("held-out") is not None else "trained"
        success = {record.prompt: record.success for record in study.records if record.variants == group}
        facts.append(
            Fact(
                value=f"{_percent(success.get('right'))} vs {_percent(success.get('wrong'))}",
                label="task solved with the right and with a wrong demonstration",
                note="tasks never trained on" if group == "held-out" else "trained tasks",
            )
        )
    if language:
        correct = wilson_interval(sum(trial.correct for trial in language), len(language))
        facts.append(
            Fact(
                value=f"{correct.value:.0%}",
                label="captions and answers exactly right",
                note=f"{len(language)} unseen pictures, {interval_text(correct, percent=True)}",
            )
        )
    return tuple(facts)


def room_section(study: PromptAblation, size: int) -> Section:
    """The prompt study of a room of `size` x `size` cells: the picture that shows what a demonstration does."""
    trials = room_trials(study, size)
    image = both_themes(lambda theme: room_figure(trials, size, theme))
    success = {(record.variants, record.prompt): record.success for record in study.records}
    numbers = "; ".join(
        f"{group} goals, {prompt} prompt: {_percent(share)}" for (group, prompt), share in success.items()
    )
    return Section(
        title="What one demonstration does",
        blocks=(
            Paragraph(
                text="The agent sees the cell it stands on and nothing else; the goal is invisible. Before an episode "
                "it is shown one demonstration that walks to some cell and stays there. An agent that uses its prompt "
                "goes to the cell it was shown, right or wrong; shown nothing, it cannot know."
            ),
            Chart(
                image=image,
                alt=f"Ways and final cells in the room under three kinds of prompt. Reached the goal: {numbers}.",
                caption="Top: the same start and the same invisible goal under each prompt; the example was chosen for "
                "its geometry, not for its outcome. Bottom: all last cells, seen from the framed goal.",
            ),
        ),
    )


def score_section(records: Sequence[ScoreRecord]) -> Section:
    """Normalised scores as bars and in full."""
    blocks: list[Block] = [
        Paragraph(
            text="0 is an agent that acts at random, 1 the expert that recorded the demonstrations. Intervals are 95% "
            "bootstrap intervals over episodes."
        )
    ]
    scored = [record for record in records if record.normalized is not None]
    if scored:
        summary = "; ".join(f"{record.task} {record.normalized:.2f}" for record in scored)
        blocks.append(
            Chart(image=both_themes(lambda theme: score_bars(scored, theme)), alt=f"Normalised scores: {summary}.")
        )
    if len(scored) > 1:
        blocks.append(aggregate_table(records))
    blocks += [Paragraph(text=sentence) for sentence in left_out(records)]
    return Section(title="Control", blocks=(*blocks, score_table(records)))


def clip_section(clips: Sequence[tuple[bytes, str]]) -> Section:
    """Films with their captions, as GIF bytes and text."""
    return Section(
        title="The same weights at play",
        blocks=(Grid(pictures=tuple(Picture(content=gif, alt=caption, caption=caption) for gif, caption in clips)),),
    )


def language_section(trials: Sequence[LanguageTrial], *, num_shown: int = 8) -> Section:
    """Exact-match rates by kind, and the first pictures with what the agent said; all held out from training.

    Args:
        trials: of captions and questions, in any order.
        num_shown: at most so many pictures that were described, and as many that were asked about.
    """
    rates = Table(
        headings=("kind", "pictures", "exactly right", "95% interval"),
        rows=tuple(
            (
                score.kind,
                str(score.num_trials),
                f"{score.accuracy.value:.0%}",
                interval_text(score.accuracy, percent=True),
            )
            for score in score_language(trials)
        ),
    )
    described = [trial for trial in trials if trial.example.question is None]
    asked = [trial for trial in trials if trial.example.question is not None]
    pictures = tuple(
        Picture(content=_png(trial.example.image), alt=trial.example.reference, caption=_said(trial))
        for trial in (*described[:num_shown], *asked[:num_shown])
    )
    return Section(
        title="Pictures described and asked about",
        blocks=(
            Paragraph(text="The pictures were never seen in training. The first ones are shown, whatever came out."),
            Grid(pictures=pictures, width_px=190),
            rates,
        ),
    )


def _said(trial: LanguageTrial) -> str:
    question = "" if trial.example.question is None else f"{trial.example.question}\n"
    if trial.correct:
        return f"{question}✓ {trial.answer.strip()}"
    return f"{question}✗ {trial.answer.strip()}\nshould be: {trial.example.reference.strip()}"


def loss_section(metrics: Sequence[Mapping[str, Any]]) -> Section:
    """Loss by modality over training, from the lines of a run's metrics file."""
    curves = loss_curves_of(metrics)
    ends = ", ".join(f"{curve.label}{' held out' if curve.held_out else ''} {curve.values[-1]:.2f}" for curve in curves)
    return Section(
        title="Training",
        blocks=(
            Chart(
                image=both_themes(lambda theme: loss_curves(curves, theme)),
                alt=f"Loss against training step, ending at: {ends}.",
                caption="Mean loss of a predicted token. Dashed: data that training never saw.",
            ),
        ),
    )


def loss_curves_of(metrics: Sequence[Mapping[str, Any]]) -> list[Curve]:
    """Training and held-out loss of text and of actions, as far as the lines have them.

    `Any` because a line of metrics holds numbers and, where one was not finite, null.
    """
    curves = []
    for label, name in (("text", "loss_text"), ("actions", "loss_action")):
        for held_out, key in ((False, name), (True, f"held_out/{name}")):
            points = [(line["step"], line[key]) for line in metrics if line.get(key) is not None]
            if points:
                steps, values = zip(*points, strict=True)
                curves.append(Curve(label=label, steps=steps, values=values, held_out=held_out))
    return curves


def copycat_points_of(metrics: Sequence[Mapping[str, Any]], *, prefix: str = "") -> list[CopycatPoint]:
    """The last accuracies of each source that reports both; prefix "held_out/" reads the held-out ones."""
    last: dict[str, float] = {}
    for line in metrics:
        last.update({name: value for name, value in line.items() if value is not None})
    start = f"{prefix}accuracy_changed/"
    return [
        CopycatPoint(
            task=name.removeprefix(start),
            accuracy=last[f"{prefix}accuracy/{name.removeprefix(start)}"],
            changed_accuracy=value,
        )
        for name, value in last.items()
        if name.startswith(start)
    ]


def copycat_section(points: Sequence[CopycatPoint]) -> Section:
    """Whether the agent decides or merely repeats."""
    summary = "; ".join(f"{p.task} {p.accuracy:.2f} and {p.changed_accuracy:.2f}" for p in points)
    return Section(
        title="Does it decide, or repeat itself?",
        blocks=(
            Paragraph(
                text="An agent can predict most actions by repeating the last one and still play badly. Accuracy where "
                "the action changes tells: the closer the two marks, the better."
            ),
            Chart(
                image=both_themes(lambda theme: copycat_plot(points, theme)),
                alt=f"Accuracy on all actions and on those that change: {summary}.",
            ),
        ),
    )


def run_section(facts: Mapping[str, str], config_json: str | None = None) -> Section:
    """How the numbers came about: time, machine, versions, and the whole config."""
    table = Table(headings=("what", "value"), rows=tuple(facts.items()), num_text_columns=2)
    config = () if config_json is None else (Code(text=config_json, folded_under="The whole config"),)
    return Section(title="This run", blocks=(table, *config))


def next_section(steps: Sequence[tuple[str, str]]) -> Section:
    """What to try next: a sentence and its command each."""
    blocks = [block for text, command in steps for block in (Paragraph(text=text), Code(text=command))]
    return Section(title="What to try next", blocks=tuple(blocks))


def _png(image: np.ndarray) -> bytes:
    picture = Image.fromarray(image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image)
    enlargement = max(1, _PICTURE_SIDE // max(picture.size))
    buffer = io.BytesIO()
    size = (picture.width * enlargement, picture.height * enlargement)
    picture.resize(size, Image.Resampling.NEAREST).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"
