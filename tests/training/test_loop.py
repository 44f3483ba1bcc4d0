import dataclasses
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from rich.console import Console

from gato.checkpoint import DamagedCheckpointError, latest_checkpoint, list_checkpoints, load_checkpoint
from gato.config import ModelConfig, RunConfig, TokenizerConfig
from gato.model.gato import init_parameters
from gato.training.held_out import HeldOutLoss
from gato.training.step import model_loss
from gato.training.writers import read_metrics


def same_to_the_bit(left, right):
    left, right = jax.device_get((left, right))
    return jax.tree.structure(left) == jax.tree.structure(right) and all(
        np.array_equal(a, b) and a.dtype == b.dtype
        for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    )


def timeless(path: Path) -> list[dict]:
    """The metrics of a run without its speed."""
    return [{name: line[name] for name in line if name != "tokens_per_second"} for line in read_metrics(path)]


def send(number: int, at: int):
    """A callback that sends this process a signal when batch `at` is drawn."""
    return lambda index: os.kill(os.getpid(), number) if index == at else None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_interrupted_and_resumed_run_equals_an_unbroken_one_to_the_bit(toy, tmp_path, number):
    unbroken = toy.toy_train(tmp_path / "unbroken", toy.toy_config())
    first = toy.toy_train(tmp_path / "broken", toy.toy_config(), toy.ToyBatches(at_batch=send(number, 9)))
    assert first.interrupted
    stopped_at = int(first.state.step)
    assert 9 <= stopped_at <= 11
    assert stopped_at % 3, "stops inside a log interval, whose sums must survive"
    assert latest_checkpoint(tmp_path / "broken").name == f"{stopped_at:08d}"

    second = toy.toy_train(tmp_path / "broken", toy.toy_config(), resume=True)
    assert not second.interrupted
    assert int(second.state.step) == int(unbroken.state.step) == 20
    assert same_to_the_bit(second.state, unbroken.state)
    assert timeless(tmp_path / "broken" / "metrics.jsonl") == timeless(tmp_path / "unbroken" / "metrics.jsonl")
    saved = [load_checkpoint(tmp_path / name, train_state=True) for name in ("broken", "unbroken")]
    assert same_to_the_bit(saved[0].params, saved[1].params)
    assert same_to_the_bit(saved[0].train_state, saved[1].train_state)
    assert saved[0].data_state == saved[1].data_state == {"index": 20}


def test_killed_process_loses_at_most_one_checkpoint_interval(toy, tmp_path):
    script = Path(toy.__file__)
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    process = subprocess.Popen([sys.executable, str(script), str(tmp_path / "run"), "1000", "0.02"], env=environment)
    deadline = time.monotonic() + 60
    while len(list_checkpoints(tmp_path / "run")) < 2 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL

    killed_at = load_checkpoint(tmp_path / "run").step
    assert killed_at % 5 == 0
    config = toy.toy_config(num_steps=killed_at + 7)
    resumed = toy.toy_train(tmp_path / "run", config, resume=True)
    unbroken = toy.toy_train(tmp_path / "unbroken", config)
    assert same_to_the_bit(resumed.state, unbroken.state)
    assert timeless(tmp_path / "run" / "metrics.jsonl") == timeless(tmp_path / "unbroken" / "metrics.jsonl")


def test_metrics_lines_have_the_promised_names(toy, tmp_path):
    toy.toy_train(tmp_path, toy.toy_config(num_steps=6))
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines] == [3, 6]
    expected = {"step", "loss", "loss_action", "learning_rate", "grad_norm", "skipped", "tokens_per_second"}
    expected |= {f"{kind}/{source}" for kind in ("loss", "accuracy") for source in toy.SOURCES}
    assert set(lines[0]) == expected
    assert lines[0]["learning_rate"] == pytest.approx(0.1)  # third update, after two of warm-up


def test_training_learns_the_toy_problem(toy, tmp_path):
    toy.toy_train(tmp_path, toy.toy_config(num_steps=60, checkpoint_every=60))
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert lines[0]["loss"] > 1.5
    assert lines[-1]["loss"] < 0.2
    assert lines[-1]["accuracy/first"] == lines[-1]["accuracy/second"] == 1


