"""Batch: the one record that passes from numpy to JAX."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows of tokens, padded on the right.

    Arrays are numpy when the data side makes them and `jax.Array` inside the model, hence `Any`.
    B rows of L tokens, at most P of them image patches.
    """

    tokens: Any  # (B, L) int32; the padding id where the token is a patch and after the row's end
    local_positions: Any  # (B, L) int32; index within the timestep's observation, or one of the config's marks
    loss_mask: Any  # (B, L) bool; True where the token itself is a target (predicted from those before it)
    # (B, L) bool; True at tokens of an action that differs from the previous timestep's; where an action is one token,
    # at the token that predicts it.
    changed_mask: Any
    row_weights: Any  # (B,) float32; multiplies the loss of each target in the row
    source_ids: Any  # (B,) int32; which dataset the row comes from
    lengths: Any  # (B,) int32; tokens before padding
    patches: Any  # (B, P, patch, patch, 3) uint8
    patch_indices: Any  # (B, P) int32; the token that each patch stands at; L where there is none
    patch_intervals: Any  # (B, P, 4) int32; quantised row low, row high, column low, column high
    visible_from: Any = None  # (B, L) int32; index of the first token that each one sees; None = all of the past
    # With several numbers per token (None without), J at most: the ids they would have as tokens, or the padding id.
    values: Any = None  # (B, L, J) int32; the numbers of each token
    # With actions of one token (None with others):
    action_values: Any = None  # (B, L, J) int32; the numbers of the action that each token predicts
    action_mask: Any = None  # (B, L) bool; True where the action that a token predicts carries loss
    action_ranges: Any = None  # (B, J, 2) int32; legal ids [low, high) of each number of the row's actions

    @property
    def num_targets(self) -> Any:
        """Counts the targets of each row, (B,): tokens that carry loss, and each number of an action of one token."""
        counts = self.loss_mask[:, 1:].sum(axis=1)  # nothing stands before the first token
        if self.action_mask is None:
            return counts
        return counts + self.action_mask.sum(axis=1) * (self.action_ranges[..., 1] > 0).sum(axis=1)
