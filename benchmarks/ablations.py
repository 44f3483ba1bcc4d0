"""What each departure of the quickstart from the paper buys, at an equal and small budget.

Every variant undoes one departure and is trained from scratch, with a schedule annealed at its last step, either on the
quickstart's control sources or on its pictures: each alone shows in hundreds of steps what the whole mixture shows in
thousands. Control variants are measured by held-out loss and in the dark room, picture variants by exact matches.

    gato quickstart                                  # makes the data
    python benchmarks/ablations.py runs/quickstart --seeds 0 1
"""

import argparse
import dataclasses
import json
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from gato.config import PromptConfig, RunConfig
from gato.envs import get_task
from gato.evaluation.language_scores import LanguageTrial
from gato.experiments.quickstart import CONTEXT_TASK, language_trials, with_data_folder
from gato.experiments.run_configs import load_config
from gato.experiments.scoring import ablate_prompts
from gato.experiments.training import train_run
from gato.inference.agent import Agent
from gato.run_files import METRICS_FILE, TOKENIZER_FILE
from gato.tokenizer.text import TextTokenizer
from gato.training.writers import read_metrics

PROMPTS = "prompts as in the paper"  # which settings alone cannot express: see `variant`
BOTH = {
    "quickstart": (),
    "inputs not of unit RMS": ("model.unit_rms_inputs=false",),
    "stochastic depth 0.1": ("model.stochastic_depth=0.1",),
    "pixels as in the paper": ("model.pixel_offset=127.5", "model.pixel_scale=510"),
    "every target weighs the same": ("data.row_loss_exponent=0",),
}
CONTROL: dict[str, tuple[str, ...]] = {
    **BOTH,
    "random bin embeddings": ("model.smooth_bins=false",),
    PROMPTS: (),
}
PICTURES: dict[str, tuple[str, ...]] = {
    **BOTH,
    "joined pairs see each other": ("data.isolate_pairs=false",),
    "five pairs a row": ("data.pairs_per_row=5",),
    "questions carry loss": ("data.question_loss=true",),
    "residual patch stem": ("model.patch_stem=residual", "model.patch_channels=32"),
}
SHOWN = ("pendulum", "lunar-lander", "babyai-go-to-local-pixels", "dark-room")


@dataclass(frozen=True, kw_only=True)
class Group:
    """Variants that are trained on the same kinds of sources."""

    kinds: tuple[str, ...]
    variants: dict[str, tuple[str, ...]]


GROUPS = {
    "pictures": Group(kinds=("captions", "questions"), variants=PICTURES),
    "control": Group(kinds=("minari",), variants=CONTROL),
}


def variant(base: RunConfig, group: Group, name: str, steps: int, seed: int) -> RunConfig:
    """The quickstart's config on one kind of sources, with one departure undone."""
    config = base.override(
        [
            *group.variants[name],
            f"seed={seed}",
            f"training.num_steps={steps}",
            f"optimizer.decay_steps={steps - base.optimizer.warmup_steps}",
            f"training.evaluate_every={steps}",
            "training.held_out_batches=100",
        ]
    )
    sources = [source for source in config.data.sources if source.kind in group.kinds]
    if name == PROMPTS:
        sources = [dataclasses.replace(source, prompt=PromptConfig(max_tokens=128)) for source in sources]
    return dataclasses.replace(config, data=dataclasses.replace(config.data, sources=tuple(sources)))


def control_measures(agent: Agent, config: RunConfig, run: Path) -> dict[str, float | None]:
    """Held-out losses, and success in the dark room by goals (trained or held out) and demonstration."""
    held_out = next(line for line in reversed(read_metrics(run / METRICS_FILE)) if "held_out/loss" in line)
    ablation = ablate_prompts(agent, get_task(CONTEXT_TASK), dataclasses.replace(config.evaluation, episodes=40))
    losses = {f"{source} loss": held_out[f"held_out/loss/{source}"] for source in SHOWN}
    successes = {f"{record.variants}, {record.prompt}": record.success for record in ablation.records}
    return {**losses, **successes}


def picture_measures(agent: Agent, data: Path) -> dict[str, float]:
    """Shares of exact matches on unseen pictures."""

    def share(trials: list[LanguageTrial]) -> float:
        return sum(trial.correct for trial in trials) / len(trials)

    trials = language_trials(agent, data)
    captions = [trial for trial in trials if trial.example.question is None]
    return {"captions": share(captions), "answers": share([trial for trial in trials if trial.example.question])}


def main() -> None:
    """Measures all variants, appending to a JSONL file; finished ones are skipped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quickstart", type=Path, help="run folder of a finished quickstart")
    parser.add_argument("--groups", choices=GROUPS, nargs="+", default=list(GROUPS))
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("runs/ablations"))
    arguments = parser.parse_args()
    data = arguments.quickstart / "data"
    text = TextTokenizer.load(data / TOKENIZER_FILE)
    base = with_data_folder(load_config("quickstart"), data)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for group_name in arguments.groups:
        results = arguments.out / f"{group_name}.jsonl"
        done = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
        run = arguments.out / group_name
        for seed in arguments.seeds:
            for name in GROUPS[group_name].variants:
                cell = {"variant": name, "seed": seed, "steps": arguments.steps}
                if any(row.items() >= cell.items() for row in done):
                    continue
                config = variant(base, GROUPS[group_name], name, arguments.steps, seed)
                begun = time.process_time()
                train_run(config, run, text=text, overwrite=True, console=Console())
                cpu_seconds = round(time.process_time() - begun)
                agent = Agent.load(run)
                control = group_name == "control"
                measures = control_measures(agent, config, run) if control else picture_measures(agent, data)
                row = {**cell, "cpu_seconds": cpu_seconds, **measures}
                with results.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(row, flush=True)


if __name__ == "__main__":
    main()