def test_bad_batches_are_skipped_counted_and_survived(toy, tmp_path):
    result = toy.toy_train(tmp_path, toy.toy_config(num_steps=9), toy.ToyBatches(poisoned=frozenset({3, 4})))
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line["skipped"] for line in lines] == [0, 2, 2]
    assert all(np.isfinite(line["loss"]) for line in lines)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result.state.params))


def test_too_many_bad_batches_in_a_row_end_the_run_and_keep_the_last_good_checkpoint(toy, tmp_path):
    batches = toy.ToyBatches(poisoned=frozenset(range(6, 100)))
    with pytest.raises(FloatingPointError, match=r"in a row .*00000005.*lower optimizer.peak_lr"):
        toy.toy_train(tmp_path, toy.toy_config(num_steps=100), batches)
    assert batches.index < 15
    assert [folder.name for folder in list_checkpoints(tmp_path)] == ["00000005"]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(load_checkpoint(tmp_path).params))


def test_the_best_step_of_a_metric_is_saved_and_kept(toy, tmp_path):
    values = {2: 3.0, 4: 1.0, 6: 2.0, 8: 0.5, 10: 4.0, 12: 5.0}

    def evaluator(params, step):
        return {"held_out/loss": values[step]}

    config = toy.toy_config(
        num_steps=12, evaluate_every=2, checkpoint_every=100, keep_checkpoints=1, keep_best="held_out/loss"
    )
    toy.toy_train(tmp_path / "lowest", config, evaluators=[evaluator])
    assert [int(folder.name) for folder in list_checkpoints(tmp_path / "lowest")] == [8, 12]

    training = dataclasses.replace(config.training, best_is="highest", num_steps=4)
    config = dataclasses.replace(config, training=training)
    toy.toy_train(tmp_path / "highest", config, evaluators=[evaluator])
    assert [int(folder.name) for folder in list_checkpoints(tmp_path / "highest")] == [2, 4]
    longer = dataclasses.replace(config, training=dataclasses.replace(training, num_steps=10))
    toy.toy_train(tmp_path / "highest", longer, evaluators=[evaluator], resume=True)
    assert [int(folder.name) for folder in list_checkpoints(tmp_path / "highest")] == [10], "3.0 is beaten by 4.0"


def test_a_metric_that_no_evaluation_gives_is_refused(toy, tmp_path):
    config = toy.toy_config(num_steps=2, evaluate_every=1, keep_best="held_out/lost")
    with pytest.raises(ValueError, match=r"keep_best is 'held_out/lost', but evaluations gave \['held_out/loss'\]"):
        toy.toy_train(tmp_path, config, evaluators=[lambda params, step: {"held_out/loss": 1.0}])
    with pytest.raises(ValueError, match="evaluate_every is 0"):
        toy.toy_config(keep_best="held_out/loss")


def test_folder_with_checkpoints_is_refused(toy, tmp_path):
    toy.toy_train(tmp_path, toy.toy_config(num_steps=5))
    with pytest.raises(FileExistsError, match=r"up to step 5.*--resume.*--overwrite"):
        toy.toy_train(tmp_path, toy.toy_config(num_steps=5))
    with pytest.raises(ValueError, match="choose one"):
        toy.toy_train(tmp_path, toy.toy_config(num_steps=5), resume=True, overwrite=True)


