"""What goes wrong while data are read ends the run with its own words, and not with a hang."""

import dataclasses
import io
import threading

import pytest
from rich.console import Console

from gato.checkpoint import list_checkpoints, load_checkpoint
from gato.config import RunConfig
from gato.data.mixture import build_mixture
from gato.data.rows import TextRows
from gato.tokenizer.text import TextTokenizer
from gato.training.run_folder import open_run


@pytest.fixture
def mixture(tiny):
    """The batches of the tiny run, four rows each."""
    config = RunConfig.load(tiny.folder / "config.json")
    text = TextTokenizer.load(tiny.folder / "tokenizer.model")
    return build_mixture(config.data, config.tokenizer, text, seed=0)


def test_error_in_the_reading_thread_comes_out_and_the_place_is_that_of_the_last_good_batch(mixture, monkeypatch):
    read, threads = TextRows.__getitem__, set()

    def break_down(rows, index):
        threads.add(threading.current_thread().name)
        if index >= 12:
            raise RuntimeError("the reader broke down")
        return read(rows, index)

    monkeypatch.setattr(TextRows, "__getitem__", break_down)
    for _ in range(3):
        next(mixture)
    state = mixture.get_state()
    with pytest.raises(RuntimeError, match="the reader broke down"):
        next(mixture)
    assert mixture.get_state() == state
    assert threading.main_thread().name not in threads


def test_run_whose_data_fail_keeps_its_checkpoints_and_goes_on(toy, tmp_path):
    def fail(index):
        if index == 13:
            raise RuntimeError("batch 13 cannot be read")

    run = tmp_path / "run"
    with pytest.raises(RuntimeError, match="batch 13 cannot be read"):
        toy.toy_train(run, toy.toy_config(), toy.ToyBatches(at_batch=fail))
    assert int(list_checkpoints(run)[-1].name) >= 10
    toy.toy_train(run, toy.toy_config(), resume=True)
    toy.toy_train(tmp_path / "unbroken", toy.toy_config())
    one, other = (load_checkpoint(folder).params["table"] for folder in (run, tmp_path / "unbroken"))
    assert one.tobytes() == other.tobytes()


def test_run_that_a_bad_record_stopped_may_go_on_without_it(tiny, toy, tmp_path):
    config = RunConfig.load(tiny.folder / "config.json")
    toy.toy_train(tmp_path, dataclasses.replace(config, training=toy.toy_config(num_steps=5).training))
    (source,) = config.data.sources
    skipping = dataclasses.replace(source, bad_records="skip", path="moved")
    resumed = dataclasses.replace(config, data=dataclasses.replace(config.data, sources=(skipping,)))
    assert open_run(tmp_path, resumed, resume=True, overwrite=False, report=print) is not None
    other = dataclasses.replace(source, held_out=0.5, options={"path": "elsewhere"})
    changed = dataclasses.replace(config, data=dataclasses.replace(config.data, sources=(other,)))
    with pytest.raises(ValueError, match=r"data\.sources\.0\.held_out .*, data\.sources\.0\.options"):
        open_run(tmp_path, changed, resume=True, overwrite=False, report=print)


def test_step_under_way_is_saved_when_the_data_fail(toy, tmp_path):
    def fail(index):
        if index == 13:
            raise RuntimeError("batch 13 cannot be read")

    output = io.StringIO()
    run = tmp_path / "run"
    with pytest.raises(RuntimeError, match="batch 13 cannot be read"):
        toy.toy_train(run, toy.toy_config(), toy.ToyBatches(at_batch=fail), console=Console(file=output))
    assert f"the data failed: saved step 13 in {run}" in output.getvalue()
    assert load_checkpoint(run, train_state=True).data_state == {"index": 13}
    toy.toy_train(run, toy.toy_config(), resume=True)
    toy.toy_train(tmp_path / "unbroken", toy.toy_config())
    one, other = (load_checkpoint(folder).params["table"] for folder in (run, tmp_path / "unbroken"))
    assert one.tobytes() == other.tobytes()
