"""What each ingredient of the recipe for small machines buys in play, at equal CPU time. One command, resumable.

    python benchmarks/recipe_scores.py --out runs/recipe --minutes 15 --seeds 0 1 2

Twelve tasks of six families, and two whose goal only a demonstration tells. The command records demonstrations, about
ten CPU-minutes; finds out how many steps of each arm take the given CPU-minutes on one core; trains every arm with
every seed; plays each task without a demonstration; and studies the two others under right, wrong and no
demonstrations. What a run has finished is not done again. The table, per task and with every arm's mean of clipped
normalised scores, is printed and written to `<out>/scores.md`.
"""

import argparse
import dataclasses
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from gato.config import (
    DataConfig,
    ModelConfig,
    OptimizerConfig,
    PolicyConfig,
    PromptConfig,
    RunConfig,
    SourceConfig,
    TokenizerConfig,
    TrainingConfig,
)

TASKS = {  # episodes recorded of each
    "pendulum": 100,
    "acrobot": 100,
    "lunar-lander": 100,
    "mujoco-reacher": 100,
    "babyai-go-to-local": 300,
    "babyai-open-door": 300,
    "minigrid-door-key-6x6": 300,
    "minigrid-lava-gap-s6": 300,
    "metaworld-drawer-close": 40,
    "metaworld-door-open": 40,
    "dm-control-point-mass-easy": 40,
    "dm-control-lqr-lqr-2-1": 40,
}
SHOWN_TASKS = {"dark-room": 200, "cart-position": 200}  # whose goal only a demonstration tells
ONE_THREAD = {
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "OMP_NUM_THREADS": "1",
}
RECORDINGS = {"plain": ["--noise", "0", "0.3", "--keep", "all"], "training": ["--noise", "0.1", "0.9", "--keep", "all"]}
_PROBE = 20, 100  # steps; their difference tells the CPU time of one
_ROUNDS = 3  # the first one compiles


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm:
    """One recipe."""

    layout: str = "hidden"  # "scalar" is the paper's; else what becomes of own actions in grouped timesteps
    recording: str = "training"
    optimizer: str = "muon"
    rows: int = 32  # of a step, where timesteps are grouped


ARMS = {
    "today": Arm(layout="scalar", recording="plain", optimizer="adamw"),
    "whole": Arm(),
    "whole, own actions fed": Arm(layout="fed"),
    "whole, own actions dropped": Arm(layout="dropped"),
    "whole, plain recordings": Arm(recording="plain"),
    "whole, AdamW": Arm(optimizer="adamw", rows=16),
    "today, training recordings": Arm(layout="scalar", optimizer="adamw"),
    "today, Muon": Arm(layout="scalar", recording="plain"),
}


