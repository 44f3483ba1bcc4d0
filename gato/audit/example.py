"""One row of a batch, decoded: what each token is, where it comes from and what values the network reads there."""

import itertools
from collections.abc import Iterator, Sequence
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
from gato.tokenizer.groups import token_places
from gato.tokenizer.leaves import ActionLeaf, ContinuousLeaf, ObservationLeaf
from gato.tokenizer.text import TextTokenizer

MAX_CHARACTERS = 400  # of one line of `row_text`


@dataclass(frozen=True, kw_only=True)
class RowExample:
    """The n tokens of one row before its padding."""

    kinds: np.ndarray  # (n,) int8; indices in `TOKEN_KINDS`
    loss_mask: np.ndarray  # (n,) bool; of the token itself
    timesteps: np.ndarray  # (n,) int; counted from 0, prompt included; all 0 where there are none
    fields: tuple[str, ...]  # the leaves of the space that a token holds parts of; "" where it is of none
    values: tuple[str, ...]  # what each token holds, decoded
    patches: np.ndarray  # (p, patch, patch, 3) uint8
    patch_indices: np.ndarray  # (p,) int; the tokens that they stand at
    parts: tuple[int, ...] = (0,)  # tokens from which on nothing before them is seen
    is_marked: np.ndarray  # (n,) bool; True where a token carries the mark of the separator, which then has no token
    # Where an action is one token, the action that each token predicts, "" where it predicts none.
    predicted: tuple[str, ...]
    action_mask: np.ndarray  # (n,) bool; True where that action carries loss


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
    tokenizer = context.tokenizer
    length = int(batch.lengths[row])
    positions = batch.local_positions[row, :length]
    kinds = batch_kinds(batch, tokenizer, control=control is not None, discrete_first=discrete_first)[row, :length]
    present = batch.patch_indices[row] < batch.tokens.shape[1]
    reader = _Reader(batch, row, kinds, context)
    timesteps = np.zeros(length, np.int64)
    # Every timestep has one of these, the separator or the token that carries its mark.
    separators = positions == tokenizer.separator_position
    is_marked = separators & (kinds != TOKEN_KINDS.index("separators"))
    if control is not None:
        actions = positions == tokenizer.action_position
        # A timestep ends with its last action token, or with its separator where no action follows.
        ends = (actions | separators) & ~np.append(actions[1:], False)
        timesteps = np.cumsum(ends) - ends
        codecs = timestep_tokenizer(control, tokenizer, context.text, fields=context.source.fields)
        starts = np.flatnonzero(np.diff(timesteps, prepend=-1))
        for start, separator in zip(starts.tolist(), np.flatnonzero(separators).tolist(), strict=True):
            reader.read_observation(start, separator + int(is_marked[separator]), codecs.observation_codecs)
        reader.read_actions(np.flatnonzero(actions), codecs.action_codecs)
    seen_from = None if batch.visible_from is None else batch.visible_from[row, :length]
    return RowExample(
        kinds=kinds,
        loss_mask=batch.loss_mask[row, :length],
        timesteps=timesteps,
        fields=tuple(reader.fields),
        values=tuple(reader.values),
        patches=batch.patches[row][present],
        patch_indices=batch.patch_indices[row][present],
        parts=(0,) if seen_from is None else tuple(np.unique(seen_from).tolist()),
        is_marked=is_marked,
        predicted=tuple(reader.predicted),
        action_mask=np.zeros(length, bool) if batch.action_mask is None else batch.action_mask[row, :length],
    )


