"""`gato info`: what a run's network weighs, costs and remembers, beside the paper's."""

from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from gato.cli.configurations import load_config, shipped_configs
from gato.config import RunConfig
from gato.model.size import (
    PUBLISHED_TOTALS,
    cache_bytes,
    flops_per_patch,
    flops_per_token,
    memory_bytes,
    parameter_counts,
    relative_position_parameters,
)


def info(config: Annotated[str | None, tyro.conf.Positional] = None, set: tuple[str, ...] = ()) -> None:
    """States sizes, FLOPs and memory of a run. Example: gato info gato-364m

    Args:
        config: a shipped run, or a .py or .json file; without it the shipped runs are listed.
        set: settings by name, as in `--set model.width=256 data.batch_size=32`.
    """
    console = Console()
    if config is None:
        console.print("shipped runs: " + ", ".join(shipped_configs()))
        return
    run = load_config(config).override(set)
    for table in (_parameters(run), _cost(run), _memory(run)):
        console.print(table)
    console.print(_beside_the_paper(run), soft_wrap=True)


def _parameters(run: RunConfig) -> Table:
    counts = parameter_counts(run.model, run.tokenizer)
    table = _table(f"{run.name}: parameters")
    for part, count in counts.items():
        table.add_row(part, f"{count:,}")
    table.add_row("all", f"{sum(counts.values()):,}", style="bold")
    return table


def _cost(run: RunConfig) -> Table:
    length = run.data.context_length
    per_token = flops_per_token(run.model, run.tokenizer, length)
    table = _table("training FLOPs (forward and backward)")
    table.add_row(f"a token, at {length} elements a row, all of them targets", f"{per_token:,}")
    table.add_row("an image patch, besides", f"{flops_per_patch(run.model, run.tokenizer):,}")
    table.add_row(f"a step of {run.data.batch_size} rows of tokens", f"{per_token * run.data.batch_size * length:.3g}")
    return table


def _memory(run: RunConfig) -> Table:
    parts = memory_bytes(run.model, run.tokenizer, run.data.batch_size, run.data.context_length)
    table = _table(f"memory of a training step of {run.data.batch_size} rows on one device (estimate)")
    for part, size_bytes in parts.items():
        table.add_row(part, _gigabytes(size_bytes))
    table.add_row("all", _gigabytes(sum(parts.values())), style="bold")
    acting = cache_bytes(run.model, 1, run.policy.context_length)
    table.add_row(f"acting: cache of one environment, {run.policy.context_length} elements", _gigabytes(acting))
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


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.3f} GB" if size_bytes < 1e9 else f"{size_bytes / 1e9:.1f} GB"
