from gato.evaluation.scores import ScoreRecord
from gato.reports.context_tables import (
    effect_table,
    following_table,
    likelihood_table,
    study_tables,
)
from gato.reports.table import titled_markdown


def record(
    prompt="right", returns=(1.0, 1.0, 1.0, 0.0), variants="trained", task="room", expert=2.0, **more
) -> ScoreRecord:
    return ScoreRecord.from_returns(
        list(returns),
        task=task,
        family="f",
        seed=0,
        random_mean=0.0,
        expert_mean=expert,
        prompt=prompt,
        variants=variants,
        **more,
    )


STUDY = [
    record(followed=0.75, followed_by_chance=0.02, first_actions_nll=1.25),
    record("wrong", (0.0, 0.0, 0.0, 0.0), followed=1.0, followed_by_chance=0.04, first_actions_nll=3.5),
    record("none", (1.0, 0.0, 0.0, 0.0), first_actions_nll=2.0),
    record(variants="held-out", followed=0.5),
    record("wrong", variants="held-out", followed=0.0),
]


def test_tables_have_a_row_for_each_task_and_group():
    rows = effect_table(STUDY).rows
    assert [row[0] for row in rows] == ["room, trained", "room, held-out"]
    assert rows[0][2].startswith("0.38 (")
    assert rows[0][-1].startswith("+0.38 (")
    assert rows[1][4] == "–"  # nothing was measured without a prompt
    assert following_table(STUDY).rows[0][1:] == ("75% (30% to 95%)", "2%", "100% (51% to 100%)", "4%")
    assert following_table(STUDY).rows[1][2] == "–"
    assert likelihood_table(STUDY).rows == (
        ("room, trained", "1.25", "3.50", "2.00"),
        ("room, held-out", "–", "–", "–"),
    )


def test_scores_without_a_study_are_not_in_its_tables():
    assert effect_table([record(variants="all")]).rows == ()
    assert "| room, trained |" in titled_markdown(study_tables(STUDY))