def row_text(example: RowExample) -> str:
    """Lists the row: a line per run of text or patches of a timestep, a line per other token; * carries loss.

    A line that begins with -> tells the action that the token above it predicts. | is the separator.
    """

    def run_of(i: int) -> Any:  # what the tokens of one line have in common
        kind = TOKEN_KINDS[example.kinds[i]]
        if kind not in ("text", "patches", "text actions"):
            return i
        part = np.searchsorted(example.parts, i, side="right")
        return kind, example.timesteps[i], example.loss_mask[i], int(part)

    lines = []
    for _, run in itertools.groupby(range(len(example.kinds)), run_of):
        first, *others = run
        last = others[-1] if others else first
        kind = TOKEN_KINDS[example.kinds[first]]
        value = f"{last + 1 - first} patches" if others and kind == "patches" else ""
        value = value or "".join(example.values[first : last + 1])
        value += " |" * bool(example.is_marked[last])
        places = f"{first}-{last}" if others else str(first)
        field = example.fields[first] or kind.removesuffix("s")
        field = field.partition("[")[0] if others else field
        time = f"t{example.timesteps[first]}"
        if first and first in example.parts:
            lines.append(f"{'':>9} what follows sees nothing of what stands above")
        lines.append(_line(places, time, example.loss_mask[first], field, value))
        if example.predicted[last]:
            lines.append(_line("->", time, example.action_mask[last], *example.predicted[last].split(": ", 1)))
    return "\n".join(lines)


def _line(places: str, time: str, has_loss: bool, field: str, value: str) -> str:
    value = value.replace("\\", "\\\\").replace("\n", "\\n")
    value = value if len(value) <= MAX_CHARACTERS else f"{value[:MAX_CHARACTERS]} ..."
    return f"{places:>9} {time:<5} {'*' if has_loss else ' '} {field:<28} {value}"


