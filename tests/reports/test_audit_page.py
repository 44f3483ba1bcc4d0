"""The page of an audit: what is measured stands on it, and strange texts do no harm."""

import json

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from gato.audit.advice import Advice, advise, group
from gato.audit.mixture import References, audit_mixture
from gato.audit.sample import AuditLimits
from gato.config import DataConfig, PromptConfig, SourceConfig, TokenizerConfig
from gato.data.episode import Dialogue, Episode
from gato.data.sources.images import write_images
from gato.data.sources.minari_writer import write_minari
from gato.data.sources.opening import open_source
from gato.reports.audit_page import audit_page
from gato.reports.audit_plots import CELL, KIND_COLORS, count_bars, row_figure, row_pixels
from gato.reports.audit_tables import kind_table, summary_table
from gato.reports.page import page_html
from gato.reports.style import DARK
from gato.tokenizer.text import TextTokenizer


@pytest.fixture(scope="module")
def text():
    return TextTokenizer.train(["what colour is the ball? it is red or blue, and it costs $5 or <b>more</b>"] * 3, 290)


@pytest.fixture(scope="module")
def mixture(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("sources")
    rng = np.random.default_rng(0)
    episodes = [
        Episode(
            observations=rng.normal(size=(9, 30)).astype(np.float32),
            actions=rng.integers(0, 3, 8),
            rewards=np.full(8, float(seed)),
            terminated=False,
            truncated=True,
        )
        for seed in range(6)
    ]
    space = Box(-np.inf, np.inf, (30,), np.float32)
    write_minari(folder / "toy", episodes, space, Discrete(3, start=-1), dataset_id="toy/toy-v0")
    talks = [
        Dialogue(
            image=rng.integers(0, 256, (8, 12, 3), dtype=np.uint8),
            turns=(("user", "what colour is it?"), ("agent", answer)),
        )
        for answer in ("$5", "$5 or <b>more</b>", "red") * 3
    ]
    write_images(folder / "asked.zip", talks)
    (folder / "text.jsonl").write_text(json.dumps({"text": "the ball\nis red"}) + "\n")
    sources = (
        SourceConfig(name="toy", kind="minari", path=str(folder / "toy"), prompt=PromptConfig(probability=0)),
        SourceConfig(name="asked", kind="questions", path=str(folder / "asked.zip")),
        SourceConfig(name="<gone>", kind="text", path=str(folder / "gone")),
        SourceConfig(name="words", kind="text", path=str(folder / "text.jsonl")),
    )
    return audit_mixture(
        DataConfig(sources=sources, context_length=200, max_patches=64),
        TokenizerConfig(text_vocab_size=text.vocab_size, patch_size=4),
        text,
        open_source,
        limits=AuditLimits(rows=4),
        references={"toy": References(random=0, expert=100)},
    )


@pytest.fixture(scope="module")
def html(mixture):
    return page_html(audit_page(mixture, advise(mixture), title="The data of toy", text_note="Counted in pieces."))


def test_the_page_has_a_section_for_the_mixture_its_advice_and_every_source(html):
    for title in ("Advice", "The mixture", "toy", "asked", "&lt;gone&gt;", "words"):
        assert f"<h2>{title}</h2>" in html


def test_the_page_says_how_much_was_read_and_how_text_was_counted(html):
    assert "at most 200 episodes" in html
    assert "4 rows" in html
    assert "Counted in pieces." in html


def test_texts_of_the_data_are_escaped(html):
    assert "<b>more" not in html
    assert "&lt;b&gt;more" in html


def test_advice_stands_with_its_rule(html, mixture):
    advice = advise(mixture)
    assert any("of the way from random" in one.text for one in advice)
    assert html.count("(Rule: ") == len(group(advice)) + len(advice)


def test_a_page_without_advice_says_so(mixture):
    assert "No rule found anything" in page_html(audit_page(mixture, [], title="x"))


def test_the_summary_has_one_row_a_source(mixture):
    table = summary_table(mixture)
    rows = {row[0]: dict(zip(table.headings, row, strict=True)) for row in table.rows}
    assert list(rows) == ["toy", "asked", "<gone>", "words"]
    assert (rows["toy"]["records"], rows["toy"]["timesteps"], rows["toy"]["rows"]) == ("6", "48", "25.0%")
    assert rows["toy"]["return"] == "20"
    assert rows["<gone>"]["bad"] == "1"
    assert rows["<gone>"]["loss"] == "–"
    shares = [float(row["loss"].rstrip("%")) for row in rows.values() if row["loss"] != "–"]
    assert sum(shares) == pytest.approx(100, abs=0.2)


def test_every_kind_has_a_colour_of_its_own():
    assert len(set(KIND_COLORS.values())) == len(KIND_COLORS)


def test_a_row_is_drawn_with_its_patches_as_pictures_and_its_loss_underlined(mixture):
    example = mixture.sources[1].example
    pixels = row_pixels(example, DARK)
    height, width = CELL
    text = [int(DARK.text[i : i + 2], 16) for i in (1, 3, 5)]
    for i in range(40):
        line, column = divmod(i, 64)
        cell = pixels[line * height : (line + 1) * height, column * width : (column + 1) * width]
        assert (cell[height - 4, width // 2] == text).all() == example.loss_mask[i]
    place, patch = int(example.patch_indices[0]), example.patches[0]
    assert (pixels[1, place * width + 2] == patch[0, 0]).all()
    row_figure(example, DARK).draw_without_rendering()


def test_counts_of_texts_that_look_like_formulas_are_drawn(mixture):
    figure = count_bars([("$5 and $6", 3), ("x" * 100, 1)], "answers")
    figure.draw_without_rendering()
    assert len(figure.axes[0].get_yticklabels()[1].get_text()) == 60


def test_kinds_of_sources_add_up_to_the_mixture(mixture):
    rows = {row[0]: row for row in kind_table(mixture).rows}
    assert list(rows) == ["minari", "questions", "text"]
    assert rows["text"][1:3] == ("2", "50.0%")
    for column in (2, 3, 4):
        assert sum(float(row[column].rstrip("%")) for row in rows.values()) == pytest.approx(100, abs=0.2)


def test_advice_that_many_sources_share_is_said_once_with_their_names(mixture):
    advice = [Advice(source=name, verb="set", text=f"{name} is short", rule="short") for name in ("toy", "asked")]
    html = page_html(audit_page(mixture, advice, title="x"))
    assert "set – 2 sources: toy, asked. Such as toy: toy is short. (Rule: short.)" in html
