import json

import pytest

from gato.training import writers
from gato.training.writers import JsonlWriter, TensorBoardWriter, read_metrics


def test_lines_are_on_disk_before_the_writer_closes(tmp_path):
    writer = JsonlWriter(tmp_path / "metrics.jsonl", last_step=0)
    writer.write(1, {"loss": 2.5})
    writer.write(2, {"loss": float("nan"), "skipped": 1})
    assert read_metrics(tmp_path / "metrics.jsonl") == [
        {"step": 1, "loss": 2.5},
        {"step": 2, "loss": None, "skipped": 1},
    ]
    writer.close()


def test_line_cut_short_by_a_crash_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 2.5}\n{"step": 2, "lo')
    assert read_metrics(path) == [{"step": 1, "loss": 2.5}]


def test_resuming_drops_what_will_be_written_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": step}) + "\n" for step in (5, 10, 15)) + '{"st')
    writer = JsonlWriter(path, last_step=10)
    writer.write(12, {})
    writer.close()
    assert [line["step"] for line in read_metrics(path)] == [5, 10, 12]


def test_tensorboard_files_hold_the_scalars(tmp_path):
    pytest.importorskip("tensorboardX")
    writer = TensorBoardWriter(tmp_path / "tensorboard", last_step=0)
    writer.write(3, {"loss/cartpole": 0.25})
    writer.close()
    (path,) = (tmp_path / "tensorboard").iterdir()
    assert b"loss/cartpole" in path.read_bytes()


def test_missing_tensorboard_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setattr(writers, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'gato-jax\[tensorboard\]'"):
        TensorBoardWriter(tmp_path, last_step=0)
