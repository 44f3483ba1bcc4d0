"""A loss that jumps is told once it stands out, and nothing else is."""

import io

import pytest
from rich.console import Console

from gato.training.spikes import SpikeWatch


@pytest.fixture
def said():
    return []


def test_spike_is_told_with_its_size(said):
    watch = SpikeWatch(said.append)
    for step, loss in enumerate([2.0, 1.8, 1.6, 1.5, 1.4, 1.5, 3.3, 1.4], start=1):
        watch.write(step, {"loss": loss})
    (message,) = said
    assert message.startswith("loss spike at step 7: 3.3000, 2.1 times the median 1.5500 of the last 6 lines")


def test_noise_first_lines_and_other_lines_are_no_spikes(said):
    watch = SpikeWatch(said.append)
    for step, loss in enumerate([0.1, 5.0, 0.1, 0.1], start=1):  # too few to compare with
        watch.write(step, {"loss": loss})
    for step in range(5, 30):
        watch.write(step, {"loss": 0.15 if step % 2 else 0.1})
        watch.write(step, {"held_out/loss": 9.0})
    assert said == []


def test_resumed_run_remembers_what_the_loss_was(said):
    earlier = [{"step": step, "loss": 1.0} for step in range(5)] + [{"step": 5, "held_out/loss": 1.0}]
    SpikeWatch(said.append, earlier).write(6, {"loss": 2.5})
    assert "2.5 times the median 1.0000 of the last 5 lines" in said[0]


def test_new_level_is_a_spike_only_until_it_is_the_median(said):
    watch = SpikeWatch(said.append)
    for step in range(60):
        watch.write(step, {"loss": 1.0 if step < 20 else 4.0})
    assert 5 <= len(said) <= 11  # half a window


def test_loss_spike_is_told_by_the_run(toy, tmp_path):
    class Turned(toy.ToyBatches):
        def __next__(self):
            batch = super().__next__()
            if self.index == 51:
                batch.tokens[:] = batch.tokens[:, ::-1]
            return batch

    output = io.StringIO()
    config = toy.toy_config(num_steps=60, log_every=1, checkpoint_every=60)
    toy.toy_train(tmp_path, config, Turned(), console=Console(file=output))
    assert "loss spike at step 51" in output.getvalue()
