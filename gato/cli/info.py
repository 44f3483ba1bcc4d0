"""`gato info`: size, cost and memory of a network beside the paper's, and a plan of its run on chips."""

from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from gato.cli.whole_table import print_whole
from gato.config import RunConfig
from gato.experiments.run_configs import load_config, shipped_configs
from gato.model.cost.chips import chip_named
from gato.model.cost.scale_plan import ScalePlan, scale_plan
from gato.model.cost.size import (
    PUBLISHED_TOTALS,
    cache_bytes,
    flops_per_action,
    flops_per_group,
    flops_per_patch,
    flops_per_token,
    memory_bytes,
    parameter_counts,
    relative_position_parameters,
)


def info(
    config: Annotated[str | None, tyro.conf.Positional] = None,
    set: tuple[str, ...] = (),
    chips: tuple[int, ...] = (),
    chip: str = "h100",
    mfu: float = 0.4,
    price: float | None = None,
) -> None:
    """States sizes, FLOPs and memory of a run. Example: gato info gato-364m

    With --chips also what the run would take on so many accelerators, by the formulas of docs/scaling.md.

    Args:
        config: a shipped run, a run folder, or a .py or .json file; without it the shipped runs are listed.
        set: settings by name, as in `--set model.width=256 data.batch_size=32`.
        chips: plan the run for each of these numbers of chips, as in `--chips 1 8 64`.
        chip: kind of chip that is planned for: h100, h200, a100, v4, v5e, v5p or v6e.
        mfu: utilisation of one chip that is planned with, as training reports it, in (0, 1].
        price: of one chip for an hour; a plan then states what the whole run costs.
    """
    console = Console()
    if config is None:
        console.print("shipped runs: " + ", ".join(shipped_configs()))
        return
    run = load_config(config).override(set)
    for table in (_parameters(run), _cost(run), _memory(run)):
        console.print(table)
    console.print(_beside_the_paper(run), soft_wrap=True)
    if chips:
        kind = chip_named(chip)
        plans = [scale_plan(run, kind, number, mfu) for number in chips]
        title = f"{run.name} on {kind.name}, {run.data.batch_size} rows per step, one chip at {mfu:.0%} MFU (on paper)"
        caption = f"{kind.source}; chip-hours and days: {run.training.num_steps:,} steps"
        print_whole(console, _plan_table([plan_row(run, plan, price) for plan in plans], title, caption))
        title = f"{run.name}: memory of one chip (estimate), GB"
        print_whole(console, _plan_table([memory_row(plan) for plan in plans], title))


def plan_row(run: RunConfig, plan: ScalePlan, price: float | None = None) -> dict[str, str]:
    """Returns one line of a plan by its headings, with the price of the run if chips have one.

    Chip-hours and days are those of all the run's steps.
    """
    tokens = run.training.num_steps * plan.tokens
    hours = plan.chip_hours(tokens)
    rows = run.data.batch_size // plan.num_chips
    cells = {
        "chips": f"{plan.num_chips}",
        "rows per chip": f"{rows}" if plan.accumulate == 1 else f"{plan.accumulate} x {rows // plan.accumulate}",
        "arithmetic, ms": f"{1e3 * plan.compute_s:,.1f}",
        "transfers, ms": f"{1e3 * plan.communication_s:,.1f}",
        "step, ms": f"{1e3 * plan.step_s:,.1f}",
        "MFU": f"{plan.utilization:.0%}",
        "tokens per day": _rounded(plan.tokens_per_day),
        "memory, GB": f"{sum(plan.memory_bytes.values()) / 1e9:.0f}" + ("" if plan.fits else ", too much"),
        "chip-hours": f"{hours:,.0f}",
        "days": f"{hours / 24 / plan.num_chips:.3g}",
    }
    return cells if price is None else {**cells, "price": f"{hours * price:,.0f}"}


