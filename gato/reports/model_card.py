"""The model card of a released folder: README.md with the front matter that hubs of models read.

Source of the front matter's fields: Hugging Face's documentation of model cards, https://huggingface.co/docs/hub/model-cards.
"""

import json
from dataclasses import dataclass

from gato.config import RunConfig, TokenizerConfig
from gato.data.sources.formats import find_format
from gato.evaluation.scores import ScoreRecord
from gato.reports.page import new_environment
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
    """Writes the card's text; `templates/card.md.j2` lays it out."""
    environment = new_environment(autoescape=False)
    environment.filters |= {
        "quoted": lambda text: json.dumps(str(text), ensure_ascii=False),  # JSON's double quotes are YAML's
        "literal": json.dumps,
        "plain": lambda text: " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;"),
    }
    sources, weights = facts.config.data.sources, facts.config.data.row_weights
    known = [*facts.datasets, *(source.path for source in sources if source.options.get("hub") is True)]
    return environment.get_template("card.md.j2").render(
        facts=facts,
        datasets=list(dict.fromkeys(known)),
        # Those whose records are episodes, or may be, as those of a prepared one.
        control=[source for source in sources if "episodes" in find_format(source.kind).yields],
        sources=[(source, weight / sum(weights)) for source, weight in zip(sources, weights, strict=True)],
        tables=[score_table(facts.scores), *([aggregate_table(facts.scores)] if len(facts.scores) > 1 else [])],
        scale=SCALE,
        layout=_layout(facts.config.tokenizer),
    )


def _layout(tokenizer: TokenizerConfig) -> str:
    """Says in which way timesteps are shorter than the paper's, nothing where they are not."""
    told = []
    if tokenizer.has_groups:
        told.append(f"up to {tokenizer.values_per_token} neighbouring numbers share a token")
    if tokenizer.pieces_per_token > 1:
        told.append(f"so do up to {tokenizer.pieces_per_token} pieces of an observed text")
    if tokenizer.separator == "mark":
        told.append("the separator takes none")
    if tokenizer.has_action_groups:
        told.append("an action is one token")
    if tokenizer.own_actions == "hidden":
        told.append("the agent sees actions in demonstrations only, not its own")
    return f"Timesteps are shorter than the paper's: {', '.join(told)}." if told else ""
