import gzip
import io
import json
import shutil
import signal

import pytest
from rich.console import Console

from gato.config import RunConfig, TrainingConfig


def step_numbers(run_folder) -> list[list[int]]:
    """The annotated steps of each trace of a run, by the file that Perfetto opens."""
    found = []
    for path in sorted((run_folder / "profile").glob("plugins/profile/*/*.trace.json.gz")):
        assert path.with_name(path.name.replace(".trace.json.gz", ".xplane.pb")).stat().st_size  # for TensorBoard
        events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
        found.append(sorted(int(event["args"]["step_num"]) for event in events if event.get("name") == "train"))
    return found


def test_the_steps_asked_for_are_traced_and_no_others(toy, tmp_path):
    output = io.StringIO()
    toy.toy_train(tmp_path, toy.toy_config(profile_steps=(4, 6)), console=Console(file=output, width=200))
    assert step_numbers(tmp_path) == [[4, 5, 6]]
    assert f"written to {tmp_path / 'profile'}" in output.getvalue()


def test_nothing_is_traced_unless_asked_for(toy, tmp_path):
    toy.toy_train(tmp_path, toy.toy_config(num_steps=3))
    assert not (tmp_path / "profile").exists()


def test_a_stopped_run_completes_its_trace_and_a_resumed_one_traces_the_rest(toy, tmp_path):
    def stop(index):
        if index == 5:  # drawn when step 5 has been started
            signal.raise_signal(signal.SIGINT)

    config = toy.toy_config(num_steps=10, profile_steps=(3, 8))
    stopped = toy.toy_train(tmp_path, config, toy.ToyBatches(at_batch=stop))
    assert stopped.interrupted
    assert step_numbers(tmp_path) == [[3, 4, 5, 6]]
    shutil.rmtree(tmp_path / "profile")  # folders are named by the second, and these runs are fast
    plain = toy.toy_train(tmp_path / "plain", toy.toy_config(num_steps=10))
    resumed = toy.toy_train(tmp_path, config, resume=True)
    assert step_numbers(tmp_path) == [[7, 8]]
    assert (resumed.state.params["table"] == plain.state.params["table"]).all()


def test_a_run_that_fails_completes_its_trace(toy, tmp_path):
    def fail(index):
        if index == 5:
            raise OSError("torn file")

    with pytest.raises(OSError, match="torn file"):
        toy.toy_train(tmp_path, toy.toy_config(profile_steps=(4, 8)), toy.ToyBatches(at_batch=fail))
    assert step_numbers(tmp_path) == [[4, 5]]


@pytest.mark.parametrize("steps", [[5], [6, 5], [0, 5], [1, 2, 3]])
def test_a_range_of_steps_that_is_none_is_refused(steps):
    with pytest.raises(ValueError, match=r"profile_steps is .*, expected the first and the last step"):
        RunConfig().override([f"training.profile_steps={steps}"])


def test_the_range_survives_a_saved_config():
    config = RunConfig(training=TrainingConfig(profile_steps=(2, 3)))
    assert RunConfig.from_json(config.to_json()) == config
    assert RunConfig().override(["training.profile_steps=[2,3]"]).training.profile_steps == (2, 3)
