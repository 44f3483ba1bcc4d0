import json

import pytest

from gato.cli.main import run
from gato.config import RunConfig, TrainingConfig


@pytest.fixture
def run_folder(tmp_path):
    """A run of 40 steps of which 20 are made, that was resumed once; its last line is still being written."""
    folder = tmp_path / "mine"
    folder.mkdir()
    RunConfig(name="shipped", training=TrainingConfig(num_steps=40)).save(folder / "config.json")
    lines = [{"step": step, "loss": 4 / step, "loss/pendulum": 2 / step, "skipped": 0} for step in (10, 20)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 30, "lo')
    events = [("started", 0), ("saved", 10), ("resumed", 10)]
    (folder / "events.jsonl").write_text(
        "".join(json.dumps({"time_s": 1.8e9, "step": step, "kind": kind}) + "\n" for kind, step in events)
    )
    return folder


def failed(arguments, capsys) -> str:
    with pytest.raises(SystemExit) as ended:
        run(["report", *map(str, arguments)])
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_a_run_under_way_gets_a_page(run_folder, capsys):
    run(["report", str(run_folder)])
    assert "A run of 40 steps, 50% of its steps made." in capsys.readouterr().out
    page = (run_folder / "training.html").read_text()
    assert "<title>mine: training</title>" in page, "named as its folder, which tells runs of one config apart"
    assert "pendulum" in page
    assert "2027-01-15 08:00:00" in page, "what happened, in UTC"
    assert "the run was resumed there" in page
    assert ">saved<" not in page, "saves are too many to be told"


def test_a_run_without_events_has_a_page_too(run_folder):
    (run_folder / "events.jsonl").unlink()
    run(["report", str(run_folder)])
    assert "What happened" not in (run_folder / "training.html").read_text()


def test_a_picture_has_the_plots_alone(run_folder, tmp_path):
    run(["report", str(run_folder), "--out", str(tmp_path / "new" / "run.png")])
    assert (tmp_path / "new" / "run.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_no_run_or_no_page_is_refused(run_folder, tmp_path, capsys):
    assert "give the folder of a run" in failed([tmp_path], capsys)
    assert "expected a file that ends in .html" in failed([run_folder, "--out", tmp_path / "x.docx"], capsys)
    (run_folder / "metrics.jsonl").write_text("")
    assert "has written no loss yet" in failed([run_folder], capsys)
