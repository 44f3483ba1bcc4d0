"""Few-shot fine-tuning as in the paper: Adam at a constant rate on subsets of a task's episodes.

Source: "A Generalist Agent" (Reed et al., 2022), section 5 and appendix E.
Command: gato finetune <checkpoint> finetune --sources <your sources.json>
Cost: 10,000 steps of 64 rows per subset; six subsets and three cascades make eighteen runs.
Expected: nobody has run this protocol in full here, and the paper shows its results as curves (section 5), without a
  table. What one task reached with fewer steps is in docs/finetuning.md.
"""

from gato.config import DataConfig, EvaluationConfig, ModelConfig, OptimizerConfig, RunConfig, TrainingConfig


def get_config() -> RunConfig:
    """Returns the run. Of the model only dropout and stochastic depth count: the rest comes from the checkpoint."""
    return RunConfig(
        name="finetune",
        model=ModelConfig(dropout=0.1),
        data=DataConfig(batch_size=64),
        optimizer=OptimizerConfig(peak_lr=1e-5, warmup_steps=0, final_fraction=1.0, weight_decay=0.0),
        training=TrainingConfig(num_steps=10_000, evaluate_every=100, checkpoint_every=1_000, keep_checkpoints=1),
        evaluation=EvaluationConfig(episodes=10),
    )
