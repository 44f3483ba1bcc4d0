import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from gato.evaluation.journal import EpisodeResult
from gato.evaluation.plan import Demonstrations, EpisodeSpec
from gato.evaluation.scores import ScoreRecord
from gato.reports.evaluation_page import evaluation_page
from gato.reports.page import Chart, Fact, Page, Scrubber, Section, Tabs, page_html
from gato.reports.shown_episodes import ShownEpisode
from gato.reports.table import Table
from gato.reports.videos import Clip, gif_bytes

MEASURED = {
    "checkpoint": {"run": "mine", "step": 1200, "sha256": "0123456789abcdef" * 4},
    "tasks": ["cartpole", "acrobot"],
    "study": None,
    "prompt": {"kind": "right", "part": "first", "max_tokens": 512},
    "policy": {"temperature": 0.5, "deterministic": False},
    "episodes": 2,
    "seed": 100,
}
EVIL = "<script>alert(1)</script>"


def record(task, returns, *, prompt="right", family="f", expert=1.0, **more) -> ScoreRecord:
    return ScoreRecord.from_returns(
        returns, task=task, family=family, seed=0, random_mean=0.0, expert_mean=expert, prompt=prompt, **more
    )


PLAIN = [record("lost", [3.0], expert=-1.0)]  # without a normalised score, so that no chart is drawn
RECORDS = [record("cartpole", [0.5, 1.0]), record("acrobot", [0.25, 0.25], family="g"), *PLAIN]


def study() -> list[ScoreRecord]:
    scores = {"right": ([1.0, 1.0], 1.0), "wrong": ([0.0, 0.5], 0.5), "none": ([0.0, 0.0], None)}
    return [
        record("room", returns, prompt=prompt, variants=variants, followed=followed, followed_by_chance=chance)
        for variants in ("trained", "held-out")
        for prompt, (returns, followed) in scores.items()
        for chance in [None if followed is None else 0.1]
    ]


def shown(**more) -> ShownEpisode:
    spec = EpisodeSpec(
        task="cartpole",
        prompt="right",
        variants="all",
        episode=1,
        seed=101,
        variant=0,
        shown=Demonstrations(task="cartpole", variant=0, seeds=(7, 8)),
    )
    result = EpisodeResult(
        task="cartpole",
        prompt="right",
        variants="all",
        episode=1,
        variant=0,
        seed=101,
        episode_return=1.0,
        length=3,
        success=True,
    )
    steps = [{"timestep": 0}, {"timestep": 2}]
    settings = {
        "replayed_return": 1.0,
        "replayed_length": 3,
        "video": gif_bytes([Clip(frames=np.zeros((2, 20, 20, 3), np.uint8), title="t")]),
        "content": {"num_timesteps": 3, "leaves": [], "steps": steps},
        **more,
    }
    return ShownEpisode(spec=spec, result=result, rank="best", **settings)


def page_of(records=PLAIN, **more) -> Page:
    return evaluation_page(records, MEASURED, **{"not_played": {"hard": "it is too long"}, **more})


@pytest.fixture(scope="module")
def whole() -> Page:
    return page_of(RECORDS)


def texts(page: Page) -> str:
    found = []
    parser = HTMLParser()
    parser.handle_data = found.append
    parser.feed(re.sub(r"<style>.*?</style>|<script>.*?</script>", "", page_html(page), flags=re.DOTALL))
    return "\n".join(found)


def section(page: Page, title: str) -> Section:
    return next(one for one in page.sections if one.title == title)


def tables(one: Section) -> list[Table]:
    return [block for block in one.blocks if isinstance(block, Table)]


def test_the_lead_tells_in_plain_words_what_was_measured(whole):
    lead = whole.lead
    for part in (
        "3 tasks of 2 families, 1 more not played.",
        "step 1200, SHA-256 0123456789ab…",
        "2 episodes per task, seeds from 100 on.",
        "Demonstrations before the episodes: right (first part, at most 512 tokens).",
        "Actions are drawn at temperature 0.5.",
    ):
        assert part in lead
    assert whole.title == "Evaluation of mine"


def test_the_headline_is_the_aggregate_with_intervals(whole):
    facts = {fact.label: (fact.value, fact.note) for fact in whole.facts}
    # Task means are 0.75 and 0.25; of the middle half of 0.25, 0.25, 0.5 and 1 the mean is 0.375.
    assert facts["mean"][0] == facts["median"][0] == "0.50"
    assert facts["interquartile mean"][0] == "0.38"
    assert facts["optimality gap: short of the expert"][0] == "0.50"
    assert facts["mean"][1] == "0.38 to 0.62, of 2 tasks"


def test_tasks_and_families_sort_and_what_is_left_out_is_told(whole):
    (together,) = tables(section(whole, "All tasks together"))
    assert [row[0] for row in together.rows] == ["all tasks", "f", "g"]
    scores, not_played = tables(section(whole, "Task by task"))
    assert [row[0] for row in scores.rows] == ["cartpole", "acrobot", "lost"]
    assert not_played.rows == (("hard", "it is too long"),)
    assert together.sortable
    assert scores.sortable
    assert "Left out, because the expert is not above random: lost." in texts(whole)


