"""The measurements for a borrowed accelerator: what their rehearsal cannot show without minutes of compiling."""

import dataclasses
import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from gato.config import TokenizerConfig
from gato.data.action_choice import without_own_actions
from gato.tokenizer.spaces import TimestepTokenizer
from gato.training.throughput import batch_cost

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def gpu_first(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("gpu_first")


@pytest.mark.parametrize("tiny", [False, True])
def test_parts_begin_with_the_most_valuable_and_have_names_of_their_own(gpu_first: ModuleType, tiny: bool) -> None:
    names = [part.name for part in gpu_first.parts(tiny)]
    assert names[0] == "limits"
    assert [name.split()[0] for name in names[1:7]] == ["train"] * 3 + ["act"] * 2 + ["overlap"]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("content", ["control", "grouped"])
def test_hand_made_timesteps_are_those_of_the_tokenizer(gpu_first: ModuleType, content: Any) -> None:
    sweep = gpu_first.gpu_sweep
    config: TokenizerConfig = sweep.Cell(size="tiny", rows=1, content=content).tokenizer
    observations = spaces.Box(-np.inf, np.inf, (sweep.OBSERVED,), np.float32)
    actions = spaces.Box(-1, 1, (sweep.ACTED,), np.float32)
    rng = np.random.default_rng(0)
    values = rng.uniform(-1, 1, (5, sweep.OBSERVED + sweep.ACTED)).astype(np.float32)
    encoded = TimestepTokenizer(observations, actions, config).encode_episode(
        values[:, : sweep.OBSERVED], values[:, sweep.OBSERVED :]
    )
    expected = without_own_actions(encoded, config, None).arrays()
    made = sweep.random_episode(config, 5).arrays()
    assert made.keys() == expected.keys()
    for name, array in made.items():
        assert array.shape == expected[name].shape, name
        if name in ("local_positions", "loss_mask", "action_mask", "action_ranges", "starts"):
            np.testing.assert_array_equal(array, expected[name], name)


def test_rows_of_short_timesteps_hold_more_of_them(gpu_first: ModuleType) -> None:
    sweep = gpu_first.gpu_sweep
    cell = sweep.Cell(size="tiny", rows=2, length=100, content="control")
    grouped = dataclasses.replace(cell, content="grouped")
    batches = [sweep.synthetic_batch(each) for each in (cell, grouped)]
    separators = [int((batch.local_positions == cell.tokenizer.separator_position).sum()) for batch in batches]
    assert separators == [2 * 4, 2 * 100]
    assert batch_cost(batches[1], cell.tokenizer.padding_id).numbers == 2 * 100 * sweep.ACTED


def test_actions_go_on_when_the_context_is_full(gpu_first: ModuleType) -> None:
    cell = gpu_first.Cell(size="tiny", rows=1, length=64, content="control", attention="xla")
    model = dataclasses.replace(gpu_first.gpu_sweep.model_config(cell), width=16, num_layers=1, mlp_width=16)
    call = gpu_first.acting_call(model, cell.tokenizer, 2, cell.length)
    bins = cell.tokenizer.continuous_ids
    for _ in range(8):  # two fit
        actions = call()
        assert actions.shape == (2, gpu_first.ACTED)
        assert ((actions >= bins.start) & (actions < bins.stop)).all()


def test_a_part_falls_back_to_the_attention_that_runs(gpu_first: ModuleType) -> None:
    def measure(cell: Any) -> dict[str, Any]:
        if cell.attention == "cudnn":
            raise RuntimeError("no kernel")
        return {"step_s": 1.0}

    result = gpu_first.with_any_attention(measure, gpu_first.Cell(size="tiny", rows=1))
    assert result == {"attention": "xla", "failed": "RuntimeError: no kernel", "step_s": 1.0}