class _Reader:
    """The fields and values of a row's tokens, while they are told."""

    def __init__(self, batch: Batch, row: int, kinds: np.ndarray, context: AuditContext) -> None:
        length = len(kinds)
        self._tokens, self._kinds = batch.tokens[row, :length], kinds
        self._tokenizer, self._text = context.tokenizer, context.text
        self._scaled = {scale.path for scale in context.source.fields}
        self._numbers = None if batch.values is None else batch.values[row, :length]
        self._actions = None if batch.action_values is None else batch.action_values[row, :length]
        self.fields = [""] * length
        self.values = [
            _value(int(token), TOKEN_KINDS[kind], context.tokenizer, context.text)
            for token, kind in zip(self._tokens, kinds, strict=True)
        ]
        self.predicted = [""] * length

    def read_observation(self, start: int, stop: int, leaves: Sequence[ObservationLeaf]) -> None:
        """Tells the leaves that the tokens [start, stop) of an observation hold, and their numbers."""
        kinds = [leaf.kind for leaf in leaves]
        places = token_places(self._counts(start, stop, leaves), kinds, self._tokenizer)
        told: dict[int, list[tuple[str, list[str]]]] = {}  # by token, of each leaf that it holds parts of
        for leaf, own in zip(leaves, places, strict=True):
            own = own + start
            values = [self.values[token] for token in own]
            if leaf.kind == "numbers" or (leaf.kind == "text" and self._tokenizer.pieces_per_token > 1):
                values = self._told(leaf, own, told)
            for token in np.unique(own).tolist():
                (inside,) = np.nonzero(own == token)
                name = _named(leaf.path, inside[0], inside[-1], 1 if leaf.width is None else len(own))
                told.setdefault(token, []).append((name, [values[index] for index in inside]))
        for token, held in told.items():
            self.fields[token] = ", ".join(name for name, _ in held)
            self.values[token] = " ".join(value for _, values in held for value in values)

    def _counts(self, start: int, stop: int, leaves: Sequence[ObservationLeaf]) -> list[int]:
        """Counts the parts of each leaf; texts take as many tokens as the others leave, with all that these hold."""
        kinds = [leaf.kind for leaf in leaves]
        counts = [leaf.width or 0 for leaf in leaves]

        def num_tokens(stop: int) -> int:
            places = token_places(counts[:stop], kinds[:stop], self._tokenizer)
            return max((int(own[-1]) + 1 for own in places if len(own)), default=0)

        texts = [index for index, leaf in enumerate(leaves) if leaf.width is None]
        for index in texts:
            spare = stop - start - num_tokens(len(leaves))
            first = start + num_tokens(index)
            if len(texts) > 1:  # where texts stand side by side, the first takes all
                spare = int(np.argmin(np.append(self._are_text(slice(first, first + spare)), False)))
            counts[index] = spare
            if self._numbers is not None and self._tokenizer.pieces_per_token > 1:
                counts[index] = int((self._numbers[first : first + spare] != self._tokenizer.padding_id).sum())
        return counts

    def _are_text(self, tokens: slice) -> np.ndarray:
        """Returns whether each token of an observation holds text."""
        if self._numbers is not None and self._tokenizer.pieces_per_token > 1:
            return self._numbers[tokens, 0] < self._tokenizer.text_vocab_size
        return self._kinds[tokens] == TOKEN_KINDS.index("text")

    def _told(self, leaf: Any, own: np.ndarray, told: dict[int, Any]) -> list[str]:
        """Reads the numbers or pieces of a leaf, which stand in these tokens behind those of the leaves before it."""
        ids = self._tokens[own]
        if self._numbers is not None:
            before = [sum(len(values) for _, values in told.get(token, [])) for token in own.tolist()]
            ids = self._numbers[own, np.array(before, int) + np.arange(len(own)) - np.searchsorted(own, own)]
        if leaf.path in self._scaled:
            return [f"{float(value):.4g}" for value in np.ravel(leaf.decode(ids))]
        kind = "text" if leaf.kind == "text" else "continuous" if isinstance(leaf, ContinuousLeaf) else "discrete"
        return [_value(int(number), kind, self._tokenizer, self._text) for number in ids]

    def read_actions(self, places: np.ndarray, leaves: Sequence[ActionLeaf]) -> None:
        """Tells the actions of the tokens that hold them, and of those that predict them as one token."""
        size = sum(len(leaf.ranges) for leaf in leaves)
        if self._numbers is None or self._actions is None:  # a row holds whole timesteps, so whole actions
            for action in places.reshape(-1, size):
                for path, count, told in _decoded(self._tokens[action], leaves):
                    own, action = action[:count], action[count:]
                    for index, place in enumerate(own):
                        self.fields[place] = _named(path, index, index, 1 if isinstance(told, str) else count)
                        if not isinstance(told, str):
                            self.values[place] = told[index]
            return
        for place in places:
            self.fields[place], self.values[place] = _joined(self._numbers[place, :size], leaves)
        for place in np.flatnonzero((self._actions != self._tokenizer.padding_id).any(axis=1)):
            self.predicted[place] = ": ".join(_joined(self._actions[place, :size], leaves))


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


def _named(path: str, first: int, last: int, count: int) -> str:
    """Names the elements [first, last] of a leaf of so many."""
    if count == 1:
        return path
    return f"{path}[{first}]" if first == last else f"{path}[{first}..{last}]"


def _decoded(ids: np.ndarray, leaves: Sequence[ActionLeaf]) -> Iterator[tuple[str, int, str | list[str]]]:
    """Yields path, number of ids and values of each leaf of an action; of a text the text itself."""
    for leaf in leaves:
        own, ids = ids[: len(leaf.ranges)], ids[len(leaf.ranges) :]
        if len(own):
            decoded: Any = leaf.decode(own)
            is_text = isinstance(decoded, str)
            yield leaf.path, len(own), decoded if is_text else [f"{value:.4g}" for value in np.ravel(decoded).tolist()]


def _joined(ids: np.ndarray, leaves: Sequence[ActionLeaf]) -> tuple[str, str]:
    """Returns the fields and the values of an action of one token."""
    names, values = [], []
    for path, count, told in _decoded(ids, leaves):
        names.append(_named(path, 0, count - 1, 1 if isinstance(told, str) else count))
        values += [repr(told)] if isinstance(told, str) else told
    return ", ".join(names), " ".join(values)
