"""Sections of a page from what the measurements returned; `page` lays them out.

Those of images, the room and training stand on the quickstart's page only; `evaluation_page` takes them as extra ones.
"""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from gato.evaluation.evaluate import PromptAblation
from gato.evaluation.language_scores import LanguageTrial, score_language
from gato.evaluation.scores import ScoreRecord, aggregate, context_effect
from gato.evaluation.statistics import wilson_interval
from gato.reports.curves import CopycatPoint, Metrics, loss_curves_of
from gato.reports.format import counted, interval_text, percent
from gato.reports.page import Chart, Code, Fact, Grid, GridImage, Section, draw_chart
from gato.reports.plots import copycat_plot, loss_curves, score_bars
from gato.reports.room_plot import room_figure, room_trials
from gato.reports.table import Table

_NUM_SHOWN = 8  # images at most that were described, and as many that were asked about
_IMAGE_SIDE = 280  # pixels to which smaller images are enlarged


def headline_facts(
    records: Sequence[ScoreRecord] = (),
    study: PromptAblation | None = None,
    language: Sequence[LanguageTrial] = (),
) -> tuple[Fact, ...]:
    """Returns the numbers to show first: control, prompt, images."""
    facts = []
    if (together := aggregate(records)) is not None:
        facts.append(
            Fact(
                value=f"{together.iqm.value:.2f}",
                label="of expert, over all control tasks",
                note=f"interquartile mean of {counted(len(together.tasks), 'task')}, {interval_text(together.iqm)}",
            )
        )
    if study is not None:
        held_out = [record for record in study.records if record.variants == "held-out"]
        group = "held-out" if context_effect(held_out) is not None else "trained"
        success = {record.prompt: record.success for record in study.records if record.variants == group}
        facts.append(
            Fact(
                value=f"{percent(success.get('right'))} vs {percent(success.get('wrong'))}",
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
                note=f"{len(language)} unseen images, {interval_text(correct, in_percent=True)}",
            )
        )
    return tuple(facts)


def room_section(study: PromptAblation, size: int) -> Section:
    """Draws the prompt ablation of a room of `size` x `size` cells: the figure that shows what a demonstration does."""
    trials = room_trials(study, size)
    success = {(record.variants, record.prompt): record.success for record in study.records}
    numbers = "; ".join(
        f"{group} goals, {prompt} prompt: {percent(share)}" for (group, prompt), share in success.items()
    )
    return Section(
        title="What one demonstration does",
        blocks=(
            "The agent sees the cell it stands on and nothing else; the goal is invisible. Before an episode "
            "it is shown one demonstration that walks to some cell and stays there. An agent that uses its prompt "
            "goes to the cell it was shown, right or wrong; shown nothing, it cannot know.",
            draw_chart(
                room_figure,
                trials,
                size,
                alt=f"Ways and final cells in the room under three kinds of prompt. Reached the goal: {numbers}.",
                caption="Top: the same start and the same invisible goal under each prompt; the example was chosen for "
                "its geometry, not for its outcome. Bottom: all last cells, seen from the framed goal.",
            ),
        ),
    )


def score_chart(scored: Sequence[ScoreRecord]) -> Chart:
    """Draws the bars of records that have a normalised score."""
    summary = "; ".join(f"{record.task} {record.normalized:.2f}" for record in scored)
    return draw_chart(score_bars, scored, alt=f"Normalised scores: {summary}.")


def clip_section(clips: Sequence[tuple[bytes, str]]) -> Section:
    """Shows videos with their captions, as GIF bytes and text."""
    images = tuple(GridImage(content=gif, alt=caption, caption=caption) for gif, caption in clips)
    return Section(title="The same weights at play", blocks=(Grid(images=images),))


def language_section(trials: Sequence[LanguageTrial]) -> Section:
    """Shows exact-match rates by kind, and the first images with what the agent said; all held out from training.

    Args:
        trials: of captions and questions, in any order.
    """
    rates = Table(
        headings=("kind", "images", "exactly right", "95% interval"),
        rows=tuple(
            (
                score.kind,
                str(score.num_trials),
                percent(score.accuracy.value),
                interval_text(score.accuracy, in_percent=True),
            )
            for score in score_language(trials)
        ),
    )
    described = [trial for trial in trials if trial.example.question is None]
    asked = [trial for trial in trials if trial.example.question is not None]
    images = tuple(
        GridImage(content=_png(trial.example.image), alt=trial.example.reference, caption=_said(trial))
        for trial in (*described[:_NUM_SHOWN], *asked[:_NUM_SHOWN])
    )
    return Section(
        title="Images described and asked about",
        blocks=(
            "The images were never seen in training. The first ones are shown, whatever came out.",
            Grid(images=images, width_px=190),
            rates,
        ),
    )


def _said(trial: LanguageTrial) -> str:
    question = "" if trial.example.question is None else f"{trial.example.question}\n"
    if trial.correct:
        return f"{question}✓ {trial.answer.strip()}"
    return f"{question}✗ {trial.answer.strip()}\nshould be: {trial.example.reference.strip()}"


def loss_section(metrics: Metrics) -> Section:
    """Draws the loss by modality over training, from the lines of a run's metrics file."""
    curves = loss_curves_of(metrics)
    ends = ", ".join(f"{curve.label}{' held out' if curve.held_out else ''} {curve.values[-1]:.2f}" for curve in curves)
    return Section(
        title="Training",
        blocks=(
            draw_chart(
                loss_curves,
                curves,
                alt=f"Loss against training step, ending at: {ends}.",
                caption="Mean loss of a predicted token. Dashed: data that training never saw.",
            ),
        ),
    )


def copycat_section(points: Sequence[CopycatPoint]) -> Section:
    """Shows whether the agent decides or merely repeats."""
    summary = "; ".join(f"{p.task} {p.accuracy:.2f} and {p.changed_accuracy:.2f}" for p in points)
    return Section(
        title="Does it decide, or repeat itself?",
        blocks=(
            "An agent can predict most actions by repeating the last one and still play badly. Accuracy where "
            "the action changes tells: the closer the two marks, the better.",
            draw_chart(
                copycat_plot,
                points,
                alt=f"Accuracy on all actions and on those that change: {summary}.",
            ),
        ),
    )


def run_section(facts: Mapping[str, str], config_json: str) -> Section:
    """Lists how the numbers came about: time, machine, versions, and the whole config."""
    table = Table(headings=("what", "value"), rows=tuple(facts.items()), num_text_columns=2)
    return Section(title="This run", blocks=(table, Code(text=config_json, folded_under="The whole config")))


def next_section(steps: Sequence[tuple[str, str]]) -> Section:
    """Lists what to try next: a sentence and its command each."""
    blocks = [block for text, command in steps for block in (text, Code(text=command))]
    return Section(title="What to try next", blocks=tuple(blocks))


def _png(image: np.ndarray) -> bytes:
    shown = Image.fromarray(image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image)
    enlargement = max(1, _IMAGE_SIDE // max(shown.size))
    buffer = io.BytesIO()
    size = (shown.width * enlargement, shown.height * enlargement)
    shown.resize(size, Image.Resampling.NEAREST).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
