"""How well data that training never saw are predicted: loss, accuracy and bits per byte by source and modality."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from gato.batch import Batch
from gato.config import TokenizerConfig
from gato.evaluation.language_scores import LanguageScore
from gato.tokenizer.text import TextTokenizer


@dataclass(frozen=True, kw_only=True)
class HeldOutScore:
    """The targets of one modality in the held-out rows of one source."""

    loss_nats: float  # mean of the targets
    accuracy: float  # share of targets whose most likely id over the whole vocabulary is right
    targets: int
    rows: int  # that they stand in
    accuracy_changed: float | None = None  # the same of actions that differ from the one before; None without any
    bits_per_byte: float | None = None  # of text; None without any byte

    def __post_init__(self) -> None:
        if self.targets < 1 or self.rows < 1:
            raise ValueError(f"{self.targets} targets in {self.rows} rows, expected 1 or more of each")
        if not 0 <= self.loss_nats < math.inf:
            raise ValueError(f"loss_nats is {self.loss_nats}, expected a finite number of 0 or more")
        for name in ("accuracy", "accuracy_changed"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                raise ValueError(f"{name} is {share}, expected a share in [0, 1]")

    @classmethod
    def from_sums(
        cls,
        *,
        loss_sum: float,
        count: float,
        correct: float,
        changed_count: float,
        changed_correct: float,
        num_rows: int,
        num_bytes: int,
    ) -> "HeldOutScore":
        """Makes the score of sums over targets, the loss in nats and the bytes those that the targets spell.

        Bits per byte are all nats of the targets in bits, end marks included, over the bytes of the text. So what the
        vocabulary is like does not matter, and texts that are tokenized otherwise compare.
        """
        return cls(
            loss_nats=loss_sum / count,
            accuracy=correct / count,
            targets=round(count),
            rows=num_rows,
            accuracy_changed=changed_correct / changed_count if changed_count else None,
            bits_per_byte=loss_sum / math.log(2) / num_bytes if num_bytes else None,
        )

    def to_json(self) -> dict[str, float | int]:
        """Returns the fields that are not None."""
        return {name: value for name, value in vars(self).items() if value is not None}


# By source, then "text" or "action".
HeldOutScores: TypeAlias = Mapping[str, Mapping[str, HeldOutScore]]


def held_out_section(scores: HeldOutScores) -> dict[str, Any]:
    """Returns the section "held_out" of a file of scores, as JSON values."""
    return {source: {kind: score.to_json() for kind, score in kinds.items()} for source, kinds in scores.items()}


def language_section(scores: Mapping[str, LanguageScore]) -> dict[str, Any]:
    """Returns the section "language": by source and kind, the fraction of texts that are exactly right."""
    return {
        source: {
            score.kind: {
                "exact_match": score.accuracy.value,
                "ci_low": score.accuracy.low,
                "ci_high": score.accuracy.high,
                "trials": score.num_trials,
            }
        }
        for source, score in scores.items()
    }


def piece_bytes(text: TextTokenizer) -> np.ndarray:
    """Returns (vocab_size,) int64: UTF-8 bytes of the text that each id adds; 0 for marks."""
    lost = "\ufffd"  # what a byte that is no character by itself decodes to
    own = text.encode(lost).tolist()
    sizes = np.empty(text.vocab_size, np.int64)
    for index in range(text.vocab_size):
        piece = text.decode([index])
        sizes[index] = 1 if piece == lost and own != [index] else len(piece.encode())
    return sizes


def text_bytes(batch: Batch, sizes: np.ndarray, tokenizer: TokenizerConfig) -> int:
    """Counts the UTF-8 bytes that the text targets of a batch spell.

    Args:
        batch: of numpy arrays.
        sizes: as `piece_bytes` gives them.
        tokenizer: tells actions from text.
    """
    ids = batch.tokens[batch.loss_mask & (batch.local_positions != tokenizer.action_position)]
    return int(sizes[ids].sum())
