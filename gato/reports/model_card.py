"""The model card of a released folder: README.md with the front matter that hubs of models read.

Source of the front matter's fields: Hugging Face's documentation of model cards, https://huggingface.co/docs/hub/model-cards.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gato.config import RunConfig, SourceConfig
from gato.data.sources.formats import find_format
from gato.evaluation.scores import ScoreRecord
from gato.reports.tables import SCALE, aggregate_table, score_table


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What a card states of the weights that are released."""

    config: RunConfig
    step: int  # of the run, when the parameters were saved
    num_parameters: int
    rounded: bool  # matrices and tables to bfloat16; scores are those of the weights before
    has_text: bool  # a text tokenizer goes along
    tasks: frozenset[str] = frozenset()  # those sources that `gato play` knows as tasks
    license_id: str | None = None  # as the hub writes it; None states that there is none
    datasets: tuple[str, ...] = ()  # names on the hub, beside those of sources that say so themselves
    scores: tuple[ScoreRecord, ...] = ()


def model_card(facts: CardFacts) -> str:
    """Writes the card's text."""
    config, scores = facts.config, facts.scores
    known = [*facts.datasets, *(source.path for source in config.data.sources if source.options.get("hub") is True)]
    front = [
        *([f"license: {facts.license_id}"] if facts.license_id is not None else []),
        "library_name: gato",
        *_items(
            "tags", ["gato", "jax", "generalist-agent", *(["reinforcement-learning"] if _controls(config) else [])]
        ),
        *(_items("datasets", list(dict.fromkeys(known))) if known else []),
        *_results(config.name, scores),
    ]
    parts = [
        "\n".join(["---", *front, "---"]),
        f"# {_plain(config.name)}",
        _what(facts),
        "## Use it",
        _use(facts),
        "## Trained on",
        _trained(facts),
        "## Scores",
        _scores(facts),
        "## Limits",
        _limits(config, scores),
        "## Licence",
        _licence(facts.license_id),
    ]
    return "\n\n".join(parts) + "\n"


def _what(facts: CardFacts) -> str:
    model = facts.config.model
    stored = "bfloat16 (norm gains and biases float32)" if facts.rounded else "float32"
    return (
        "One causal Transformer that reads observations, actions, text and pictures as one sequence and predicts its "
        "next token: an open Gato in JAX, after "
        '["A Generalist Agent"](https://arxiv.org/abs/2205.06175) (Reed et al., 2022).\n\n'
        f"{facts.num_parameters:,} parameters, {stored}: {model.num_layers} layers of width {model.width}. "
        f"Saved after {facts.step:,} steps of training. The folder holds numbers and text, no "
        "code; `release.json` has the SHA-256 of every file, `config.json` the settings of the run without the places "
        "of its data."
    )


def _use(facts: CardFacts) -> str:
    commands = ["gato pull OWNER/NAME agent"]
    control = _controls(facts.config)
    if tasks := [source.name for source in control if source.name in facts.tasks]:
        commands.append(f"gato play agent {tasks[0]}")
    if facts.has_text:
        commands.append("gato chat agent")
    blocks = ["```bash\n" + "\n".join(commands) + "\n```"]
    if control:
        scaled = next((source.name for source in control if source.fields), None)
        chosen = "" if scaled is None else f", source={json.dumps(scaled)}"
        blocks.append(
            "```python\nfrom gato.inference.policy import Policy\n\n"
            f'policy = Policy.load("agent", env.observation_space, env.action_space{chosen})\n'
            "action = policy.act(observation)\n```"
        )
        blocks.append(
            "`policy.reset(prompt=policy.encode_demonstration(observations, actions))` starts an episode after a "
            "demonstration, which tells the agent what to do."
        )
    return "\n\n".join(blocks)


