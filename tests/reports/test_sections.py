import numpy as np
import pytest

from gato.data.episode import Episode
from gato.evaluation.evaluate import PromptAblation
from gato.evaluation.language_scores import LanguageExample, LanguageTrial
from gato.evaluation.plan import Demonstrations, EpisodeSpec
from gato.evaluation.rollout import Rollout
from gato.evaluation.scores import ScoreRecord
from gato.reports.curves import copycat_points_of
from gato.reports.evaluation_page import evaluation_page
from gato.reports.page import page_html
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
from gato.reports.videos import Clip, gif_bytes

METRICS = [
    {"step": 50, "loss_text": 3.0, "loss_action": 2.0},
    {"step": 100, "loss_text": None, "loss_action": 1.0, "accuracy/lander": 0.5, "accuracy_changed/lander": 0.1},
    {"step": 100, "held_out/loss_text": 2.5, "held_out/accuracy/lander": 0.4, "held_out/accuracy_changed/lander": 0.05},
    {"step": 150, "loss_text": 1.0, "accuracy/lander": 0.75, "accuracy/captions": 0.9},
]


def record(task="cartpole", prompt="right", returns=(0.5, 1.0), expert=1.0, **more) -> ScoreRecord:
    return ScoreRecord.from_returns(
        list(returns), task=task, family="f", seed=0, random_mean=0.0, expert_mean=expert, prompt=prompt, **more
    )


def study() -> PromptAblation:
    """A room of 2 x 2 cells whose agent always ends where it was shown, or stays in cell 0."""
    episodes, records = [], []
    for prompt, shown in (("right", 3), ("wrong", 1), ("none", None)):
        end = shown or 0
        episode = Episode(
            observations=np.array([[0, 0], divmod(end, 2)]),
            actions=np.zeros(1, np.int64),
            rewards=np.array([float(end == 3)]),
            terminated=False,
            truncated=True,
        )
        demonstrations = None if shown is None else Demonstrations(task="room", variant=shown, seeds=(0,))
        spec = EpisodeSpec(
            task="room", prompt=prompt, variants="held-out", episode=0, seed=0, variant=3, shown=demonstrations
        )
        episodes.append((spec, Rollout(episode=episode, info={})))
        records.append(
            record("room", prompt, [float(end == 3)], variants="held-out", success=float(end == 3), followed=None)
        )
    goals = tuple({"goal": goal} for goal in range(4))
    return PromptAblation(records=tuple(records), episodes=tuple(episodes), variants=goals)


def language() -> list[LanguageTrial]:
    image = np.zeros((16, 16, 3), np.uint8)
    return [
        LanguageTrial(
            example=LanguageExample(image=image, reference="a red ball"), kind="caption", answer="a red ball"
        ),
        LanguageTrial(
            example=LanguageExample(image=image, reference="two", question="how many?"), kind="count", answer="<one>"
        ),
    ]


def test_headline_tells_control_prompt_and_pictures():
    values = [fact.value for fact in headline_facts([record()], study(), language())]
    assert values == ["0.75", "100% vs 0%", "50%"]
    assert headline_facts() == ()


def test_wrong_answers_stand_with_their_reference():
    grid = language_section(language()).blocks[1]
    assert [image.caption for image in grid.images] == ["✓ a red ball", "how many?\n✗ <one>\nshould be: two"]


@pytest.fixture(scope="module")
def document() -> str:
    gif = gif_bytes([Clip(frames=np.zeros((2, 20, 20, 3), np.uint8), title="t")])
    return page_html(
        evaluation_page(
            [record(), record("pendulum")],
            {},
            not_played={},
            title="a run",
            lead="what it is",
            facts=headline_facts([record()], study(), language()),
            first_sections=(room_section(study(), 2),),
            extra_sections=(
                clip_section([(gif, "cartpole, return 500")]),
                language_section(language()),
                loss_section(METRICS),
                copycat_section(copycat_points_of(METRICS)),
                run_section({"machine": "two cores"}, '{"seed": 0}'),
                next_section([("Look at it play.", "gato play runs/x cartpole")]),
            ),
        )
    )


def test_the_whole_report_holds_every_part(document):
    for part in (
        "cartpole, return 500",
        "100% vs 0%",
        "two cores",
        "gato play runs/x cartpole",
        "&lt;one&gt;",
        "pendulum",
    ):
        assert part in document
    assert document.count("data:image/gif;base64,") == 1
    assert document.count("data:image/png;base64,") == 2
    assert (
        document.count("data:image/svg+xml;base64,") == 12
    )  # room, two of all tasks, scores, losses and copycat, each in two themes


def test_the_whole_report_needs_nothing_from_outside(document):
    assert "http" not in document.replace('http-equiv="Content-Security-Policy"', "")
