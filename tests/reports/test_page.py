import base64
import hashlib
import io
import re
from html.parser import HTMLParser
from typing import get_args

import pytest
from PIL import Image

from gato.reports.page import (
    Block,
    Chart,
    Code,
    Fact,
    Grid,
    GridImage,
    Page,
    Scrubber,
    Section,
    Tabs,
    page_html,
    write_page,
)
from gato.reports.table import Table

EVIL = "<script>alert('x')</script> & \"quotes\""


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, format="PNG")
    return buffer.getvalue()


def page(text: str = EVIL) -> Page:
    svg = "<svg xmlns='http://www.w3.org/2000/svg'/>"
    blocks = (
        text,
        Code(text=text),
        Code(text=text, folded_under=text),
        Table(headings=(text, text), rows=((text, text),)),
        Chart(light=svg, dark=svg, alt=text, caption=text),
        Grid(images=(GridImage(content=png(), alt=text, caption=text),)),
        Grid(images=(GridImage(content=png(), alt=text),), width_px=100),
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


def moving(block) -> str:
    return page_html(Page(title="t", lead="l", facts=(), sections=(Section(title="s", blocks=(block,)),)))


def test_every_class_of_block_has_its_markup():
    blocks = (*page("plain").sections[0].blocks, SORTABLE, Tabs(panels=()), Scrubber(content={}))
    assert {type(block) for block in blocks} == set(get_args(Block))
    for block in blocks:
        assert re.search(r"</h2>\s*<(?!/section)", moving(block)), block


SORTABLE = Table(headings=("a",), rows=(("1",),), sortable=True)


@pytest.mark.parametrize("block", [SORTABLE, Tabs(panels=()), Scrubber(content={"steps": []})])
def test_only_our_own_script_may_run_and_only_where_it_is_needed(block):
    document = moving(block)
    (script,) = re.findall(r"<script>(.*?)</script>", document, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in document
    assert "script" not in page_html(page("plain"))


def test_no_content_of_a_scrubber_can_end_its_script():
    document = moving(Scrubber(content={"text": EVIL, "more": "</script>"}))
    assert document.count("</script>") == 2
    assert EVIL not in document


def test_a_number_that_is_none_is_refused_in_a_scrubber():
    with pytest.raises(ValueError, match="not JSON compliant"):
        moving(Scrubber(content={"loss": float("nan")}))


def test_without_the_script_all_panels_are_seen():
    panels = tuple(Section(title=name, blocks=(name,)) for name in ("one", "two"))
    document = moving(Tabs(panels=panels))
    assert Reader(document).texts.count("two") == 2
    assert " hidden" not in re.sub(r"<(style|script)>.*?</\1>", "", document, flags=re.DOTALL)


def test_long_words_in_a_table_may_break_but_numbers_may_not():
    document = moving(Table(headings=("a", "b", "c"), rows=(("x" * 60, "y", "1" * 60),), num_text_columns=2))
    assert re.findall(r"<td([^>]*)>", document) == [' class="words"', "", ' class="number"']
