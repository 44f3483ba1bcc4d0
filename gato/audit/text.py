"""The numbers of one source of text, dialogues or images: sizes, tokens, duplicates and answers."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gato.audit.duplicates import Duplicates, content_hash, count_duplicates, near_texts, text_sketch
from gato.audit.sample import AuditContext, Summary, read_records, sample_records, summarize
from gato.data.encoded import encode_language
from gato.data.episode import Dialogue, Document, ImageText, Source
from gato.data.split import split_records

_MAX_SHOWN = 15


@dataclass(frozen=True, kw_only=True)
class PictureAudit:
    """The images of a sample."""

    num_pictures: int
    sizes: tuple[tuple[str, int], ...]  # "height x width", how many; most frequent first
    num_sizes: int
    patches: Summary | None  # per image
    num_equal: int  # images equal, pixel by pixel, to one of an earlier record
    num_leaked: int  # held-out records whose image is also that of a training record


@dataclass(frozen=True, kw_only=True)
class AnswerAudit:
    """Captions, or answers to questions; baselines that see no image."""

    num_answers: int
    num_distinct: int
    common: tuple[tuple[str, int], ...]  # most frequent first
    majority_share: float  # right, if the most common answer is always given
    blind_share: float | None  # right, if each question gets the most common of its other answers; None: no questions


@dataclass(frozen=True, kw_only=True)
class LanguageAudit:
    """One source of text, dialogues or images, from a sample of its records."""

    num_records: int
    num_sampled: int
    characters: Summary  # per record
    tokens: Summary | None  # of text, per record; None if nothing could be encoded
    length_values: tuple[int, ...]  # tokens of each record, patches included
    cut_share: float  # of records longer than a row
    turns: Summary | None  # per dialogue
    duplicates: Duplicates  # of texts with their images
    pictures: PictureAudit | None
    answers: AnswerAudit | None
    num_problems: int
    problems: tuple[str, ...]


def audit_language(source: Source, context: AuditContext) -> LanguageAudit:
    """Reads a sample of records and measures them.

    Raises:
        ValueError: there is no text tokenizer, or no record can be read.
    """
    limits = context.limits
    if context.text is None:
        raise ValueError(f"{source.name} holds text, but no text tokenizer was given: train or load one")
    split_groups = getattr(source, "twins", None)
    held_out = split_records(len(source), context.source.held_out, held_out=True, split_groups=split_groups)
    order = sample_records(len(source), held_out, limits.records, limits.seed)
    problems: list[str] = []
    records: list[int] = []
    hashes: list[bytes] = []
    image_hashes: list[bytes] = []
    sketches: list[np.ndarray] = []
    characters: list[int] = []
    lengths: list[int] = []
    patches: list[int] = []
    turns: list[int] = []
    sizes: Counter[str] = Counter()
    pairs: list[tuple[str, str]] = []
    for index, record in read_records(source, order, limits.size_bytes, problems):
        image = None if isinstance(record, Document) else record.image
        words = _words(record)
        records.append(index)
        characters.append(len(words))
        image_hashes.append(b"" if image is None else content_hash(image))
        hashes.append(content_hash(words) + image_hashes[-1])
        sketches.append(text_sketch(words))
        pairs += _pairs(record)
        if isinstance(record, Dialogue):
            turns.append(len(record.turns))
        if image is not None:
            sizes[f"{image.shape[0]} x {image.shape[1]}"] += 1
        try:
            sequence = encode_language(record, context.data, context.tokenizer, context.text)
        except ValueError as error:
            problems.append(f"{source.name}: record {index}: {error}")
            continue
        lengths.append(len(sequence))
        patches.append(len(sequence.patches))
    if not records:
        raise ValueError(f"{source.name}: none of {len(order)} records can be read: {problems[0]}")
    places = np.array(records)
    # With images a template text repeats without harm; only the very pair counts then.
    near = [] if sizes else near_texts(sketches)
    return LanguageAudit(
        num_records=len(source),
        num_sampled=len(records),
        characters=summarize(characters),
        tokens=summarize(np.array(lengths) - np.array(patches)) if lengths else None,
        length_values=tuple(lengths),
        cut_share=float(np.mean(np.array(lengths) > context.data.context_length)) if lengths else 0.0,
        turns=summarize(turns) if turns else None,
        duplicates=count_duplicates(places, hashes, near, held_out, complete=len(records) == len(source)),
        pictures=_pictures(places, image_hashes, held_out, sizes, patches) if sizes else None,
        answers=_answers(pairs) if pairs else None,
        num_problems=len(problems),
        problems=tuple(problems[:5]),
    )


def _words(record: Document | Dialogue | ImageText) -> str:
    return "\n".join(words for _, words in record.turns) if isinstance(record, Dialogue) else record.text


def _pairs(record: Document | Dialogue | ImageText) -> list[tuple[str, str]]:
    """Returns (question, answer) of what is said about an image; a caption answers an empty question."""
    if isinstance(record, ImageText):
        return [("", record.text)]
    if isinstance(record, Document) or record.image is None:
        return []
    turns = record.turns
    return [
        (question, answer)
        for (asker, question), (speaker, answer) in itertools.pairwise(turns)
        if asker == "user" and speaker == "agent"
    ]


def _pictures(
    places: np.ndarray, hashes: Sequence[bytes], held_out: np.ndarray, sizes: Counter[str], patches: Sequence[int]
) -> PictureAudit:
    repeated = count_duplicates(places, hashes, (), held_out, complete=False)
    return PictureAudit(
        num_pictures=sizes.total(),
        sizes=tuple(sizes.most_common(_MAX_SHOWN)),
        num_sizes=len(sizes),
        patches=summarize(patches) if patches else None,
        num_equal=repeated.num_exact,
        num_leaked=repeated.num_leaked_exact,
    )


def _answers(pairs: Sequence[tuple[str, str]]) -> AnswerAudit:
    counts = Counter(answer for _, answer in pairs)
    common = counts.most_common(_MAX_SHOWN)
    asked = any(question for question, _ in pairs)
    return AnswerAudit(
        num_answers=len(pairs),
        num_distinct=len(counts),
        common=tuple(common),
        majority_share=common[0][1] / len(pairs),
        blind_share=_blind_share(pairs, counts) if asked else None,
    )


def _blind_share(pairs: Sequence[tuple[str, str]], counts: Counter[str]) -> float:
    """Scores always giving the most common other answer to the same question; to any question, if asked once."""
    by_question: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for question, answer in pairs:
        by_question[question][answer] += 1
    right = 0
    for question, answer in pairs:
        known = by_question[question] if by_question[question].total() > 1 else counts
        own = known[answer] - 1
        best_other = max((count for other, count in known.most_common(2) if other != answer), default=0)
        right += own > best_other
    return right / len(pairs)
