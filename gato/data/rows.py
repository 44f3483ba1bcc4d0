"""Endless rows of one source. Row i is a pure function of (seed, source, split, i): any row can be made alone.

One row is a demonstration, if one is drawn, and a window of one episode; or a window of one document or dialogue; or
several image-text pairs (section 2.3 of the paper). By option several windows fill it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from gato.config import DataConfig, PromptPart, TokenizerConfig
from gato.data.action_choice import thin_repeats, without_own_actions
from gato.data.collate import Row
from gato.data.encoded import BadRecordError, EncodedRecords
from gato.data.reading import readable
from gato.data.split import split_records, spread
from gato.data.window import draw_length, draw_span, draw_window
from gato.tokenizer.demonstration import join_demonstrations, largest_timestep
from gato.tokenizer.sequence import TokenSequence

_MOST_BAD = 100  # bad records that one row may meet before something is wrong with all of them
NUM_ROWS = 1 << 48  # rows of a source: more than any run takes, and few enough for index arithmetic in 64 bits


class Partners:
    """Draws which episodes demonstrate the task of a given one: others of its group, never itself.

    Source: Gato, section 2.3: demonstrations are of the same agent on the same task.
    """

    def __init__(self, groups: np.ndarray, allowed: np.ndarray) -> None:
        """Sorts the episodes by group.

        Args:
            groups: (episodes,) int; the group of every episode.
            allowed: indices of the episodes that may be shown.
        """
        self._groups = groups
        order = allowed[np.argsort(groups[allowed], kind="stable")]
        found, starts = np.unique(groups[order], return_index=True)
        self._members = dict(zip(found.tolist(), np.split(order, starts[1:]), strict=True))

    def draw(self, episode: int, count: int, rng: np.random.Generator) -> np.ndarray:
        """Up to `count` different episodes; fewer where the group has no more, none where the episode stands alone."""
        members = self._members.get(int(self._groups[episode]), np.zeros(0, np.int64))
        others = members[members != episode]
        return rng.choice(others, size=min(count, len(others)), replace=False) if len(others) else others


class Rows(ABC):
    """Random access to the rows of one source."""

    def __init__(
        self,
        encoded: EncodedRecords,
        data: DataConfig,
        source_id: int,
        *,
        seed: int,
        held_out: bool,
        good: np.ndarray | None = None,
        split_groups: Sequence[str] | None = None,
    ) -> None:
        """Chooses the records that rows may start from.

        Args:
            source_id: index of this one among them.
            held_out: rows of what is kept from training, instead of what is trained on.
            good: (records,) bool, which records are used at all; None uses all of them.
            split_groups: one name per record; records of one name are all trained on or all held out.

        Raises:
            ValueError: no record is left.
        """
        self._encoded, self._data, self._source_id = encoded, data, source_id
        self._stream = (seed, source_id, int(held_out))
        self._skips_bad = data.sources[source_id].bad_records == "skip"
        self.skipped: dict[int, str] = {}  # records that could not be used so far, and why
        # What is good decides within a side, never the side: another filter leaks nothing across.
        self._usable = np.arange(len(encoded)) if good is None else np.flatnonzero(good)
        held_out_fraction = data.sources[source_id].held_out
        split = split_records(len(encoded), held_out_fraction, held_out=held_out, split_groups=split_groups)
        self.records = np.intersect1d(split, self._usable)
        if not len(self.records) and not held_out:
            raise ValueError(f"{encoded.name}: none of {len(split)} records is left to train on: lower min_return")

    def __len__(self) -> int:
        return NUM_ROWS

    def __getitem__(self, index: int) -> Row:
        rng = np.random.default_rng((*self._stream, index))
        for _ in range(_MOST_BAD):
            try:
                sequence, parts = self._draw(rng)
                return Row(sequence=sequence, source_id=self._source_id, parts=parts)
            except BadRecordError as error:
                if not self._skips_bad:
                    raise ValueError(f"{error} (or leave such records out with bad_records 'skip')") from error
                self.skipped[error.index] = str(error)
        raise ValueError(
            f"{self._encoded.name}: row {index} met {_MOST_BAD} bad records one after the other, such as: "
            f"{next(iter(self.skipped.values()))}"
        )

    def estimate_tokens(self, sample: int) -> float:
        """Estimates how many tokens rows can show of the records of this side together, from a sample of so many.

        Raises:
            ValueError: no record of the sample can be used.
        """
        indices = spread(self.records, sample)
        rng = np.random.default_rng(self._stream)
        records = readable(self._encoded, indices, skip_bad=self._skips_bad)
        lengths = [len(self._shown(sequence, rng)) for _, sequence in records]
        if not lengths:
            raise ValueError(f"{self._encoded.name}: none of {sample} records can be used")
        return float(np.mean(lengths)) * len(self.records)

    def _shown(self, sequence: TokenSequence, rng: np.random.Generator) -> TokenSequence:
        """Returns what a row may show of a record."""
        return sequence

    @abstractmethod
    def _draw(self, rng: np.random.Generator) -> tuple[TokenSequence, Sequence[int]]:
        """Draws the tokens of a row, and where its parts begin that do not see each other."""

    def _draw_record(self, rng: np.random.Generator) -> int:
        return int(self.records[rng.integers(len(self.records))])


class ControlRows(Rows):
    """Rows of episodes, some of them prompted."""

    def __init__(
        self,
        encoded: EncodedRecords,
        data: DataConfig,
        tokenizer: TokenizerConfig,
        source_id: int,
        *,
        groups: np.ndarray,
        seed: int,
        held_out: bool,
        good: np.ndarray | None = None,
    ) -> None:
        """Chooses records as `Rows` does; episodes of one of the `groups` (episodes,) may prompt one another.

        The tokenizer is the one that encoded them.

        Training episodes are prompted by training episodes only. Held-out ones may be prompted by any, as when acting,
        but what their prompts show is never counted in the held-out loss.
        """
        super().__init__(encoded, data, source_id, seed=seed, held_out=held_out, good=good)
        self._prompt = data.sources[source_id].prompt
        self._start_share = data.sources[source_id].start_share
        self._prompt_loss = self._prompt.loss and not held_out
        self._tokenizer, self._held_out = tokenizer, held_out
        self._partners = Partners(groups, self._usable if held_out else self.records)

    def _shown(self, sequence: TokenSequence, rng: np.random.Generator) -> TokenSequence:
        return without_own_actions(sequence, self._tokenizer, None if self._held_out else rng)

    def _draw(self, rng: np.random.Generator) -> tuple[TokenSequence, Sequence[int]]:
        max_tokens, max_patches = self._data.context_length, self._data.max_patches
        first = self._draw_part(rng, max_tokens, max_patches)
        assert first is not None
        parts, starts = [first], [0]
        while self._data.pack_windows:
            max_tokens, max_patches = max_tokens - len(parts[-1]), max_patches - len(parts[-1].patches)
            part = self._draw_part(rng, max_tokens, max_patches, is_first=False)
            if part is None:
                break
            starts.append(starts[-1] + len(parts[-1]))
            parts.append(part)
        return parts[0] if len(parts) == 1 else TokenSequence.concatenate(parts), starts

    def _draw_part(
        self, rng: np.random.Generator, max_tokens: int, max_patches: int, *, is_first: bool = True
    ) -> TokenSequence | None:
        """Draws an episode's window, perhaps after a demonstration; None where one that is not the first does not fit.

        Those behind the first have a demonstration only where the longest one fits beside a timestep.
        """
        episode = self._draw_record(rng)
        body = self._encoded[episode]
        if self._prompt.terminal_observation:
            body = body.timesteps(0, body.num_timesteps - 1)
        body = self._shown(body, rng)
        if not is_first:
            num_tokens, num_patches = largest_timestep(body)
            has_room = num_tokens + self._prompt.max_tokens <= max_tokens
            if num_tokens > max_tokens or num_patches > max_patches or (self._prompt.probability == 1 and not has_room):
                return None
        shown: list[TokenSequence] = []
        if rng.random() < self._prompt.probability and (is_first or has_room):
            partners = self._partners.draw(episode, self._prompt.demonstrations, rng)
            if len(partners):
                shown.append(self._draw_prompt(episode, body, partners, rng, max_tokens, max_patches))
        max_tokens -= sum(map(len, shown))
        max_patches -= sum(len(prompt.patches) for prompt in shown)
        if self._data.window_lengths == "log-uniform":
            shortest = min(largest_timestep(body)[0], max_tokens)
            max_tokens = min(draw_length(shortest, self._data.context_length, rng), max_tokens)
        try:
            window = draw_window(body, max_tokens, max_patches, rng, start_share=self._start_share)
        except ValueError as error:
            raise ValueError(f"{self._encoded.name}: episode {episode}: {error}") from error
        if self._data.repeated_action_share < 1 and not self._held_out:
            window = thin_repeats(window, self._tokenizer, self._data.repeated_action_share, rng)
        return TokenSequence.concatenate([*shown, window]) if shown else window

    def _draw_prompt(
        self,
        episode: int,
        body: TokenSequence,
        partners: np.ndarray,
        rng: np.random.Generator,
        max_tokens: int,
        max_patches: int,
    ) -> TokenSequence:
        part: PromptPart = "end" if rng.random() < self._prompt.end_share else "uniform"
        # A timestep of the row itself must fit beside its prompt.
        num_tokens, num_patches = largest_timestep(body)
        demonstrations = [self._encoded[int(partner)] for partner in partners]
        max_tokens = min(self._prompt.max_tokens, max_tokens - num_tokens)
        max_patches -= num_patches
        try:
            prompt = join_demonstrations(demonstrations, part, max_tokens, max_patches=max_patches, rng=rng)
        except ValueError as error:
            raise ValueError(f"{self._encoded.name}: prompt of episode {episode}: {error}") from error
        return prompt if self._prompt_loss else prompt.without_targets()


class TextRows(Rows):
    """Rows of documents or dialogues; what is longer than a row is cut at any token."""

    def _draw(self, rng: np.random.Generator) -> tuple[TokenSequence, Sequence[int]]:
        longest = self._data.context_length
        parts = [draw_span(self._encoded[self._draw_record(rng)], longest, rng)]
        starts = [0]
        while self._data.pack_windows and (space := longest - starts[-1] - len(parts[-1])):
            record = self._encoded[self._draw_record(rng)]
            if space < len(record) <= longest:
                break  # whole it would have fitted into a row of its own
            starts.append(starts[-1] + len(parts[-1]))
            parts.append(draw_span(record, space, rng))
        return parts[0] if len(parts) == 1 else TokenSequence.concatenate(parts), starts


class PairRows(Rows):
    """Rows of several different images with text, as many as fit whole."""

    def _draw(self, rng: np.random.Generator) -> tuple[TokenSequence, Sequence[int]]:
        drawn = rng.choice(self.records, size=min(self._data.pairs_per_row, len(self.records)), replace=False)
        pairs: list[TokenSequence] = []
        num_tokens = num_patches = 0
        for index in drawn:
            pair = self._encoded[int(index)]
            num_tokens, num_patches = num_tokens + len(pair), num_patches + len(pair.patches)
            if num_tokens > self._data.context_length or num_patches > self._data.max_patches:
                break
            pairs.append(pair)
        if not pairs:
            raise ValueError(
                f"{self._encoded.name}: pair {drawn[0]} takes {num_tokens} tokens, {num_patches} of them patches, "
                f"but a row takes {self._data.context_length} and {self._data.max_patches}: shrink the image, or "
                "raise context_length or max_patches"
            )
        row = TokenSequence.concatenate(pairs)
        return row, row.starts[:-1].tolist()
