"""The first signal saves and ends a run, a second ends it at once, and a lost terminal harms nothing."""

import os
import signal

import pytest
import tyro

from gato.checkpoint import latest_checkpoint, list_checkpoints, load_checkpoint
from gato.cli.lasting_output import LastingOutput
from gato.cli.train import INTERRUPTED, STORAGE_FAILED, train
from gato.run_files import METRICS_FILE
from gato.training.loop import TrainResult
from gato.training.stop import StopRequest
from gato.training.writers import read_metrics

ENDLESS = "training.num_steps=100000"


def test_interrupted_run_has_an_exit_status_of_its_own(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("gato.cli.train.train_run", lambda *_, **__: TrainResult(state=None, interrupted=True))
    with pytest.raises(SystemExit) as caught:
        train(**tiny.arguments(tmp_path))
    assert caught.value.code == INTERRUPTED
    monkeypatch.setattr("gato.cli.train.train_run", lambda *_, **__: TrainResult(state=None, interrupted=False))
    train(**tiny.arguments(tmp_path))


def test_help_tells_the_exit_statuses(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        tyro.cli(train, args=["--help"])
    told = capsys.readouterr().out
    assert f"{INTERRUPTED} stopped by a signal and saved" in told
    assert f"{STORAGE_FAILED} a disk is full" in told


def test_closed_terminal_is_one_request_however_often_it_is_told(capfd):
    with StopRequest() as stop:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGHUP)
        assert stop.signal_name == "SIGHUP"
    assert "SIGHUP: ends after this step" in capfd.readouterr().err


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.signal_name is None
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_output_outlives_its_reader():
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        output = LastingOutput(stream)
        output.write("heard\n")
        output.flush()
        assert os.read(reader, 100) == b"heard\n"
        os.close(reader)
        for _ in range(3):
            output.write("unheard\n" * 10_000)
            output.flush()
        assert output.fileno() == writer


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_process_saves_and_ends_and_a_later_one_goes_on(tiny, start, tmp_path, number):
    run = tmp_path / "run"
    settings = [ENDLESS, "training.checkpoint_every=100000"]  # nothing is saved but by the signal
    child = start(tiny.arguments(run, set=settings))
    child.wait_for((run / METRICS_FILE).exists)
    child.wait_for(lambda: read_metrics(run / METRICS_FILE))
    child.process.send_signal(number)
    status, out, errors = child.end()
    assert status == INTERRUPTED
    assert f"{number.name}: ends after this step" in errors
    step = int(latest_checkpoint(run).name)
    assert f"{number.name}: saved step {step} in {run}; continue with --resume" in out
    assert read_metrics(run / METRICS_FILE)[-1]["step"] <= step
    train(**tiny.arguments(run, set=[f"training.num_steps={step + 3}"], resume=True))
    assert load_checkpoint(run).step == step + 3


@pytest.mark.slow
def test_second_signal_ends_the_process_and_the_last_checkpoint_is_good(tiny, start, tmp_path):
    run = tmp_path / "run"
    child = start(tiny.arguments(run, set=[ENDLESS]))
    child.wait_for(lambda: list_checkpoints(run))
    child.process.send_signal(signal.SIGINT)
    assert "SIGINT" in (child.process.stderr.readline() + child.process.stderr.readline())
    child.process.send_signal(signal.SIGTERM)
    assert child.end()[0] in (-signal.SIGTERM, INTERRUPTED)  # the step may have ended before it came
    load_checkpoint(run, train_state=True)


@pytest.mark.slow
def test_run_goes_on_when_nobody_reads_its_output(tiny, start, tmp_path):
    run = tmp_path / "run"
    child = start(tiny.arguments(run))
    child.process.stdout.readline()
    child.process.stdout.close()
    assert child.process.wait() == 0, child.process.stderr.read()
    assert load_checkpoint(run).step == 60
