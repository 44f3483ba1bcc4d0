"""What saving costs a run: how long training stands still, how long the disk is busy, how long verifying takes.

python benchmarks/save_speed.py [--config configs/gato_79m.py] [--folder DIR] [--rounds 3]

Parameters and both moments of AdamW are saved as a run saves them. What stalls training is the copy of the arrays; the
writing, digests and renaming happen beside it. The share is that of one save every ten minutes.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import jax

from gato.checkpoint import CheckpointWriter, Retention, load_checkpoint, verify_checkpoint
from gato.experiments.run_configs import load_config
from gato.model.gato import init_parameters
from gato.training.optimizer import make_optimizer
from gato.training.step import init_state

INTERVAL_S = 600


def main() -> None:
    """Prints one line a round, and medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", default="gato-79m")
    parser.add_argument("--folder", type=Path, help="where to save; a temporary folder if not given")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    config = load_config(options.config)
    optimizer = make_optimizer(config.optimizer)
    state = jax.jit(lambda key: init_state(init_parameters(config.model, config.tokenizer, key), optimizer))(
        jax.random.key(0)
    )
    size_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    stalls, totals = [], []
    try:
        retention = Retention(last=1)
        with CheckpointWriter(folder, config, tokenizer_model=None, retention=retention) as writer:
            for step in range(1, options.rounds + 1):
                jax.block_until_ready(state)
                start_s = time.monotonic()
                writer.save(
                    step,
                    params=state.params,
                    train_state={"opt_state": state.opt_state, "step": state.step},
                    data_state={},
                )
                stalls.append(time.monotonic() - start_s)
                writer.wait()
                totals.append(time.monotonic() - start_s)
                print(f"save {step}: training stands still {stalls[-1]:.2f} s, complete after {totals[-1]:.2f} s")
        start_s = time.monotonic()
        verify_checkpoint(folder)
        verify_s = time.monotonic() - start_s
        start_s = time.monotonic()
        load_checkpoint(folder, train_state=True, verified=True)
        load_s = time.monotonic() - start_s
    finally:
        shutil.rmtree(folder)
    stall_s = statistics.median(stalls)
    gigabytes = size_bytes / 1e9
    print(
        f"{options.config} on {jax.devices()[0].device_kind}: {gigabytes:.2f} GB; stands still {stall_s:.2f} s "
        f"({stall_s / INTERVAL_S:.2%} of ten minutes), complete after {statistics.median(totals):.2f} s; "
        f"verifying {verify_s / gigabytes:.2f} s/GB, loading {load_s / gigabytes:.2f} s/GB"
    )


if __name__ == "__main__":
    main()
