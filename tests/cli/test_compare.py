import json

import pytest

from gato.cli.main import run
from gato.evaluation.scores import ScoreRecord, write_scores


def record(task: str, returns: list[float], expert: float = 1.0, prompt="right") -> ScoreRecord:
    return ScoreRecord.from_returns(
        returns, task=task, family="f", seed=0, random_mean=0.0, expert_mean=expert, prompt=prompt
    )


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """Two runs, the scores of one in the folder itself, those of the other where `gato evaluate` puts them."""
    monkeypatch.chdir(tmp_path)
    before, after = tmp_path / "before", tmp_path / "after" / "evaluation"
    for folder in (before, after):
        folder.mkdir(parents=True)
    write_scores(before / "scores.json", [record("one", [0.0, 0.5]), record("two", [1.0]), record("old", [1.0])])
    write_scores(after / "scores.json", [record("one", [0.5, 1.0]), record("two", [1.0]), record("new", [1.0])])
    return tmp_path


def test_compare_writes_a_file_tables_and_charts(measured, capsys):
    run(["compare", "before", "after", "--out", "both", "--latex"])
    printed = capsys.readouterr().out
    assert "+0.50" in printed
    assert "Only in A: old." in printed
    content = json.loads((measured / "both" / "compare.json").read_text())
    assert (content["version"], content["name_a"], content["name_b"]) == (1, "before", "after")
    assert [task["difference"]["value"] for task in content["tasks"]] == [0.5, 0]
    assert content["groups"][0]["improvement"]["value"] == pytest.approx((7 / 8 + 0.5) / 2)
    assert (content["only_a"], content["only_b"]) == (["old"], ["new"])
    assert "| one | 0.25 " in (measured / "both" / "compare.md").read_text()
    assert r"\toprule" in (measured / "both" / "compare.tex").read_text()
    for name in ("compare.png", "profile.png"):
        assert (measured / "both" / name).stat().st_size > 0


def test_a_file_does_as_well_and_latex_is_asked_for(measured):
    run(["compare", "before/scores.json", "after"])
    names = {path.name for path in (measured / "comparison").iterdir()}
    assert names == {"compare.json", "compare.md", "compare.png", "profile.png"}


def test_profiles_are_drawn_where_each_task_stands_once(measured):
    both = [record("one", [0.5]), record("one", [0.2], prompt="wrong")]
    write_scores(measured / "study.json", both)
    run(["compare", "study.json", "study.json", "--out", "both"])
    assert not (measured / "both" / "profile.png").exists()


def test_tasks_without_a_score_are_listed_and_drawn_nowhere(measured, capsys):
    write_scores(measured / "lost.json", [record("one", [0.5], expert=-1.0)])
    run(["compare", "lost.json", "lost.json", "--out", "both"])
    assert "Left out, because the expert is not above random: one." in capsys.readouterr().out
    assert {path.name for path in (measured / "both").iterdir()} == {"compare.json", "compare.md"}


@pytest.mark.parametrize("path", ["nowhere", "empty"])
def test_no_scores_is_a_clear_error(path, measured, capsys):
    (measured / "empty").mkdir()
    with pytest.raises(SystemExit):
        run(["compare", "before", path])
    assert f"no scores in {path}" in capsys.readouterr().err
    assert not (measured / "comparison").exists()
