"""Gato 79M: the smallest size of the paper (table 5), as published but for rotary positions.

Source: "A Generalist Agent" (Reed et al., 2022), table 5 and appendices C and D.
Command: gato train gato-79m --sources <your sources.json>
Cost: 524 billion tokens in the paper; one H200 at 40 % of its peak would process about 72 billion per day
  (docs/scaling.md).
Expected: not trained here: nobody has measured this config. The paper's scaling curve (section 5) puts this size
  below 364M and 1.18B and gives no number.
"""

from gato.config import RunConfig


def get_config() -> RunConfig:
    """Returns the run, which is the defaults of `RunConfig`."""
    return RunConfig(name="gato-79m")