def test_a_single_task_has_no_aggregate_section():
    assert "All tasks together" not in [one.title for one in page_of([record("cartpole", [0.5])]).sections]


def test_without_any_normalised_score_there_is_still_a_page():
    page = page_of()
    assert page.facts == ()
    assert "lost" in texts(page)


def test_a_study_tells_effects_and_following_with_held_out_variants_apart():
    page = page_of(study())
    values = [(fact.value, fact.label.partition(":")[0]) for fact in page.facts]
    # 1 minus the mean of 0 and 0.5; one of two wrong demonstrations was followed.
    expected = [("+0.75", "context effect, {} variants"), ("50%", "of wrong demonstrations followed, {} variants")]
    assert values == [(value, label.format(group)) for group in ("trained", "held-out") for value, label in expected]
    assert "by chance 10%" in page.facts[1].note
    trained = tables(section(page, "What a demonstration decides: trained variants"))
    held_out = tables(section(page, "What a demonstration decides: variants that were never trained"))
    assert [table.rows[0][0] for table in trained] == ["room, trained"] * 3
    assert [table.rows[0][0] for table in held_out] == ["room, held-out"] * 3


def test_a_study_of_several_tasks_has_profiles_by_demonstration():
    another = [dataclasses.replace(one, task="maze") for one in study()]
    page = page_of([*study(), *another])
    together = section(page, "All tasks together")
    assert len(tables(together)[0].rows) == 6
    captions = [block.caption for block in together.blocks if isinstance(block, Chart)]
    assert len(captions) == 2  # trained and held-out variants
    assert all("profile" in caption for caption in captions)
    assert page.facts[0].note.endswith("mean of 2 tasks")


def test_further_tables_and_remarks_have_a_section():
    table = Table(headings=("source", "loss"), rows=(("books", "1.5"),))
    page = page_of(further=[("Data that training never saw.", table)], remarks=["Not measured: poems."])
    assert "Beside the agent's episodes" in [one.title for one in page.sections]
    assert all(part in texts(page) for part in ("Data that training never saw.", "books", "Not measured: poems."))


def episode_texts(**more) -> str:
    return texts(page_of(shown=[shown(**more)]))


def test_an_episode_tells_how_it_was_scored_and_how_it_can_be_repeated():
    told = episode_texts()
    assert "Return 1.00 in 3 steps; episode 1, seed 101, variant 0; shown: cartpole, variant 0, seeds 7, 8" in told
    assert "solved: yes." in told
    assert "Shown are 2 of 3 timesteps." in told
    assert "otherwise" not in told


@pytest.mark.parametrize("other", [{"replayed_return": 0.5}, {"replayed_length": 2}])
def test_a_replay_that_went_otherwise_is_told(other):
    assert "Played again, it went otherwise" in episode_texts(**other)


def test_what_could_not_be_shown_is_told():
    page = page_of(shown=[shown(video=None, content=None, replayed_return=None, problem="No film: no screen.")])
    assert "No film: no screen." in texts(page)
    assert "image/gif" not in page_html(page)


def test_episodes_stand_behind_tabs_by_task():
    (tabs,) = [block for block in section(page_of(shown=[shown()]), "Episodes").blocks if isinstance(block, Tabs)]
    assert [panel.title for panel in tabs.panels] == ["cartpole"]
    (inner,) = tabs.panels[0].blocks
    assert [panel.title for panel in inner.panels] == ["best"]
    assert any(isinstance(block, Scrubber) for block in inner.panels[0].blocks)


def test_another_page_can_be_built_around_the_evaluation():
    first, extra = (Section(title=title, blocks=(title,)) for title in ("The room", "Images"))
    page = page_of(
        title="Quickstart",
        lead="One network.",
        facts=[Fact(value="1", label="best")],
        first_sections=[first],
        extra_sections=[extra],
        shown=[shown()],
    )
    assert (page.title, page.lead, page.facts) == ("Quickstart", "One network.", (Fact(value="1", label="best"),))
    titles = [one.title for one in page.sections]
    assert titles == ["The room", "Task by task", "Episodes", "Images", "How it was measured"]


def test_settings_stand_in_full():
    rows = dict(tables(section(page_of(written={"by": "gato 9"}), "How it was measured"))[0].rows)
    assert rows["checkpoint / sha256"] == MEASURED["checkpoint"]["sha256"]
    assert rows["policy / temperature"] == "0.5"
    assert rows["by"] == "gato 9"


def test_the_page_is_one_file_without_code_of_its_content():
    evil = record(EVIL, [1.0, 0.5], family=EVIL)
    document = page_html(
        page_of([*RECORDS, evil], not_played={EVIL: EVIL}, shown=[shown(problem=EVIL)], remarks=[EVIL])
    )
    assert EVIL not in document
    assert not re.search(r"url\(|@import|<link|src=\"http|href=\"http|\bNaN\b|\binf\b|\bnan\b", document)


def test_many_tasks_have_a_table_and_no_bars():
    many = [record(f"task-{number}", [0.5]) for number in range(90)]
    document = page_html(page_of(many))
    assert document.count("task-89") == 1
    assert document.count("image/svg+xml") == 4  # figure 5 and the profile, in two themes
