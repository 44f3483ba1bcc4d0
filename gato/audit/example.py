"""One row of a batch, decoded: what each token is, where it comes from and what value the network reads there."""

import itertools
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gato.audit.rows import TOKEN_KINDS, batch_kinds
from gato.audit.sample import AuditContext
from gato.batch import Batch
from gato.config import TokenizerConfig
from gato.data.encoded import timestep_tokenizer
from gato.data.episode import ControlSource
from gato.tokenizer.continuous import from_bins, mu_law_decode
from gato.tokenizer.leaves import ActionLeaf, ContinuousLeaf, ObservationLeaf
from gato.tokenizer.text import TextTokenizer

MAX_CHARACTERS = 400  # of one line of `row_text`


@dataclass(frozen=True, kw_only=True)
class RowExample:
    """The n tokens of one row before its padding."""

    kinds: np.ndarray  # (n,) int8; indices in `TOKEN_KINDS`
    loss_mask: np.ndarray  # (n,) bool
    timesteps: np.ndarray  # (n,) int; counted from 0, prompt included; all 0 where there are none
    fields: tuple[str, ...]  # the leaf of the space that a token belongs to; "" where it is of none
    values: tuple[str, ...]  # each token, decoded
    patches: np.ndarray  # (p, patch, patch, 3) uint8
    patch_indices: np.ndarray  # (p,) int; the tokens that they stand at


def decode_row(
    batch: Batch, row: int, context: AuditContext, control: ControlSource | None, *, discrete_first: bool
) -> RowExample:
    """Reads a row back as the network is shown it.

    Args:
        batch: rows of one source.
        row: which one.
        context: of that source; its text tokenizer and its scales decode the tokens.
        control: the source, if it is one of episodes; names the fields and decodes the actions.
        discrete_first: see `token_kinds`.
    """
    tokenizer, text, fields = context.tokenizer, context.text, context.source.fields
    length = int(batch.lengths[row])
    tokens = batch.tokens[row, :length]
    kinds = batch_kinds(batch, tokenizer, control=control is not None, discrete_first=discrete_first)[row, :length]
    present = batch.patch_indices[row] < batch.tokens.shape[1]
    values = [_value(int(token), TOKEN_KINDS[kind], tokenizer, text) for token, kind in zip(tokens, kinds, strict=True)]
    names = [""] * length
    timesteps = np.zeros(length, np.int64)
    if control is not None:
        actions = batch.local_positions[row, :length] == tokenizer.action_position
        separators = kinds == TOKEN_KINDS.index("separators")
        # A timestep ends with its last action token, or with its separator where no action follows.
        ends = (actions | separators) & ~np.append(actions[1:], False)
        timesteps = np.cumsum(ends) - ends
        codecs = timestep_tokenizer(control, tokenizer, text, fields=fields)
        scaled = {scale.path for scale in fields}
        _name_observations(names, values, tokens, kinds, separators, codecs.observation_codecs, scaled)
        _decode_actions(names, values, tokens, np.flatnonzero(actions), codecs.action_codecs)
    return RowExample(
        kinds=kinds,
        loss_mask=batch.loss_mask[row, :length],
        timesteps=timesteps,
        fields=tuple(names),
        values=tuple(values),
        patches=batch.patches[row][present],
        patch_indices=batch.patch_indices[row][present],
    )


def row_text(example: RowExample) -> str:
    """Lists the row: a line per run of text or patches of a timestep, a line per other token; * carries loss."""

    def run_of(i: int) -> Any:  # what the tokens of one line have in common
        kind = TOKEN_KINDS[example.kinds[i]]
        return (kind, example.timesteps[i], example.loss_mask[i]) if kind in ("text", "patches", "text actions") else i

    lines = []
    for _, run in itertools.groupby(range(len(example.kinds)), run_of):
        first, *others = run
        last = others[-1] if others else first
        kind = TOKEN_KINDS[example.kinds[first]]
        value = f"{last + 1 - first} patches" if kind == "patches" else "".join(example.values[first : last + 1])
        value = value.replace("\\", "\\\\").replace("\n", "\\n")
        value = value if len(value) <= MAX_CHARACTERS else f"{value[:MAX_CHARACTERS]} ..."
        places = f"{first}-{last}" if others else str(first)
        mark = "*" if example.loss_mask[first] else " "
        field = example.fields[first] or kind.removesuffix("s")
        field = field.partition("[")[0] if others else field
        lines.append(f"{places:>9} t{example.timesteps[first]:<4} {mark} {field:<28} {value}")
    return "\n".join(lines)


def _value(token: int, kind: str, tokenizer: TokenizerConfig, text: TextTokenizer | None) -> str:
    if kind == "separators":
        return "|"
    if kind == "patches":
        return "patch"
    if kind.startswith("discrete"):
        return str(token - tokenizer.discrete_ids.start)
    if kind.startswith("continuous"):
        scaled = from_bins(np.array(token - tokenizer.continuous_ids.start), tokenizer.num_bins)
        return f"{float(mu_law_decode(scaled, tokenizer.mu, tokenizer.mu_scale)):.4g}"
    if text is None or token >= text.vocab_size:
        return f"id {token}"
    marks = {text.start_id: "<start>", text.end_id: "<end>"}
    return marks.get(token) or text.decode([token])


def _name_observations(
    fields: list[str],
    values: list[str],
    tokens: np.ndarray,
    kinds: np.ndarray,
    separators: np.ndarray,
    leaves: Sequence[ObservationLeaf],
    scaled: Container[str],
) -> None:
    """Fills in the observation leaf of each token; text takes as many tokens as the others leave."""
    fixed = sum(leaf.width or 0 for leaf in leaves)
    stops = np.flatnonzero(separators)
    observed = [
        TOKEN_KINDS.index(name) for name in ("text", "patches", "discrete observations", "continuous observations")
    ]
    for stop in stops:
        start = stop
        while start and kinds[start - 1] in observed:
            start -= 1
        spare = stop - start - fixed
        i = start
        texts = sum(leaf.width is None for leaf in leaves)
        for leaf in leaves:
            width = leaf.width if leaf.width is not None else spare
            if leaf.width is None and texts > 1:  # where texts stand side by side, the first takes all
                width = next((n for n in range(spare) if kinds[i + n] != TOKEN_KINDS.index("text")), spare)
            for n in range(width):
                fields[i + n] = leaf.path if width == 1 or leaf.width is None else f"{leaf.path}[{n}]"
            if isinstance(leaf, ContinuousLeaf) and leaf.path in scaled:
                values[i : i + width] = [f"{float(x):.4g}" for x in np.ravel(leaf.decode(tokens[i : i + width]))]
            i += width
            spare -= width if leaf.width is None else 0


def _decode_actions(
    fields: list[str], values: list[str], tokens: np.ndarray, places: np.ndarray, leaves: Sequence[ActionLeaf]
) -> None:
    """Fills in field and value of the action tokens; a row holds whole timesteps, so whole actions."""
    size = sum(len(leaf.ranges) for leaf in leaves)
    for action in places.reshape(-1, size):
        for leaf in leaves:
            own, action = action[: len(leaf.ranges)], action[len(leaf.ranges) :]
            if not len(own):
                continue
            decoded: Any = leaf.decode(tokens[own])
            parts: Sequence[Any] = [decoded] if isinstance(decoded, str) else np.ravel(decoded).tolist()
            for n, place in enumerate(own):
                fields[place] = leaf.path if len(own) == 1 or isinstance(decoded, str) else f"{leaf.path}[{n}]"
                if not isinstance(decoded, str):
                    values[place] = f"{parts[n]:.4g}"
