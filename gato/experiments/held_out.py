"""Measures a network on the data that its run kept from training: losses, captions and answers."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gato.config import DataConfig, RunConfig, SourceConfig
from gato.data.collate import make_batch
from gato.data.encoded import SequenceCache
from gato.data.episode import ControlSource, Dialogue, ImageText
from gato.data.mixture import CACHE_BYTES, open_rows
from gato.data.reading import readable
from gato.data.rows import Rows
from gato.data.sources.opening import open_source
from gato.evaluation.held_out_scores import HeldOutScore, piece_bytes, text_bytes
from gato.evaluation.language_scores import (
    LanguageExample,
    LanguageScore,
    LanguageTrial,
    evaluate_language,
    score_language,
)
from gato.inference.agent import Agent
from gato.inference.generate import Generator
from gato.model.loss import TARGET_KINDS, LossSums
from gato.training.held_out import LossMeter
from gato.training.step import model_loss

HELD_OUT_ROWS = 256  # of each source
HELD_OUT_TEXTS = 200  # of each source of pictures: a rate is then known to within 7 percent points
_ROWS_A_BATCH = 16  # at most; fewer where the run's own batches are smaller


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """What was measured on the data that a run kept from training."""

    scores: Mapping[str, Mapping[str, HeldOutScore]]  # by source, then by kind of target
    language: Mapping[str, LanguageScore]  # by source of pictures with text
    left_out: Mapping[str, str]  # sources with the reason


def moved_sources(data: DataConfig, places: Sequence[str]) -> DataConfig:
    """Returns the sources with new paths, each given as NAME=PATH.

    Raises:
        ValueError: no such form, or no source of that name.
    """
    paths = dict[str, str]()
    known = [source.name for source in data.sources]
    for place in places:
        name, equals, path = place.partition("=")
        if not equals or not path:
            raise ValueError(f"source path {place!r} has no '=' with a path behind it, expected NAME=PATH")
        if name not in known:
            raise ValueError(f"source path {place!r}: the run has no source {name!r}, it has {known}")
        paths[name] = path
    sources = tuple(dataclasses.replace(source, path=paths.get(source.name, source.path)) for source in data.sources)
    return dataclasses.replace(data, sources=sources)


def measure_held_out(agent: Agent, config: RunConfig, *, num_rows: int, num_texts: int) -> HeldOut:
    """Predicts held-out rows of every source, the same ones every time, and describes held-out pictures.

    Rows are drawn as in training: with demonstrations before some of them, whose actions are not counted.

    Args:
        agent: of the run.
        config: of the run, its sources where they lie now.
        num_rows: of each source, rounded up to whole batches.
        num_texts: most held-out pictures of each source that are described or asked about.

    Raises:
        FileNotFoundError: a source is not where the config says.
        ValueError: a source is damaged, or `num_rows` or `num_texts` is out of range.
    """
    if num_rows < 1 or num_texts < 0:
        raise ValueError(f"{num_rows} rows and {num_texts} texts are asked for, expected 1 or more and 0 or more")
    size = min(_ROWS_A_BATCH, config.data.batch_size, num_rows)
    meter = LossMeter(model_loss(agent.model, agent.tokenizer, 1), 1)
    sizes = None if agent.text is None else piece_bytes(agent.text)
    cache = SequenceCache(CACHE_BYTES)
    scores: dict[str, dict[str, HeldOutScore]] = {}
    language: dict[str, LanguageScore] = {}
    left_out: dict[str, str] = {}
    opened = [_open(agent, config, source_id, cache) for source_id in range(len(config.data.sources))]
    for source, rows in zip(config.data.sources, opened, strict=True):
        if not len(rows.records):
            left_out[source.name] = "it keeps no records from training"
            continue
        found = _predict(agent, config, rows, meter, sizes, size, -(-num_rows // size))
        if found:
            scores[source.name] = found
        else:
            left_out[source.name] = "its held-out rows have no targets"
        if rows.skipped:
            reason = " ".join(next(iter(rows.skipped.values())).split())
            left_out[f"{len(rows.skipped)} records of {source.name}"] = f"they cannot be used, such as: {reason}"
        try:
            examples = [] if agent.text is None else language_examples(source, rows.records[:num_texts])
            if examples:
                (language[source.name],) = score_language(describe(agent, examples))
        except ValueError as error:
            left_out[f"texts of {source.name}"] = " ".join(str(error).split())
    return HeldOut(scores=scores, language=language, left_out=left_out)


def _open(agent: Agent, config: RunConfig, source_id: int, cache: SequenceCache) -> Rows:
    source = config.data.sources[source_id]
    try:
        return open_rows(config.data, source_id, agent.tokenizer, agent.text, cache, config.seed, True)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"source {source.name!r} of the run is not at {source.path}: {error}. If it has moved, say where it is "
            f"now: --source-paths {source.name}=PATH"
        ) from error


def _predict(
    agent: Agent,
    config: RunConfig,
    rows: Rows,
    meter: LossMeter,
    sizes: np.ndarray | None,
    rows_a_batch: int,
    num_batches: int,
) -> dict[str, HeldOutScore]:
    """Scores one source by kind; kinds without targets have none."""
    # On the host in double precision: sums of millions of targets would round in float32.
    sums = {field.name: np.zeros(len(TARGET_KINDS)) for field in dataclasses.fields(LossSums)}
    num_bytes = 0
    for number in range(num_batches):
        drawn = [rows[index] for index in range(number * rows_a_batch, (number + 1) * rows_a_batch)]
        batch = make_batch([dataclasses.replace(row, source_id=0) for row in drawn], config.data, agent.tokenizer)
        num_bytes += 0 if sizes is None else text_bytes(batch, sizes, agent.tokenizer)
        found = meter(agent.params, [batch])
        for name, total in sums.items():
            total += np.asarray(getattr(found, name), np.float64)[0]
    return {
        kind: HeldOutScore.from_sums(
            **{name: float(total[index]) for name, total in sums.items()},
            num_rows=num_batches * rows_a_batch,
            num_bytes=num_bytes if kind == "text" else 0,
        )
        for index, kind in enumerate(TARGET_KINDS)
        if sums["count"][index]
    }


def describe(
    agent: Agent, examples: Sequence[LanguageExample], kinds: Sequence[str] | None = None
) -> list[LanguageTrial]:
    """Has the agent describe pictures, or answer the questions about them; all examples are of one sort.

    Args:
        agent: with a text tokenizer.
        examples: of captions, or of questions.
        kinds: one name for each, by which they are scored; "caption" or "answer" if not given.

    Raises:
        ValueError: a picture with its text does not fit the agent's context.
    """
    assert agent.text is not None  # pictures without texts are no examples
    generator = Generator(agent)
    # As many tokens as the longest right text and its end mark take; what is longer is wrong already.
    longest = max(len(agent.text.encode(f" {example.reference}")) for example in examples) + 1
    asked = examples[0].question is not None

    def answer(batch: Sequence[LanguageExample]) -> list[str]:
        if asked:
            pairs = [(example.image, example.question or "") for example in batch]
            return generator.answers(pairs, max_tokens=longest)
        return generator.captions([example.image for example in batch], max_tokens=longest)

    if kinds is None:
        kinds = ["answer" if asked else "caption"] * len(examples)
    return evaluate_language(examples, kinds, answer)


def language_examples(source: SourceConfig, records: Iterable[int] | None = None) -> list[LanguageExample]:
    """Reads what can be described or asked about among records of a source, all of them if None; may be nothing."""
    if source.kind == "prepared":  # its records hold no pictures any more
        return []
    opened = open_source(source)
    if isinstance(opened, ControlSource):
        return []
    examples = []
    for _, record in readable(opened, records, skip_bad=source.bad_records == "skip"):
        example = _example(record)
        if example is None:  # records of one source are of one kind
            break
        examples.append(example)
    return examples


def _example(record: object) -> LanguageExample | None:
    """Returns a caption, or the first question that a dialogue about a picture asks; None for what is neither."""
    match record:
        case ImageText():
            return LanguageExample(image=record.image, reference=record.text)
        case Dialogue(turns=(("user", question), ("agent", answer), *_)) if record.image is not None:
            return LanguageExample(image=record.image, reference=answer, question=question)
    return None
