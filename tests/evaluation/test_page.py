import io
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from gato.evaluation.page import (
    Chart,
    Code,
    Fact,
    Grid,
    Page,
    Paragraph,
    Picture,
    Section,
    Table,
    page_html,
    write_page,
)
from gato.evaluation.style import ThemedImage

EVIL = "<script>alert('x')</script> & \"quotes\""


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, format="PNG")
    return buffer.getvalue()


def page(text: str = EVIL) -> Page:
    chart = ThemedImage(
        light="<svg xmlns='http://www.w3.org/2000/svg'/>", dark="<svg xmlns='http://www.w3.org/2000/svg'/>"
    )
    blocks = (
        Paragraph(text=text),
        Code(text=text),
        Code(text=text, folded_under=text),
        Table(headings=(text, text), rows=((text, text),)),
        Chart(image=chart, alt=text, caption=text),
        Grid(pictures=(Picture(content=png(), alt=text, caption=text),)),
        Grid(pictures=(Picture(content=png(), alt=text),), width_px=100),
    )
    return Page(
        title=text,
        lead=text,
        facts=(Fact(value=text, label=text, note=text),),
        sections=(Section(title=text, blocks=blocks),),
    )


class Reader(HTMLParser):
    """Collects what a browser would see."""

    void = frozenset({"meta", "img", "source"})

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.alts: list[str] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(document)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in self.void:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "srcset", "action", "data"):
                self.links.append(value)
            if name == "alt":
                self.alts.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_every_text_is_escaped():
    read = Reader(page_html(page()))
    assert "script" not in read.tags
    assert read.texts.count(EVIL) == 18
    assert read.alts == [EVIL] * 3


def test_all_tags_are_closed_in_order():
    assert Reader(page_html(page())).open == []


def test_nothing_comes_from_outside_the_file():
    document = page_html(page("plain"))
    links = Reader(document).links
    assert links
    assert all(link.startswith(("data:image/", "#section-")) for link in links)
    assert not re.search(r"url\(|@import|https?:|<link|<script", document)


def test_the_page_forbids_itself_to_load_anything():
    assert "default-src 'none'" in page_html(page())


def test_navigation_leads_to_the_sections():
    document = page_html(page("plain"))
    assert 'href="#section-0"' in document
    assert 'id="section-0"' in document


def test_pictures_name_their_own_format():
    document = page_html(page("plain"))
    assert document.count("data:image/png;base64,") == 2
    assert document.count("data:image/svg+xml;base64,") == 2


def test_a_page_is_written_in_utf8(tmp_path):
    write_page(tmp_path / "page.html", page("naïve ✓ 日本"))
    assert "naïve ✓ 日本" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_table_prints_in_columns():
    table = Table(headings=("task", "score"), rows=(("cartpole", "0.99"), ("go", "1")))
    assert str(table).splitlines() == [
        "task      score",
        "───────────────",
        "cartpole   0.99",
        "go            1",
    ]


def test_a_table_row_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="row 1 has 1 cells, expected 2"):
        Table(headings=("a", "b"), rows=(("1", "2"), ("3",)))
