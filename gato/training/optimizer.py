"""AdamW with linear warm-up, cosine decay and gradient clipping (Gato, appendix D), of all parameters or of a part.

By option matrices are moved by Muon instead: see `gato.training.muon`.
"""

import optax

from gato.config import OptimizerConfig
from gato.model.gato import matrix_mask
from gato.training.low_rank import low_rank
from gato.training.muon import muon
from gato.training.trainable import is_fully_trained, restrict


def make_schedule(config: OptimizerConfig) -> optax.Schedule:
    """Returns the learning rate by number of updates: linear to the peak, a cosine to the final rate, then constant."""
    warmup = optax.linear_schedule(config.warmup_from, config.peak_lr, max(config.warmup_steps, 1))
    decay = optax.cosine_decay_schedule(config.peak_lr, config.decay_steps, config.final_fraction)
    return optax.join_schedules([warmup, decay], [config.warmup_steps])


def make_optimizer(config: OptimizerConfig, seed: int = 0) -> optax.GradientTransformation:
    """Builds the optimizer of a nested dict of parameters.

    Weight decay reaches matrices, convolutions and embedding tables (the token table is also the output matrix), not
    norm gains and biases; where matrices are trained by low-rank products, it reaches the factors instead.

    Args:
        config: also says which parameters are trained.
        seed: of the first factors, where matrices are trained by low-rank products.
    """
    adapted = config.lora_rank > 0
    adam = optax.scale_by_adam(b1=config.b1, b2=config.b2, eps=config.eps)
    optimizer = optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        # The structure of optax.adamw, which the checkpoints hold.
        optax.chain(
            muon(config, rest=adam) if config.kind == "muon" else adam,
            optax.add_decayed_weights(config.weight_decay, None if adapted else matrix_mask),
            optax.scale_by_learning_rate(make_schedule(config)),
        ),
    )
    if adapted:
        optimizer = low_rank(optimizer, rank=config.lora_rank, alpha=config.lora_alpha, seed=seed)
    return optimizer if is_fully_trained(config) else restrict(optimizer, config)
