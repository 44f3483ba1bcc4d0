from gato.evaluation.scores import BaselineScores, ScoreRecord
from gato.reports.baseline_tables import baseline_markdown, baseline_table, baseline_tables


def record(task: str, value: float, *, prompt="none", variants="all", expert=1.0, followed=None) -> ScoreRecord:
    return ScoreRecord.from_returns(
        [value, value],
        task=task,
        family="f",
        seed=0,
        random_mean=0.0,
        expert_mean=expert,
        prompt=prompt,
        variants=variants,
        followed=followed,
    )


def scores(*records: ScoreRecord, left_out: dict[str, str] | None = None) -> BaselineScores:
    return BaselineScores(measured={}, records=records, left_out=left_out or {})


def test_players_stand_side_by_side_and_means_are_of_the_tasks_that_all_have():
    agent = [record("a", 0.5, prompt="right"), record("b", 0.7, prompt="right"), record("c", 0.1, prompt="right")]
    others = {
        "random": scores(record("a", 0), record("b", 0.1), record("c", 0)),
        "bc": scores(record("a", 1), record("b", 0.2)),
    }
    table = baseline_table(agent, others)
    assert table.headings == ("task", "agent", "random", "bc")
    assert table.rows == (
        ("a", "0.50 (0.50 to 0.50)", "0.00 (0.00 to 0.00)", "1.00 (1.00 to 1.00)"),
        ("b", "0.70 (0.70 to 0.70)", "0.10 (0.10 to 0.10)", "0.20 (0.20 to 0.20)"),
        ("c", "0.10 (0.10 to 0.10)", "0.00 (0.00 to 0.00)", "–"),
        ("mean of 2 tasks", "0.60 (0.60 to 0.60)", "0.05 (0.05 to 0.05)", "0.60 (0.60 to 0.60)"),
    )


def test_a_study_has_a_column_for_each_prompt_that_a_player_was_given():
    agent = [record("a", value, prompt=prompt, variants="trained") for prompt, value in (("right", 1), ("wrong", 0))]
    replay = [
        record("a", value, prompt=prompt, variants="trained", followed=1.0)
        for prompt, value in (("right", 0.9), ("wrong", 0.2))
    ]
    others = {"nearest-neighbour": scores(*replay), "random": scores(record("a", 0.1, variants="trained"))}
    table = baseline_table(agent, others)
    assert table.headings == (
        "task",
        "agent, right",
        "agent, wrong",
        "nearest-neighbour, right",
        "nearest-neighbour, wrong",
        "random",
    )
    (row,) = table.rows
    assert row[0] == "a, trained"
    assert [cell.split()[0] for cell in row[1:]] == ["1.00", "0.00", "0.90", "0.20", "0.10"]
    _, (told, followed) = baseline_tables(agent, others)
    assert told.startswith("Episodes in which nearest-neighbour did what the demonstration showed")
    assert followed.headings == ("task", "followed, right", "followed, wrong")  # chance was not measured for it


def test_a_task_without_a_normalised_score_tells_its_return_and_is_in_no_mean():
    agent = [record("a", 0.5), record("b", 7.0, expert=-1.0)]
    table = baseline_table(agent, {"random": scores(record("a", 0), record("b", 3.0, expert=-1.0))})
    assert table.rows[1] == ("b", "return 7.00", "return 3.00")
    assert len(table.rows) == 2


def test_markdown_says_what_was_not_played():
    told = baseline_markdown([record("a", 0.5)], {"expert": scores(left_out={"a": "it has no expert"})})
    assert "| a | 0.50 (0.50 to 0.50) |" in told
    assert "Not played by expert: a: it has no expert." in told