def make_config(arm: Arm, folder: Path, *, steps: int, seed: int) -> RunConfig:
    """The run of an arm: 2M parameters, rows of 256 tokens in the paper's layout and of 64 in the other."""
    is_scalar = arm.layout == "scalar"
    length, rows = (256, 4) if is_scalar else (64, arm.rows)
    layout = (
        {} if is_scalar else {"values_per_token": 50, "separator": "mark", "action_tokens": "grouped", "num_bins": 256}
    )
    shown = PromptConfig(demonstrations=3, max_tokens=length * 3 // 4, terminal_observation=True)
    in_training = dataclasses.replace(shown, probability=1.0, end_share=1.0)

    def source(name: str, weight: float, prompt: PromptConfig) -> SourceConfig:
        holds_symbols = name.startswith(("babyai", "minigrid", "dark-room"))
        return SourceConfig(
            name=name,
            kind="minari",
            path=str((folder / arm.recording / name).resolve()),
            scaling="mu-law" if holds_symbols else "range",
            prompt=prompt,
            weight=weight,
        )

    return RunConfig(
        name="recipe",
        seed=seed,
        tokenizer=TokenizerConfig(
            text_vocab_size=460, num_discrete=64, own_actions="fed" if is_scalar else arm.layout, **layout
        ),
        model=ModelConfig(
            width=192,
            num_layers=4,
            num_heads=6,
            head_dim=32,
            mlp_width=768,
            stochastic_depth=0.0,
            patch_stem="tiles",
            patch_channels=16,
            unit_rms_inputs=True,
            smooth_bins=True,
        ),
        data=DataConfig(
            sources=(
                *(source(name, 1.0, PromptConfig(probability=0.0)) for name in TASKS),
                *(source(name, 0.5, in_training) for name in SHOWN_TASKS),
            ),
            batch_size=rows,
            context_length=length,
            max_patches=0,
            text_observation_loss=False,
            row_loss_exponent=0.5,
            pack_windows=not is_scalar,
        ),
        optimizer=OptimizerConfig(
            kind=arm.optimizer,
            peak_lr=2e-3,
            warmup_from=0.0,
            warmup_steps=100,
            decay_steps=max(steps - 100, 1),
            final_fraction=0.03,
        ),
        training=TrainingConfig(num_steps=steps, evaluate_every=0, checkpoint_every=500),
        policy=PolicyConfig(context_length=length, prompt=dataclasses.replace(shown, part="end")),
    )


def run(command: Sequence[str], log: Path, core: int) -> float:
    """Runs a command of `gato` on one core and returns its CPU-seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with log.open("a") as file:
        gato = [str(Path(sys.executable).with_name("gato")), *command]
        subprocess.run(
            ["taskset", "-c", str(core), *gato], check=True, env={**os.environ, **ONE_THREAD}, stdout=file, stderr=file
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def record(folder: Path, core: int) -> None:
    """Records what is missing; `gato collect` goes on where it stopped."""
    for name, options in RECORDINGS.items():
        for task, episodes in TASKS.items():
            common = ["--episodes", str(episodes), "--out", str(folder / name), "--num-workers", "1"]
            run(["collect", task, *common, *options], folder / "collect.log", core)
        for task, episodes in SHOWN_TASKS.items():
            common = ["--episodes", str(episodes), "--out", str(folder / name), "--num-workers", "1"]
            run(["collect", task, *common], folder / "collect.log", core)


def train(arm: Arm, folder: Path, run_folder: Path, *, steps: int, seed: int, core: int) -> float:
    """Trains, from the newest checkpoint if there is one, and returns the CPU-seconds of this call."""
    run_folder.mkdir(parents=True, exist_ok=True)
    config = run_folder.with_suffix(".json")
    make_config(arm, folder, steps=steps, seed=seed).save(config)
    how = "--resume" if (run_folder / "checkpoints").exists() else "--overwrite"
    return run(["train", str(config), "--run", str(run_folder), how], run_folder.with_suffix(".log"), core)


def step_costs(arms: Sequence[Arm], folder: Path, core: int) -> dict[Arm, float]:
    """Returns the CPU-seconds of a step of each arm; measured once, in turns, and kept.

    What else the machine does meanwhile changes the cost of a step by up to a half. So arms are only compared by costs
    that were measured side by side, and the cheapest of the rounds after the first counts.
    """
    kept = folder / "step_costs.json"
    known: dict[str, list[float]] = json.loads(kept.read_text()) if kept.exists() else {}
    kinds = {arm: str((arm.layout, arm.optimizer, arm.rows)) for arm in arms}  # what decides the cost
    if not known.keys() >= set(kinds.values()):
        known = {}
        for number in range(_ROUNDS):
            for arm in {kind: arm for arm, kind in kinds.items()}.values():
                spent = [
                    train(arm, folder, folder / f"probe-{steps}", steps=steps, seed=0, core=core) for steps in _PROBE
                ]
                if number > 0:
                    cost = (spent[1] - spent[0]) / (_PROBE[1] - _PROBE[0])
                    known.setdefault(kinds[arm], []).append(cost)
                for steps in _PROBE:
                    shutil.rmtree(folder / f"probe-{steps}")
        kept.write_text(json.dumps(known, indent=1))
    return {arm: min(known[kind]) for arm, kind in kinds.items()}


def play(run_folder: Path, episodes: int, core: int) -> None:
    """Plays what has not been played: the twelve tasks without a demonstration, and the study of the two others."""
    common = ["--num-envs", "10", "--videos", "0", "--overwrite"]
    parts = {
        "scores": ["--tasks", *TASKS, "--prompt", "none", "--episodes", str(episodes)],
        "study": ["--tasks", *SHOWN_TASKS, "--study", "--episodes", "50"],
    }
    for name, chosen in parts.items():
        out = run_folder / name
        if not (out / "scores.json").exists():
            log = run_folder.with_suffix(".log")
            run(["evaluate", str(run_folder), *chosen, *common, "--out", str(out)], log, core)


def run_folder_of(folder: Path, name: str, seed: int) -> Path:
    """Returns where a run of an arm lies."""
    return folder / f"{name.replace(', ', '-').replace(' ', '-')}-{seed}"


def finished(folder: Path, part: str) -> dict[str, list[list[dict[str, Any]]]]:
    """Returns what `gato evaluate` wrote of a part, by arm and seed: its records."""
    found: dict[str, list[list[dict[str, Any]]]] = {}
    for name in ARMS:
        for path in sorted(folder.glob(f"{run_folder_of(folder, name, 0).name[:-1]}[0-9]*/{part}/scores.json")):
            found.setdefault(name, []).append(json.loads(path.read_text())["records"])
    return found


def table(found: dict[str, list[list[dict[str, Any]]]]) -> str:
    """Means over seeds: a line per task, the last one the mean of clipped scores with its lowest and highest seed."""
    scores = {
        name: [{record["task"]: record["normalized"] for record in records} for records in seeds]
        for name, seeds in found.items()
    }
    lines = [f"| task | {' | '.join(scores)} |", f"|---|{'---|' * len(scores)}"]
    for task in TASKS:
        cells = [f"{mean(seed[task] for seed in seeds):.2f}" for seeds in scores.values()]
        lines.append(f"| {task} | {' | '.join(cells)} |")
    cells = []
    for seeds in scores.values():
        means = [mean(min(max(seed[task], 0.0), 1.0) for task in TASKS) for seed in seeds]
        cells.append(f"{mean(means):.3f} ({min(means):.3f} to {max(means):.3f}, {len(means)} seeds)")
    return "\n".join([*lines, f"| mean, clipped to 0 to 1 | {' | '.join(cells)} |"])


def study_table(found: dict[str, list[list[dict[str, Any]]]]) -> str:
    """Means over seeds: scores after a right and a wrong demonstration, and how often the wrong one was followed."""
    lines = [f"| right, wrong (followed when wrong) | {' | '.join(found)} |", f"|---|{'---|' * len(found)}"]
    for task in SHOWN_TASKS:
        for variants in ("trained", "held-out"):
            cells = []
            for seeds in found.values():
                by_prompt = {
                    prompt: [
                        record
                        for records in seeds
                        for record in records
                        if (record["task"], record["variants"], record["prompt"]) == (task, variants, prompt)
                    ]
                    for prompt in ("right", "wrong")
                }
                right, wrong = (mean(record["normalized"] for record in records) for records in by_prompt.values())
                followed = mean(record["followed"] for record in by_prompt["wrong"])
                cells.append(f"{right:.2f}, {wrong:.2f} ({followed:.0%})")
            lines.append(f"| {task}, {variants} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Does all that is missing, arm after arm of the first seed, then of the next."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15, help="CPU-minutes of training, compiling left out")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--episodes", type=int, default=20, help="of each task")
    parser.add_argument("--core", type=int, default=0, help="the core that all of it runs on")
    options = parser.parse_args()
    folder = options.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    record(folder, options.core)
    costs = step_costs(list(ARMS.values()), folder, options.core)
    for seed in options.seeds:
        for name in options.arms:
            arm = ARMS[name]
            steps = round(60 * options.minutes / costs[arm])
            run_folder = run_folder_of(folder, name, seed)
            if not (run_folder / "scores" / "scores.json").exists():
                spent = train(arm, folder, run_folder, steps=steps, seed=seed, core=options.core)
                print(
                    f"{run_folder.name}: {steps} steps, {spent:.0f} CPU-s with compiling", file=sys.stderr, flush=True
                )
            play(run_folder, options.episodes, options.core)
            tables = f"{table(finished(folder, 'scores'))}\n\n{study_table(finished(folder, 'study'))}\n"
            (folder / "scores.md").write_text(tables)
    print(tables)


if __name__ == "__main__":
    main()
