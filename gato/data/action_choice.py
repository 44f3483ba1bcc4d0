"""Which actions of a window take tokens, and which of them carry loss: departures from the paper, which takes all.

What an agent did is in its context when the next action is predicted, and repeating it is often a good guess in the
data and a bad habit when acting. So own actions may be left out, always or at random, and repeated ones taught less.

Source: of the habit, Causal Confusion in Imitation Learning (de Haan et al., 2019).
"""

import dataclasses

import numpy as np

from gato.config import TokenizerConfig
from gato.tokenizer.sequence import TokenSequence


def without_own_actions(
    sequence: TokenSequence, tokenizer: TokenizerConfig, rng: np.random.Generator | None
) -> TokenSequence:
    """Returns a window without the tokens of its actions, or without some of them, as `own_actions` says.

    Args:
        sequence: of one episode; its actions take one token each where any are to be left out.
        tokenizer: says which.
        rng: draws those that are dropped; None keeps them, as acting does.
    """
    if tokenizer.own_actions == "fed" or (rng is None and tokenizer.own_actions == "dropped"):
        return sequence
    kept = sequence.local_positions != tokenizer.action_position
    if rng is not None and tokenizer.own_actions == "dropped":
        kept |= rng.random(len(kept)) >= tokenizer.own_action_dropout
    return sequence.keep(kept)


def thin_repeats(
    sequence: TokenSequence, tokenizer: TokenizerConfig, share: float, rng: np.random.Generator
) -> TokenSequence:
    """Returns a window in which a share of the actions that repeat the one before carry loss; the others all do.

    Args:
        sequence: of one episode.
        tokenizer: that made it.
        share: in [0, 1]; the expected loss is that of all repeated actions, weighed by it.
        rng: draws which.
    """
    taught = np.repeat(rng.random(sequence.num_timesteps) < share, np.diff(sequence.starts)) | sequence.changed_mask
    if sequence.numbers is not None and tokenizer.has_action_groups:
        numbers = dataclasses.replace(sequence.numbers, action_mask=sequence.numbers.action_mask & taught)
        return dataclasses.replace(sequence, numbers=numbers)
    is_action = sequence.local_positions == tokenizer.action_position
    return dataclasses.replace(sequence, loss_mask=sequence.loss_mask & (taught | ~is_action))