def _trained(facts: CardFacts) -> str:
    data = facts.config.data
    head = (
        f"{facts.step:,} steps of {data.batch_size} rows of up to {data.context_length:,} tokens, seed "
        f"{facts.config.seed}."
    )
    if not data.sources:
        return f"{head} The run's config names no sources."
    total = sum(data.row_weights)
    lines = ["| source | kind | share of rows | numbers scaled by | least return |", "|---|---|---:|---|---|"]
    for source, weight in zip(data.sources, data.row_weights, strict=True):
        least = "–" if source.min_return is None else f"{source.min_return:.0%} of the expert's"
        scaling = source.scaling if _yields_episodes(source) else "–"
        cells = (_plain(source.name), source.kind, f"{weight / total:.1%}", scaling, least)
        lines.append(f"| {' | '.join(cells)} |")
    limited = [source for source in data.sources if source.max_epochs is not None or source.max_tokens is not None]
    tail = [f"{_plain(source.name)} by a budget of {_budget(source)}" for source in limited]
    note = f"\n\nShares may be lower than stated for {'; '.join(tail)}." if tail else ""
    return f"{head}\n\n" + "\n".join(lines) + note


def _budget(source: SourceConfig) -> str:
    parts = [] if source.max_epochs is None else [f"{source.max_epochs:g} epochs"]
    parts += [] if source.max_tokens is None else [f"{source.max_tokens:,} tokens"]
    return " and ".join(parts)


def _scores(facts: CardFacts) -> str:
    scores = facts.scores
    if not scores:
        return "None were measured for this card."
    rounded = " They were measured before the parameters were rounded to bfloat16." if facts.rounded else ""
    single = f"{score_table(scores)}"
    tables = [single] if len(scores) == 1 else [single, f"{aggregate_table(scores)}"]
    fenced = "\n\n".join(f"```\n{table}\n```" for table in tables)
    return f"Normalised: {SCALE}. Episodes and seeds are in `scores.json`.{rounded}\n\n{fenced}"


def _limits(config: RunConfig, scores: Sequence[ScoreRecord]) -> str:
    lines = ["It knows what the sources above hold, and nothing was done to make it know or withhold anything else."]
    if _controls(config):
        lines += [
            "Actions are always members of the action space. Whether they are safe is for whoever connects it to a "
            "machine to see to.",
            "In an environment that it was not trained on it needs a demonstration as a prompt, and may fail with one.",
            f"It remembers {config.policy.context_length:,} tokens, prompt included; older timesteps are forgotten.",
        ]
    if not scores:
        lines.append("How well it does was not measured here: measure it with `gato evaluate` before relying on it.")
    return "\n".join(f"- {line}" for line in lines)


def _licence(license_id: str | None) -> str:
    if license_id is None:
        return "The authors state none: ask them before you use or pass on these weights."
    return f"{license_id}, for these weights. The data that they were trained on have licences of their own."


def _controls(config: RunConfig) -> list[SourceConfig]:
    """Returns the sources of episodes."""
    return [source for source in config.data.sources if _yields_episodes(source)]


def _yields_episodes(source: SourceConfig) -> bool:
    """Says whether a source's records are episodes, or may be, as those of a prepared one."""
    return "episodes" in find_format(source.kind).yields


def _results(name: str, scores: Sequence[ScoreRecord]) -> Iterator[str]:
    """Yields the lines of `model-index`, one result per record."""
    if not scores:
        return
    yield from ("model-index:", f"- name: {_quoted(name)}", "  results:")
    for record in scores:
        setting = "" if record.variants == "all" else f", {record.variants} variants"
        metrics = [("mean_return", record.return_mean)]
        metrics += [] if record.normalized is None else [("normalized_score", record.normalized)]
        yield from (
            "  - task:",
            "      type: reinforcement-learning",
            "    dataset:",
            f"      name: {_quoted(record.task + setting)}",
            f"      type: {_quoted(record.task)}",
            "    metrics:",
        )
        for kind, value in metrics:
            yield from (
                f"    - type: {kind}",
                f"      value: {round(value, 4)}",
                f"      name: {_quoted(f'{kind}, {record.prompt} prompt, {record.episodes} episodes')}",
            )


def _items(key: str, values: Sequence[str]) -> Iterator[str]:
    yield f"{key}:"
    yield from (f"- {_quoted(value)}" for value in values)


def _quoted(text: Any) -> str:
    """Returns a YAML scalar: JSON's double quotes are YAML's."""
    return json.dumps(str(text), ensure_ascii=False)


def _plain(text: str) -> str:
    """Returns a name as Markdown shows it, whatever it holds."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
