"""The generalist in a size for one GPU: the same tasks, data and way of reading them, 29 times the parameters.

Source: `configs/generalist.py`.
Command: as there, with the data that are prepared for it
    gato train generalist-gpu --sources data/generalist/prepared/sources.json \\
        --tokenizer data/generalist/prepared/tokenizer.model --run runs/generalist-gpu --resume
Cost: not measured yet; see benchmarks/GPU.md.
"""

import dataclasses

from gato.config import RunConfig
from gato.configs import generalist


def get_config() -> RunConfig:
    """Returns the run; 76M parameters."""
    run = generalist.get_config()
    return dataclasses.replace(
        run,
        name="generalist-gpu",
        model=dataclasses.replace(
            run.model,
            width=768,
            num_layers=12,
            num_heads=24,
            mlp_width=3072,
            compute_dtype="bfloat16",
            scan_layers=True,
        ),
        # Rows of short timesteps are short, and a GPU wants many of them: 32,768 tokens per step.
        data=dataclasses.replace(run.data, batch_size=256),
        optimizer=dataclasses.replace(run.optimizer, peak_lr=1e-3, warmup_steps=500, decay_steps=39_500),
        training=dataclasses.replace(run.training, num_steps=40_000, checkpoint_every=1_000),
    )
