"""Gato 364M: the middle size of the paper (table 5), as published but for rotary positions.

Source: "A Generalist Agent" (Reed et al., 2022), table 5 and appendices C and D.
Command: gato train gato-364m --sources <your sources.json>
Cost: 524 billion tokens in the paper; one H200 at 40 % of its peak processes about 16 billion a day.
Expected: nothing is promised before it has been run; `gato info gato-364m` prints its sizes.
"""

from gato.config import ModelConfig, OptimizerConfig, RunConfig


def get_config() -> RunConfig:
    """364M parameters as the paper counts them."""
    return RunConfig(
        name="gato-364m",
        model=ModelConfig(width=1536, num_layers=12, num_heads=12, head_dim=128, mlp_width=6144, scan_layers=True),
        optimizer=OptimizerConfig(peak_lr=2e-4),
    )
