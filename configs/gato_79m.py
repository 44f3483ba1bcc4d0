"""Gato 79M: the smallest size of the paper (table 5), as published but for rotary positions.

Source: "A Generalist Agent" (Reed et al., 2022), table 5 and appendices C and D.
Command: gato train gato-79m --sources <your sources.json>
Cost: 524 billion tokens in the paper; one H200 at 40 % of its peak processes about 72 billion a day.
Expected: nothing is promised before it has been run; `gato info gato-79m` prints its sizes.
"""

from gato.config import RunConfig


def get_config() -> RunConfig:
    """The defaults of `RunConfig` are this run."""
    return RunConfig(name="gato-79m")