def test_missing_tensorboard_is_found_before_anything_is_overwritten(toy, tmp_path, monkeypatch):
    toy.toy_train(tmp_path, toy.toy_config(num_steps=5))
    monkeypatch.setattr("gato.training.writers.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="TensorBoard output needs tensorboardX"):
        toy.toy_train(tmp_path, toy.toy_config(num_steps=5), overwrite=True, tensorboard=True)
    assert latest_checkpoint(tmp_path) is not None


def test_overwrite_starts_from_nothing(toy, tmp_path):
    toy.toy_train(tmp_path, toy.toy_config(num_steps=10))
    toy.toy_train(tmp_path, toy.toy_config(num_steps=5), overwrite=True)
    assert [folder.name for folder in list_checkpoints(tmp_path)] == ["00000005"]
    assert [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")] == [3, 5]


def test_resuming_a_run_that_never_saved_starts_it(toy, tmp_path):
    assert int(toy.toy_train(tmp_path, toy.toy_config(num_steps=3), resume=True).state.step) == 3


def test_resuming_a_finished_run_does_nothing(toy, tmp_path):
    done = toy.toy_train(tmp_path, toy.toy_config(num_steps=5))
    again = toy.toy_train(tmp_path, toy.toy_config(num_steps=5), resume=True)
    assert same_to_the_bit(done.state, again.state)


def test_finished_run_can_be_made_longer(toy, tmp_path):
    toy.toy_train(tmp_path / "extended", toy.toy_config(num_steps=6))
    extended = toy.toy_train(tmp_path / "extended", toy.toy_config(num_steps=12), resume=True)
    assert same_to_the_bit(extended.state, toy.toy_train(tmp_path / "whole", toy.toy_config(num_steps=12)).state)


def test_damaged_newest_checkpoint_is_set_aside_and_the_one_before_is_used(toy, tmp_path):
    whole = toy.toy_train(tmp_path / "whole", toy.toy_config(num_steps=12))
    toy.toy_train(tmp_path / "run", toy.toy_config(num_steps=10))
    newest = latest_checkpoint(tmp_path / "run")
    path = max((newest / "params").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else -1)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    output = io.StringIO()
    config = toy.toy_config(num_steps=12)
    resumed = toy.toy_train(tmp_path / "run", config, resume=True, console=Console(file=output))
    assert f"{path} was altered" in output.getvalue()
    assert "resuming" in output.getvalue()
    assert "after step 5" in output.getvalue()
    assert newest.with_name("00000010.damaged").is_dir()
    assert same_to_the_bit(resumed.state, whole.state)


def test_run_without_any_good_checkpoint_is_an_error(toy, tmp_path):
    toy.toy_train(tmp_path, toy.toy_config(num_steps=5))
    (latest_checkpoint(tmp_path) / "data_state.json").write_text("{}")
    with pytest.raises(DamagedCheckpointError, match=r"no checkpoint .* is good: .*data_state.json"):
        toy.toy_train(tmp_path, toy.toy_config(num_steps=5), resume=True)


def test_resumed_run_may_not_change_what_it_computes(toy, tmp_path):
    config = toy.toy_config(num_steps=5)
    toy.toy_train(tmp_path, config)
    changed = dataclasses.replace(config, optimizer=dataclasses.replace(config.optimizer, b2=0.99), seed=3)
    with pytest.raises(ValueError, match=r"optimizer.b2 \(saved 0.95, given 0.99\), seed \(saved 0, given 3\)"):
        toy.toy_train(tmp_path, changed, resume=True)


def test_parameters_of_another_shape_are_refused_by_name(toy, tmp_path, monkeypatch):
    toy.toy_train(tmp_path, toy.toy_config(num_steps=5))
    monkeypatch.setattr(toy, "toy_params", lambda: {"table": np.zeros((3, 3), np.float32), "bias": np.zeros(3)})
    with pytest.raises(ValueError, match=r"scale is not expected; bias is missing.*table is float32\[8, 8\], expected"):
        toy.toy_train(tmp_path, toy.toy_config(num_steps=6), resume=True)


def test_another_text_tokenizer_is_refused(toy, tmp_path):
    toy.toy_train(tmp_path, toy.toy_config(num_steps=5), tokenizer_model=b"one")
    assert load_checkpoint(tmp_path).tokenizer_model == b"one"
    with pytest.raises(ValueError, match="text tokenizer is not the one in the checkpoint"):
        toy.toy_train(tmp_path, toy.toy_config(num_steps=6), resume=True, tokenizer_model=b"two")


def test_data_that_ends_is_an_error(toy, tmp_path):
    def end(index):
        if index == 4:
            raise StopIteration

    with pytest.raises(ValueError, match="ended after 4 steps"):
        toy.toy_train(tmp_path, toy.toy_config(), toy.ToyBatches(at_batch=end))


def test_next_batch_is_drawn_before_a_step_is_waited_for(toy, tmp_path):
    """The checkpoint's data position must not count the batch that was drawn ahead."""
    batches = toy.ToyBatches()
    toy.toy_train(tmp_path, toy.toy_config(num_steps=10), batches)
    assert batches.index == 10
    first, second = list_checkpoints(tmp_path)
    assert load_checkpoint(first, train_state=True).data_state == {"index": 5}
    assert load_checkpoint(second, train_state=True).data_state == {"index": 10}


def test_evaluators_see_the_parameters_of_their_step(toy, tmp_path):
    seen = {}

    def evaluator(params, step):
        seen[step] = float(params["table"].sum())
        return {"score": float(step)}

    held_out = HeldOutLoss(toy.toy_loss, toy.ToyBatches, 2, toy.SOURCES)
    config = toy.toy_config(num_steps=8, evaluate_every=3, checkpoint_every=3, keep_checkpoints=5)
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, keep_checkpoints=5))
    toy.toy_train(tmp_path, config, evaluators=[evaluator, held_out])
    assert list(seen) == [3, 6, 8]
    assert seen[6] == float(load_checkpoint(list_checkpoints(tmp_path)[1]).params["table"].sum())
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines if "score" in line] == [3, 6, 8]
    losses = [line["held_out/loss"] for line in lines if "held_out/loss" in line]
    assert len(losses) == 3
    assert losses == sorted(losses, reverse=True)


