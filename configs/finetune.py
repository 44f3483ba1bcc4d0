"""Few-shot fine-tuning as in the paper: Adam at a constant rate on subsets of a task's episodes.

Source: "A Generalist Agent" (Reed et al., 2022), section 5 and appendix E.
Command: gato finetune <checkpoint> finetune --sources <your sources.json>
Cost: a run of a subset is 10,000 steps of 64 rows; with six subsets and three cascades there are eighteen.
Expected: nothing is promised; what one task reached is told in docs/finetuning.md.
"""

from gato.config import DataConfig, EvaluationConfig, ModelConfig, OptimizerConfig, RunConfig, TrainingConfig


def get_config() -> RunConfig:
    """Of the model only dropout and stochastic depth count: all else of it is the checkpoint's."""
    return RunConfig(
        name="finetune",
        model=ModelConfig(dropout=0.1),
        data=DataConfig(batch_size=64),
        optimizer=OptimizerConfig(peak_lr=1e-5, warmup_steps=0, final_fraction=1.0, weight_decay=0.0),
        training=TrainingConfig(num_steps=10_000, evaluate_every=100, checkpoint_every=1_000, keep_checkpoints=1),
        evaluation=EvaluationConfig(episodes=10),
    )
