"""Gato 364M: the middle size of the paper (table 5), as published but for rotary positions.

Source: "A Generalist Agent" (Reed et al., 2022), table 5 and appendices C and D.
Command: gato train gato-364m --sources <your sources.json>
Cost: 524 billion tokens in the paper; one H200 at 40 % of its peak would process about 16 billion per day
  (docs/scaling.md).
Expected: not trained here: nobody has measured this config. The paper's scaling curve (section 5) puts this size
  between 79M and 1.18B and gives no number.
"""

from gato.config import ModelConfig, OptimizerConfig, RunConfig


def get_config() -> RunConfig:
    """Returns the run; 364M parameters as the paper counts them."""
    return RunConfig(
        name="gato-364m",
        model=ModelConfig(width=1536, num_layers=12, num_heads=12, head_dim=128, mlp_width=6144, scan_layers=True),
        optimizer=OptimizerConfig(peak_lr=2e-4),
    )