def test_output_that_is_no_terminal_gets_plain_lines(toy, tmp_path):
    output = io.StringIO()
    toy.toy_train(tmp_path, toy.toy_config(num_steps=6), console=Console(file=output))
    where, *lines = output.getvalue().splitlines()
    assert where == "data 1 x fsdp 1 x tensor 1 on 1 cpu device(s) of 1 process(es); float32, attention xla"
    assert [line.split()[:2] for line in lines] == [["step", "3/6"], ["step", "6/6"]]
    assert all("loss" in line and "tokens/s" in line and "0:00:00 left" in line for line in lines)


def test_terminal_gets_a_bar(toy, tmp_path):
    output = io.StringIO()
    toy.toy_train(tmp_path, toy.toy_config(num_steps=6), console=Console(file=output, force_terminal=True, width=120))
    assert "6/6" in output.getvalue()
    assert "tokens/s" in output.getvalue()


def test_model_trains_saves_and_resumes_to_the_bit(toy, tmp_path):
    """The real network through the loop, under its transfer guard."""
    tokenizer = TokenizerConfig(text_vocab_size=260, num_bins=8, num_discrete=8, local_position_size=4)
    model = ModelConfig(width=16, num_layers=1, num_heads=2, head_dim=8, mlp_width=32, patch_channels=4, patch_groups=2)
    base = toy.toy_config(num_steps=8, log_every=4, checkpoint_every=4)
    config = RunConfig(tokenizer=tokenizer, model=model, optimizer=base.optimizer, training=base.training)

    def run(folder, config, **options):
        shapes = jax.eval_shape(lambda key: init_parameters(model, tokenizer, key), jax.random.key(0))
        rng = np.random.default_rng(0)  # spares compiling the initialisers
        params = jax.tree.map(lambda leaf: 0.1 * rng.normal(size=leaf.shape).astype(leaf.dtype), shapes)
        loss_function = model_loss(model, tokenizer, len(toy.SOURCES))
        return toy.train(
            config,
            run_folder=folder,
            params=params,
            loss_function=loss_function,
            batches=toy.ToyBatches(),
            key=jax.random.key(1),
            console=Console(file=io.StringIO()),
            **options,
        )

    whole = run(tmp_path / "whole", config)
    short = dataclasses.replace(config, training=dataclasses.replace(config.training, num_steps=4))
    run(tmp_path / "parts", short)
    parts = run(tmp_path / "parts", config, resume=True)
    assert same_to_the_bit(whole.state, parts.state)
    lines = read_metrics(tmp_path / "whole" / "metrics.jsonl")
    assert lines[-1]["loss"] < lines[0]["loss"]
