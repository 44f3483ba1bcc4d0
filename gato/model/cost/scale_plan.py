"""Plans a run on so many chips: time, memory and traffic of a step, on paper.

docs/scaling.md has the formulas and what they leave out. Nothing here was measured but the utilisation that the caller
gives, which is meant to be that of one chip, as training reports it.
"""

import math
from dataclasses import dataclass

import jax.numpy as jnp

from gato.config import RunConfig
from gato.model.cost.chips import Chip
from gato.model.cost.size import BatchCost, memory_bytes, model_flops_utilization, parameter_counts, training_flops

USABLE_MEMORY = 0.9  # fraction of a chip's memory that a plan fills: the rest is the runtime's and the estimate's error

_FLOAT32_BYTES = 4
_STATE = ("parameters", "gradients", "optimizer", "summed gradients")  # what FSDP splits


@dataclass(frozen=True, kw_only=True)
class ScalePlan:
    """A step of a run on so many chips."""

    num_chips: int
    accumulate: int  # parts of a step's batch, one after another: the fewest that fit, all of them if none does
    fits: bool  # whether a part fits into the usable memory
    memory_bytes: dict[str, int]  # of one chip, by kind
    compute_s: float  # arithmetic alone, at the given utilisation
    communication_s: float  # transfers alone
    tokens: int  # of a step's batch
    flops: int  # of a step's batch
    peak_flops: float  # of one chip

    @property
    def step_s(self) -> float:
        """Seconds per step if no transfer overlaps with arithmetic: the careful figure."""
        return self.compute_s + self.communication_s

    @property
    def utilization(self) -> float:
        """MFU of all chips at that step time."""
        return model_flops_utilization(self.flops, self.step_s, self.num_chips * self.peak_flops)

    @property
    def tokens_per_day(self) -> float:
        return self.tokens / self.step_s * 86_400

    def chip_hours(self, num_tokens: float) -> float:
        """Returns the hours of all chips together that training on so many tokens takes."""
        return num_tokens / self.tokens_per_day * 24 * self.num_chips


def scale_plan(config: RunConfig, chip: Chip, num_chips: int, utilization: float) -> ScalePlan:
    """Plans a run whose rows are full and whose tokens are all targets, and hold as many numbers as they may.

    Args:
        config: gives the sizes, the batch of all chips together, and with `parallel.fsdp` how many chips split the
            parameters and the optimizer's state.
        utilization: MFU of one chip, in (0, 1].

    Raises:
        ValueError: the chips cannot be arranged so, cannot share the rows, or are more than the links join.
    """
    shards = _num_shards(config, num_chips)
    rows, length = config.data.batch_size, config.data.context_length
    if not 0 < utilization <= 1:
        raise ValueError(f"mfu is {utilization}, must lie in (0, 1]: 0.4 means 40 % of the peak")
    if num_chips < 1 or rows % num_chips:
        raise ValueError(f"{rows} rows cannot be shared by {num_chips} chips: set data.batch_size to a multiple of it")
    if num_chips > chip.num_linked and chip.network_bandwidth is None:
        raise ValueError(f"{num_chips} chips are more than the {chip.num_linked} {chip.name} that one pod joins")

    rows_a_chip = rows // num_chips
    divisors = [parts for parts in range(1, rows_a_chip + 1) if rows_a_chip % parts == 0]
    usable = USABLE_MEMORY * chip.memory_bytes
    memories = {parts: _memory(config, rows_a_chip, parts, shards) for parts in divisors}
    fitting = [parts for parts, memory in memories.items() if sum(memory.values()) <= usable]
    accumulate = min(fitting, default=rows_a_chip)

    grouped = rows * length * config.tokenizer.has_groups
    cost = BatchCost(
        tokens=rows * length,
        attended=rows * length**2 / 2,
        targets=rows * length,
        patches=0,
        grouped=grouped,
        values=grouped * config.tokenizer.values_per_token,
    )
    flops = training_flops(config.model, config.tokenizer, cost)
    return ScalePlan(
        num_chips=num_chips,
        accumulate=accumulate,
        fits=bool(fitting),
        memory_bytes=memories[accumulate],
        compute_s=flops / (num_chips * chip.peak_flops * utilization),
        communication_s=_communication_s(config, chip, num_chips, shards, accumulate),
        tokens=rows * length,
        flops=flops,
        peak_flops=chip.peak_flops,
    )


def spread_s(size_bytes: float, num_chips: int, num_near: int, chip: Chip) -> float:
    """Returns the seconds to gather an array that chips hold in equal parts, or to sum it up into such parts.

    V (k - 1) / k / link + (V / k) (m - 1) / m / network, for V bytes, k chips near each other and m such groups. Every
    chip sends as fast as it can, and the near ones share what comes from afar.

    Args:
        num_near: of these chips, how many the links join.

    Source: bounds of Patarasuk and Yuan (2009), "Bandwidth optimal all-reduce algorithms", one level after another.
    """
    num_groups = num_chips // num_near
    seconds = size_bytes * (num_near - 1) / num_near / chip.link_bandwidth
    if num_groups > 1:
        assert chip.network_bandwidth is not None  # refused by `scale_plan`
        seconds += size_bytes / num_near * (num_groups - 1) / num_groups / chip.network_bandwidth
    return seconds


def _communication_s(config: RunConfig, chip: Chip, num_chips: int, shards: int, accumulate: int) -> float:
    """Sums the time of a step's transfers.

    Gradients are summed over all chips; split parameters are gathered twice per part, and gradients spread out.

    The token table has two gradients, of the look-up and of the head, and the compiler sums each over the chips.
    """
    counts = parameter_counts(config.model, config.tokenizer)
    total = sum(counts.values())
    gradient_bytes = (total + counts["token table"]) * _FLOAT32_BYTES
    gathered_bytes = total * jnp.dtype(config.model.compute_dtype).itemsize
    linked, replicas = min(num_chips, chip.num_linked), num_chips // shards
    near_shards = math.gcd(shards, linked)
    near_replicas = math.gcd(replicas, linked // near_shards)

    seconds = 2 * spread_s(gradient_bytes / shards, replicas, near_replicas, chip)
    if shards > 1:
        gather_s = spread_s(gathered_bytes, shards, near_shards, chip)
        seconds += accumulate * (2 * gather_s + spread_s(gradient_bytes, shards, near_shards, chip))
    return seconds


def _memory(config: RunConfig, rows_a_chip: int, parts: int, shards: int) -> dict[str, int]:
    model, tokenizer, data = config.model, config.tokenizer, config.data
    memory = memory_bytes(
        model,
        tokenizer,
        rows_a_chip // parts,
        data.context_length,
        max_patches=data.max_patches,
        optimizer=config.optimizer,
    )
    if parts > 1:
        memory["summed gradients"] = memory["gradients"]
    return {kind: size // shards if kind in _STATE else size for kind, size in memory.items()}


def _num_shards(config: RunConfig, num_chips: int) -> int:
    parallel = config.parallel
    if parallel.tensor != 1:
        raise ValueError(f"parallel.tensor is {parallel.tensor}: a plan knows data and fsdp only, set it to 1")
    shards = parallel.fsdp
    if shards == -1:
        shards = num_chips // max(parallel.data, 1)
    if num_chips % shards or parallel.data not in (-1, num_chips // shards):
        raise ValueError(
            f"parallel.data {parallel.data} x parallel.fsdp {parallel.fsdp} cannot be arranged on {num_chips} chips: "
            "leave data at -1 and choose an fsdp that divides the chips"
        )
    return shards
