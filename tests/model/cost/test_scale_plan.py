import dataclasses

import pytest

from gato.config import DataConfig, ModelConfig, ParallelConfig, RunConfig, TokenizerConfig
from gato.model.cost.chips import Chip, chip_named
from gato.model.cost.scale_plan import USABLE_MEMORY, scale_plan, spread_s
from gato.model.cost.size import BatchCost, memory_bytes, parameter_counts, training_flops

CHIP = Chip(
    name="toy",
    device_kind="toy",
    peak_flops=1e12,
    memory_bytes=1e9,
    num_linked=4,
    link_bandwidth=100e6,
    network_bandwidth=10e6,
    source="invented",
)
RUN = RunConfig(
    tokenizer=TokenizerConfig(text_vocab_size=260, num_bins=2, num_discrete=2),
    model=ModelConfig(
        width=32, num_layers=2, num_heads=2, head_dim=16, mlp_width=64, patch_stem="tiles", loss_chunk=64
    ),
    data=DataConfig(batch_size=64, context_length=100, max_patches=0),
)
COUNTS = parameter_counts(RUN.model, RUN.tokenizer)
NUM_PARAMETERS = sum(COUNTS.values())
SUMMED_BYTES = 4 * (NUM_PARAMETERS + COUNTS["token table"])  # the table has a gradient of its head besides


def test_a_gather_by_hand():
    # 800 MB among 8 chips, 4 a machine: 600 MB over the links, then half of the 200 MB that each chip carries across.
    assert spread_s(800e6, 4, 4, CHIP) == pytest.approx(6.0)
    assert spread_s(800e6, 8, 4, CHIP) == pytest.approx(6.0 + 10.0)
    assert spread_s(800e6, 8, 1, CHIP) == pytest.approx(70.0)
    assert spread_s(800e6, 1, 1, CHIP) == 0


def test_one_chip_only_computes():
    plan = scale_plan(RUN, CHIP, 1, 0.25)
    cost = BatchCost(tokens=6400, attended=64 * 5000, targets=6400, patches=0)
    assert plan.compute_s == pytest.approx(training_flops(RUN.model, RUN.tokenizer, cost) / 0.25e12)
    assert plan.communication_s == 0
    assert plan.step_s == plan.compute_s
    assert plan.utilization == pytest.approx(0.25)
    assert plan.tokens_per_day == pytest.approx(6400 / plan.compute_s * 86_400)
    assert plan.chip_hours(plan.tokens_per_day) == pytest.approx(24)


def test_gradients_are_summed_once_a_step():
    plan = scale_plan(RUN, CHIP, 8, 0.25)
    assert plan.communication_s == pytest.approx(2 * (SUMMED_BYTES * 3 / 4 / 100e6 + SUMMED_BYTES / 4 / 2 / 10e6))
    assert plan.compute_s == pytest.approx(scale_plan(RUN, CHIP, 1, 0.25).compute_s / 8)
    assert plan.utilization < 0.25
    assert plan.chip_hours(1e9) > scale_plan(RUN, CHIP, 1, 0.25).chip_hours(1e9)


def test_split_parameters_are_gathered_twice_and_their_gradients_spread():
    run = dataclasses.replace(RUN, parallel=ParallelConfig(fsdp=4))
    near_s = (2 * 4 * NUM_PARAMETERS + SUMMED_BYTES) * 3 / 4 / 100e6
    assert scale_plan(run, CHIP, 4, 0.25).communication_s == pytest.approx(near_s)
    # The other machine holds the same parts: a chip sums its part with one chip there.
    across_s = 2 * SUMMED_BYTES / 4 / 2 / 10e6
    assert scale_plan(run, CHIP, 8, 0.25).communication_s == pytest.approx(near_s + across_s)


def test_splitting_divides_the_state_and_nothing_else():
    whole, split = (
        scale_plan(dataclasses.replace(RUN, parallel=ParallelConfig(fsdp=shards)), CHIP, 4, 0.5).memory_bytes
        for shards in (1, 4)
    )
    for kind in ("parameters", "gradients", "optimizer"):
        assert split[kind] == pytest.approx(whole[kind] / 4, abs=1)
    assert (
        split["activations"] == whole["activations"] == memory_bytes(RUN.model, RUN.tokenizer, 16, 100)["activations"]
    )


def test_a_batch_is_split_into_the_fewest_parts_that_fit():
    roomy = scale_plan(RUN, CHIP, 1, 0.5)
    assert (roomy.accumulate, roomy.fits) == (1, True)
    needed = sum(roomy.memory_bytes.values())
    tight = dataclasses.replace(CHIP, memory_bytes=needed / USABLE_MEMORY - 1)
    plan = scale_plan(RUN, tight, 1, 0.5)
    assert (plan.accumulate, plan.fits) == (2, True)
    assert plan.memory_bytes["summed gradients"] == 4 * NUM_PARAMETERS
    assert plan.memory_bytes["activations"] == roomy.memory_bytes["activations"] / 2
    hopeless = scale_plan(RUN, dataclasses.replace(CHIP, memory_bytes=1e5), 1, 0.5)
    assert (hopeless.accumulate, hopeless.fits) == (64, False)


@pytest.mark.parametrize(
    ("changes", "chips", "mfu", "message"),
    [
        ({}, 3, 0.4, "64 rows cannot be shared by 3 chips"),
        ({}, 0, 0.4, "cannot be shared by 0 chips"),
        ({}, 1, 40, r"mfu is 40, must lie in \(0, 1\]"),
        ({"parallel": ParallelConfig(fsdp=3)}, 4, 0.4, "cannot be arranged on 4 chips"),
        ({"parallel": ParallelConfig(data=2)}, 8, 0.4, "cannot be arranged on 8 chips"),
        ({"parallel": ParallelConfig(tensor=2)}, 4, 0.4, "knows data and fsdp only"),
    ],
)
def test_what_cannot_be_planned_is_refused(changes, chips, mfu, message):
    with pytest.raises(ValueError, match=message):
        scale_plan(dataclasses.replace(RUN, **changes), CHIP, chips, mfu)


def test_a_plan_does_not_leave_a_pod():
    run = dataclasses.replace(RUN, data=DataConfig(batch_size=512, context_length=100, max_patches=0))
    with pytest.raises(ValueError, match="512 chips are more than the 256 v5e that one pod joins"):
        scale_plan(run, chip_named("v5e"), 512, 0.4)


def test_fsdp_takes_all_chips_where_it_is_left_open():
    run = dataclasses.replace(RUN, parallel=ParallelConfig(data=1, fsdp=-1))
    four = dataclasses.replace(RUN, parallel=ParallelConfig(fsdp=4))
    assert scale_plan(run, CHIP, 4, 0.4) == scale_plan(four, CHIP, 4, 0.4)
