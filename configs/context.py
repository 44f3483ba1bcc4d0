"""One small network on all groups of the context suite, where only a demonstration tells what to do.

Source: ours; it departs from the paper where a comment says so.
Command: gato collect --family context --keep success --episodes 1000 --noise 0 0.1 --out data/context, then
gato train context --run runs/context
Cost: about half an hour on one core. Expected: docs/experiments.md; it is not trained to the end.
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

# The deciding part of a demonstration is its end, the last observation included. The paper prompts a quarter of the
# rows; where the observation does not tell the task, nearly all need a prompt.
_PROMPT_TOKENS, _CONTEXT_LENGTH = 68, 160
_PROMPT = PromptConfig(probability=0.9, end_share=1.0, max_tokens=_PROMPT_TOKENS, terminal_observation=True, loss=False)

# Shares of rows: a first guess of how hard each group is to learn, not tuned.
_WEIGHTS = {
    "dark-room": 1.0,
    "go-to-shown": 4.0,
    "cart-position": 1.5,
    "pendulum-mode": 2.0,
    "reacher-shown": 1.0,
    "fetch-reach-shown": 1.0,
    "point-maze-shown": 1.0,
    "metaworld-shown-table": 1.0,
    "metaworld-shown-wall": 1.0,
    "metaworld-shown-faucet": 0.7,
    "metaworld-shown-stick": 0.7,
    "remapped-moves": 2.0,
}


def get_config() -> RunConfig:
    """0.6M parameters."""
    sources = tuple(
        SourceConfig(name=name, kind="minari", path=f"data/context/{name}", weight=weight, prompt=_PROMPT)
        for name, weight in _WEIGHTS.items()
    )
    return RunConfig(
        name="context",
        tokenizer=TokenizerConfig(text_vocab_size=300, num_discrete=128),
        model=ModelConfig(
            width=96,
            num_layers=4,
            num_heads=3,
            head_dim=32,
            mlp_width=384,
            stochastic_depth=0.0,
            patch_stem="tiles",
            patch_channels=16,
            unit_rms_inputs=True,
            smooth_bins=True,
        ),
        data=DataConfig(
            sources=sources, batch_size=16, context_length=_CONTEXT_LENGTH, max_patches=1, row_loss_exponent=0.5
        ),
        optimizer=OptimizerConfig(
            peak_lr=3e-3, warmup_from=0.0, warmup_steps=100, decay_steps=9_900, final_fraction=0.05
        ),
        training=TrainingConfig(num_steps=10_000, log_every=100, evaluate_every=0, checkpoint_every=1_000),
        policy=PolicyConfig(
            context_length=_CONTEXT_LENGTH, prompt_tokens=_PROMPT_TOKENS, prompt_part="end", terminal_observation=True
        ),
        evaluation=EvaluationConfig(episodes=100, num_envs=20),
    )
