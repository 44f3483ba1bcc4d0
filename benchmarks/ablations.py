"""What each departure of the quickstart from the paper buys, at an equal and small budget.

Every variant undoes one departure and is trained from scratch on the quickstart's data with a schedule annealed at
`--steps`; then its held-out losses and the dark room under a right demonstration are measured.

    gato quickstart                                  # makes the data
    python benchmarks/ablations.py runs/quickstart --steps 600 --seeds 0
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path

from rich.console import Console

from gato.checkpoint import load_config
from gato.cli.scoring import study_task
from gato.cli.train import train_run
from gato.config import PromptConfig, RunConfig
from gato.envs import get_task
from gato.inference.agent import Agent
from gato.tokenizer.text import TextTokenizer
from gato.training.run_folder import METRICS_FILE
from gato.training.writers import read_metrics

VARIANTS: dict[str, list[str]] = {
    "quickstart": [],
    "random bin embeddings": ["model.smooth_bins=false"],
    "inputs not of unit RMS": ["model.unit_rms_inputs=false"],
    "pixels as in the paper": ["model.pixel_offset=127.5", "model.pixel_scale=510"],
    "every target weighs the same": ["data.row_loss_exponent=0"],
    "five pairs a row": ["data.pairs_per_row=5"],
    "questions carry loss": ["data.question_loss=true"],
    "residual patch stem": ["model.patch_stem=residual", "model.patch_channels=32"],
    "prompts as in the paper": [],  # see `variant`
}
SHOWN = ("pendulum", "lunar-lander", "go-to-local-pixels", "dark-room", "captions", "questions")


def variant(base: RunConfig, name: str, steps: int, seed: int) -> RunConfig:
    """The quickstart's config with one departure undone."""
    config = base.override(
        [
            *VARIANTS[name],
            f"seed={seed}",
            f"training.num_steps={steps}",
            f"optimizer.decay_steps={steps - base.optimizer.warmup_steps}",
            f"training.evaluate_every={steps}",
            "training.held_out_batches=100",
        ]
    )
    if name == "prompts as in the paper":
        paper = PromptConfig(max_tokens=128)
        sources = tuple(dataclasses.replace(source, prompt=paper) for source in config.data.sources)
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, sources=sources))
    return config


def measure(base: RunConfig, run: Path, name: str, text: TextTokenizer, steps: int, seed: int) -> dict:
    """Trains one variant; its held-out losses and what it does in the dark room."""
    config = variant(base, name, steps, seed)
    begun = time.process_time()
    train_run(config, run, text=text, overwrite=True, console=Console())
    cpu_seconds = time.process_time() - begun
    held_out = next(line for line in reversed(read_metrics(run / METRICS_FILE)) if "held_out/loss" in line)
    study = study_task(Agent.load(run), get_task("dark-room"), dataclasses.replace(config.evaluation, episodes=40))
    success = {f"{record.variants}, {record.prompt}": record.success for record in study.records}
    losses = {source: held_out[f"held_out/loss/{source}"] for source in SHOWN}
    return {"variant": name, "seed": seed, "steps": steps, "cpu_seconds": cpu_seconds, **losses, "dark_room": success}


def main() -> None:
    """Measures all variants, appending to a JSONL file; finished ones are skipped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quickstart", type=Path, help="run folder of a finished quickstart")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("runs/ablations"))
    arguments = parser.parse_args()
    results = arguments.out / "results.jsonl"
    arguments.out.mkdir(parents=True, exist_ok=True)
    done = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    base = load_config(arguments.quickstart)
    text = TextTokenizer.load(arguments.quickstart / "data" / "tokenizer.model")
    for seed in arguments.seeds:
        for name in VARIANTS:
            if any((row["variant"], row["seed"], row["steps"]) == (name, seed, arguments.steps) for row in done):
                continue
            row = measure(base, arguments.out / "run", name, text, arguments.steps, seed)
            with results.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(row, flush=True)


if __name__ == "__main__":
    main()
