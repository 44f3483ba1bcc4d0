"""One network for the whole catalogue: every task that a local expert plays and that is not held out, and language.

Source: ours; it departs from the paper where a comment says so. Why it is as it is: docs/experiments.md.
Command:
    gato generalist collect
    gato data prepare generalist --out data/generalist/prepared
    gato train generalist --sources data/generalist/prepared/sources.json \
        --tokenizer data/generalist/prepared/tokenizer.model --run runs/generalist --resume
    gato evaluate runs/generalist --prompt none --episodes 20 --out runs/generalist/evaluation
    gato export runs/generalist checkpoints/generalist --dtype bfloat16 --license apache-2.0 \
        --scores runs/generalist/evaluation/scores.json
Cost: about 80 minutes of one core for the data, 8 for preparing them; the training may be stopped at any time (Ctrl-C,
  SIGTERM) and goes on by the same command.
"""

from gato.config import (
    DataConfig,
    EvaluationConfig,
    ModelConfig,
    OptimizerConfig,
    PolicyConfig,
    PromptConfig,
    RunConfig,
    SourceConfig,
    TokenizerConfig,
    TrainingConfig,
)
from gato.envs import Task, all_tasks

DATA = "data/generalist"  # demonstrations/<task>, and the files of language, from where the command is given
PIXEL_TASKS = (  # the same episodes are seen as images too
    "babyai-go-to-red-ball-grey-pixels",
    "babyai-go-to-local-pixels",
    "babyai-open-door-pixels",
    "minigrid-lava-gap-s6-pixels",
)
_LANGUAGE = {"captions": ("captions", "captions.zip", 4.0), "questions": ("questions", "questions.zip", 6.0)} | {
    "dialogues": ("dialogue", "dialogues.jsonl", 6.0),
    "text": ("text", "text.jsonl", 2.0),
}

# Rows per task, relative to one another. Grids teach each other; arms, and bodies that must be balanced, share little
# with the rest and need more rows of their own.
_FAMILY_WEIGHTS = {
    "classic_control": 1.0,
    "toy_text": 0.7,
    "box2d": 2.0,
    "mujoco": 1.5,
    "dm_control": 1.5,
    "robotics": 1.2,
    "metaworld": 1.2,
    "babyai": 1.2,
    "minigrid": 0.8,
    "sokoban": 2.0,
    "context": 2.0,
}
_TASK_WEIGHTS = {"cartpole": 0.3, "mountain-car": 0.5, "mountain-car-continuous": 0.5, "acrobot": 0.5}
_BODIES = {  # by how the names of tasks with equal spaces begin
    "metaworld-": "metaworld",
    "fetch-push": "fetch-with-object",
    "fetch-pick-and-place": "fetch-with-object",
    "fetch-reach": "fetch",
    "point-maze-": "point-maze",
    "dm-control-point-mass": "point-mass",
    "dm-control-reacher": "reacher",
    "dm-control-finger": "finger",
    "dm-control-cartpole": "dm-control-cartpole",
}
_SYMBOLIC_FAMILIES = ("babyai", "minigrid", "sokoban", "toy_text")  # without continuous numbers
_SYMBOLIC_TASKS = ("dark-room", "go-to-shown", "remapped-moves")
_LEFT_OUT = ("car-racing",)  # its images of 96 x 96 would take a third of a row per timestep

_CONTEXT_LENGTH = 128
_PROMPT = PromptConfig(probability=0.1, end_share=0.5, max_tokens=48, terminal_observation=True)
# Where the observation does not tell the task, demonstrations are shown always, and to their end.
_CONTEXT_PROMPT = PromptConfig(
    probability=1.0, end_share=1.0, max_tokens=64, demonstrations=3, terminal_observation=True
)


def trained_tasks() -> list[Task]:
    """Returns the tasks of the mixture: those with an expert, without the ones held out."""
    return [
        task for task in all_tasks() if task.make_expert and "held-out" not in task.tags and task.name not in _LEFT_OUT
    ]


def _body(name: str, family: str) -> str:
    """Returns what a task shares its scale with: others that move the same body, among them those held out."""
    if family == "context":  # their observations leave something out
        return ""
    return next((body for prefix, body in _BODIES.items() if name.startswith(prefix)), "")


def _source(name: str, family: str) -> SourceConfig:
    holds_symbols = family in _SYMBOLIC_FAMILIES or name in _SYMBOLIC_TASKS
    return SourceConfig(
        name=name,
        kind="minari",
        path=f"{DATA}/demonstrations/{name}",
        weight=_TASK_WEIGHTS.get(name, _FAMILY_WEIGHTS[family]),
        prompt=_CONTEXT_PROMPT if family == "context" else _PROMPT,
        # Departure: the expert's answer is learned at every timestep, also where a random action was executed; where
        # demonstrations tell the task, they show what was done.
        learned_actions="executed" if family == "context" else "expert",
        # Departure: numbers are mapped linearly from what is seen. The paper's rule leaves few bins for small numbers.
        scaling="mu-law" if holds_symbols else "range",
        scaled_with=_body(name, family),
    )


def get_config() -> RunConfig:
    """Returns the run; 2.7M parameters."""
    control = (
        *(_source(task.name, task.family) for task in trained_tasks()),
        *(_source(name, name.partition("-")[0]) for name in PIXEL_TASKS),
    )
    language = (
        SourceConfig(name=name, kind=kind, path=f"{DATA}/{file}", weight=weight)
        for name, (kind, file, weight) in _LANGUAGE.items()
    )
    return RunConfig(
        name="generalist",
        # Departure: timesteps of one to a few tokens, see docs/data.md.
        tokenizer=TokenizerConfig(
            text_vocab_size=2000,
            num_bins=512,
            num_discrete=512,
            values_per_token=50,
            pieces_per_token=16,
            separator="mark",
            action_tokens="grouped",
            own_actions="hidden",
        ),
        model=ModelConfig(
            width=192,
            num_layers=4,
            num_heads=6,
            head_dim=32,
            mlp_width=768,
            stochastic_depth=0.0,
            patch_stem="tiles",
            patch_channels=64,
            pixel_offset=90.5,  # mean and deviation of the grids' pixels
            pixel_scale=41.3,
            unit_rms_inputs=True,
            smooth_bins=True,
        ),
        data=DataConfig(
            sources=(*control, *language),
            batch_size=16,
            context_length=_CONTEXT_LENGTH,
            max_patches=64,
            pairs_per_row=4,
            isolate_pairs=True,
            pack_windows=True,
            window_lengths="log-uniform",
            text_observation_loss=False,
            question_loss=False,
            row_loss_exponent=0.5,
        ),
        optimizer=OptimizerConfig(
            kind="muon", peak_lr=2e-3, warmup_from=0.0, warmup_steps=100, decay_steps=5_900, final_fraction=0.03
        ),
        training=TrainingConfig(num_steps=6_000, log_every=50, evaluate_every=0, checkpoint_every=250),
        policy=PolicyConfig(
            context_length=_CONTEXT_LENGTH,
            prompt=PromptConfig(max_tokens=64, demonstrations=3, part="end", terminal_observation=True),
        ),
        evaluation=EvaluationConfig(episodes=20, num_envs=20),
    )
