"""Gato 1.18B: the paper's main model (table 5), as published but for rotary positions.

Source: "A Generalist Agent" (Reed et al., 2022), table 5 and appendices C and D.
Command: gato train gato-1.2b --sources <your sources.json>
Cost: 524 billion tokens in the paper, four days on 256 TPU v3; one H200 at 40 % of its peak would process
  about 5 billion per day (docs/scaling.md).
Expected: not trained here: nobody has measured this config. The paper's model reached at least 50 % of the expert's
  score on more than 450 of 604 tasks (section 4), with the paper's own data.
"""

from gato.config import ModelConfig, RunConfig


def get_config() -> RunConfig:
    """Returns the run; 1.18B parameters as the paper counts them."""
    return RunConfig(
        name="gato-1.2b",
        model=ModelConfig(
            width=2048,
            num_layers=24,
            num_heads=16,
            head_dim=128,
            mlp_width=8192,
            scan_layers=True,
            compute_dtype="bfloat16",
        ),
    )