def memory_row(plan: ScalePlan) -> dict[str, str]:
    """Returns one line of a plan's memory by its headings; GB on each chip."""
    memory = plan.memory_bytes
    parts = {
        "state": sum(memory.get(kind, 0) for kind in ("parameters", "gradients", "optimizer", "summed gradients")),
        "activations": memory["activations"] + memory["one layer"],
    }
    parts |= {kind: memory[kind] for kind in ("patch stem", "group stem") if kind in memory}
    together = sum(memory.values())
    parts |= {"logits and scores": together - sum(parts.values()), "all": together}
    return {"chips": f"{plan.num_chips}"} | {name: f"{part / 1e9:.1f}" for name, part in parts.items()}


def _plan_table(rows: list[dict[str, str]], title: str, caption: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", caption=caption, caption_justify="left")
    for heading in rows[0]:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*row.values())
    return table


def _parameters(run: RunConfig) -> Table:
    counts = parameter_counts(run.model, run.tokenizer)
    table = _table(f"{run.name}: parameters")
    for part, count in counts.items():
        table.add_row(part, f"{count:,}")
    table.add_row("all", f"{sum(counts.values()):,}", style="bold")
    return table


def _cost(run: RunConfig) -> Table:
    length = run.data.context_length
    tokenizer = run.tokenizer
    # Where an action is one token its numbers are the targets, and few of them are legal; other tokens are none.
    targets = "no text among the targets" if tokenizer.has_action_groups else "all of them targets"
    target_fraction = 0.0 if tokenizer.has_action_groups else 1.0
    per_token = flops_per_token(run.model, tokenizer, length, target_fraction=target_fraction)
    table = _table("training FLOPs (forward and backward)")
    table.add_row(f"per token, at {length} tokens per row, {targets}", f"{per_token:,}")
    table.add_row("per image patch, besides", f"{flops_per_patch(run.model, tokenizer):,}")
    per_step, step = per_token, "rows of tokens"
    if tokenizer.has_groups:
        per_group = flops_per_group(run.model, tokenizer)
        table.add_row(f"per token of {tokenizer.values_per_token} numbers, besides", f"{per_group:,}")
        per_step, step = per_token + per_group, "rows of such tokens"
    if tokenizer.has_action_groups:
        one, both = (flops_per_action(run.model, tokenizer, [tokenizer.num_bins] * count) for count in (1, 2))
        table.add_row(f"per action that is learned, one number of {tokenizer.num_bins:,} bins, besides", f"{one:,}")
        table.add_row("per further number of it, besides", f"{both - one:,}")
        step += ", without their actions"
    table.add_row(f"per step of {run.data.batch_size} {step}", f"{per_step * run.data.batch_size * length:.3g}")
    return table


def _memory(run: RunConfig) -> Table:
    parts = memory_bytes(
        run.model,
        run.tokenizer,
        run.data.batch_size,
        run.data.context_length,
        max_patches=run.data.max_patches,
        optimizer=run.optimizer,
    )
    table = _table(f"memory of a training step of {run.data.batch_size} rows on one device (estimate)")
    for part, size_bytes in parts.items():
        table.add_row(part, _gigabytes(size_bytes))
    table.add_row("all", _gigabytes(sum(parts.values())), style="bold")
    acting = cache_bytes(run.model, 1, run.policy.context_length)
    table.add_row(f"acting: cache of one environment, {run.policy.context_length} tokens", _gigabytes(acting))
    return table


def _beside_the_paper(run: RunConfig) -> str:
    published = PUBLISHED_TOTALS.get(run.model.width)
    if published is None:
        return "No size of the paper has this width."
    total = sum(parameter_counts(run.model, run.tokenizer).values())
    relative = relative_position_parameters(run.model)
    return (
        f"The paper calls this size {published / 1e6:.0f}M; here it has {total / 1e6:.1f}M parameters "
        f"({total / published - 1:+.1%}). The published totals imply Transformer-XL's relative positions, "
        f"{relative / 1e6:.1f}M parameters that rotary positions do without: with them it would be "
        f"{(total + relative) / 1e6:.1f}M ({(total + relative) / published - 1:+.1%})."
    )


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    return table


def _rounded(count: float) -> str:
    """Writes a large count in words."""
    for size, name in ((1e12, "trillion"), (1e9, "billion")):
        if count >= size:
            return f"{count / size:,.1f} {name}"
    return f"{count / 1e6:,.0f} million"


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.3f} GB" if size_bytes < 1e9 else f"{size_bytes / 1e9:.1f} GB"
