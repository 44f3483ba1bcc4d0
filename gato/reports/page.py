"""A self-contained HTML page from plain records: headline facts, then sections of text, tables and pictures.

Everything is inside the one file and every text is escaped; the page's own policy forbids it to load anything. A page
with blocks that move carries our one script, which the policy knows by its hash; without it they still show all.
"""

import base64
import hashlib
import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image

from gato.reports.page_script import SCRIPT, SCRIPT_RULES
from gato.reports.style import DARK, LIGHT, Theme, ThemedImage

_LONG_CELL = 40  # characters of a table's text from which on it may be broken into lines


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One number that a reader should see first."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Code:
    """Lines to type or to read, as they are."""

    text: str
    folded_under: str = ""  # a line to click on, where the text is long


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of text under headings; `str` gives it for a console."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    num_text_columns: int = 1  # the first ones; the others hold numbers and are set flush right
    sortable: bool = False  # on a page, a click on a heading sorts by the text or the first number of its cells

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.headings):
                raise ValueError(f"row {number} has {len(row)} cells, expected {len(self.headings)}: {row}")

    def __str__(self) -> str:
        lines = [self.headings, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.headings))]
        laid_out = [
            "  ".join(
                cell.ljust(width) if column < self.num_text_columns else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        return "\n".join([laid_out[0], "─" * (sum(widths) + 2 * (len(widths) - 1)), *laid_out[1:]])


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A figure over the whole width, drawn for both themes."""

    image: ThemedImage
    alt: str  # what it shows, for those who cannot see it
    caption: str = ""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A PNG or GIF."""

    content: bytes
    alt: str
    caption: str = ""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Small pictures side by side."""

    pictures: tuple[Picture, ...]
    width_px: int | None = None  # about that wide, in even columns; None = each in its own size


@dataclass(frozen=True, kw_only=True)
class Scrubber:
    """An episode to go through timestep by timestep; `gato.reports.token_view` makes its content."""

    content: Mapping[str, Any]  # JSON values


@dataclass(frozen=True, kw_only=True)
class Tabs:
    """Several panels of which one is seen at a time; without the script all are, one below another."""

    panels: tuple["Section", ...]


Block: TypeAlias = Paragraph | Code | Table | Chart | Grid | Scrubber | Tabs


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, kw_only=True)
class Page:
    """A whole report."""

    title: str
    lead: str
    facts: tuple[Fact, ...]
    sections: tuple[Section, ...]


def write_page(path: Path, page: Page) -> None:
    """Writes the page as one HTML file."""
    path.write_text(page_html(page), encoding="utf-8")


def page_html(page: Page) -> str:
    """The page as one HTML document without any reference to the outside."""
    links = "".join(
        f'<a href="#section-{number}">{html.escape(section.title)}</a>' for number, section in enumerate(page.sections)
    )
    facts = "".join(
        f"<div><dt>{html.escape(fact.label)}</dt><dd>{html.escape(fact.value)}</dd>"
        f"{f'<dd class=note>{html.escape(fact.note)}</dd>' if fact.note else ''}</div>"
        for fact in page.facts
    )
    sections = "".join(
        f'<section id="section-{number}"><h2>{html.escape(section.title)}</h2>'
        f"{''.join(_block(block) for block in section.blocks)}</section>"
        for number, section in enumerate(page.sections)
    )
    moves = any(_moves(block) for section in page.sections for block in section.blocks)
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        f"style-src 'unsafe-inline'{f'; script-src {chr(39)}sha256-{digest}{chr(39)}' if moves else ''}\">"
        f'<meta name="color-scheme" content="light dark"><title>{html.escape(page.title)}</title>'
        f"<style>{_css()}{SCRIPT_RULES if moves else ''}</style></head><body><header><h1>{html.escape(page.title)}</h1>"
        f'<p class="lead">{html.escape(page.lead)}</p>'
        f"{f'<dl class=facts>{facts}</dl>' if facts else ''}{f'<nav>{links}</nav>' if links else ''}</header>"
        f"<main>{sections}</main>{f'<script>{SCRIPT}</script>' if moves else ''}</body></html>\n"
    )


def _moves(block: Block) -> bool:
    """Whether the block needs the script."""
    return isinstance(block, Scrubber | Tabs) or (isinstance(block, Table) and block.sortable)


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            return f"<p>{html.escape(block.text)}</p>"
        case Code():
            lines = f"<pre><code>{html.escape(block.text)}</code></pre>"
            if not block.folded_under:
                return lines
            return f"<details><summary>{html.escape(block.folded_under)}</summary>{lines}</details>"
        case Table():
            return _table(block)
        case Chart():
            return _chart(block)
        case Grid():
            return _grid(block)
        case Scrubber():
            # A script of a type that no browser runs; "<" is spelt out, so that nothing can end it early.
            content = json.dumps(block.content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
            return (
                f'<div class="scrubber"><script type="application/json">{content}</script>'
                "<noscript><p>To go through the timesteps, allow this page its script.</p></noscript></div>"
            )
        case Tabs():
            panels = "".join(
                f'<div class="panel"><h3>{html.escape(panel.title)}</h3>{"".join(map(_block, panel.blocks))}</div>'
                for panel in block.panels
            )
            return f'<div class="tabs">{panels}</div>'


def _chart(chart: Chart) -> str:
    dark, light = (data_uri(svg.encode(), "svg+xml") for svg in (chart.image.dark, chart.image.light))
    return (
        '<figure class="wide"><div class="scroll"><picture>'
        f'<source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" alt="{html.escape(chart.alt)}"></picture></div>{_caption(chart.caption)}</figure>'
    )


def _grid(grid: Grid) -> str:
    cells = []
    for picture in grid.pictures:
        with Image.open(io.BytesIO(picture.content)) as image:
            width, kind = image.width, str(image.format).lower()
        own_size = f' style="width:{width}px"' if grid.width_px is None else ""
        cells.append(
            f'<figure{own_size}><img src="{data_uri(picture.content, kind)}" alt="{html.escape(picture.alt)}">'
            f"{_caption(picture.caption)}</figure>"
        )
    if grid.width_px is None:
        return f'<div class="row">{"".join(cells)}</div>'
    return f'<div class="grid" style="--width:{grid.width_px}px">{"".join(cells)}</div>'


def _table(table: Table) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return "".join(f"<{tag}{kind(column, cell)}>{html.escape(cell)}</{tag}>" for column, cell in enumerate(cells))

    def kind(column: int, cell: str) -> str:
        if column >= table.num_text_columns:
            return " class=number"
        return " class=words" if len(cell) > _LONG_CELL else ""

    head = f"<thead><tr>{row(table.headings, 'th')}</tr></thead>"
    body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in table.rows)
    sorts = ' class="sortable"' if table.sortable else ""
    return f'<div class="scroll"><table{sorts}>{head}<tbody>{body}</tbody></table></div>'


def _caption(text: str) -> str:
    return f"<figcaption>{html.escape(text)}</figcaption>" if text else ""


def data_uri(content: bytes, kind: str) -> str:
    """A picture of a kind such as "png" as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _css() -> str:
    return f":root{{{_variables(LIGHT)}}}@media (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}{_RULES}"


def _variables(theme: Theme) -> str:
    names = ("page", "surface", "text", "muted", "line", "primary")
    return "".join(f"--{name}:{getattr(theme, name)};" for name in names)


_RULES = """
*{box-sizing:border-box}
html{color-scheme:light dark;scroll-behavior:smooth}
body{margin:0 auto;max-width:62rem;padding:3.5rem 1.5rem 6rem;background:var(--page);color:var(--text);
 font:17px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif}
h1{font-size:2.3rem;line-height:1.15;letter-spacing:-.02em;margin:0 0 .6rem}
h2{font-size:1.45rem;letter-spacing:-.01em;line-height:1.25;margin:0 0 .8rem}
h3{font-size:1.05rem;line-height:1.3;margin:1.4rem 0 .6rem}
p{max-width:44rem;margin:0 0 1rem}
.lead{font-size:1.15rem;color:var(--muted)}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));gap:.9rem;margin:2rem 0 1.5rem}
.facts div{background:var(--surface);border-radius:10px;padding:1rem 1.1rem;display:flex;flex-direction:column}
.facts dt{order:2;font-size:.88rem;line-height:1.35;color:var(--text)}
.facts dd{margin:0 0 .2rem;font-size:1.9rem;font-weight:650;line-height:1.2;font-variant-numeric:tabular-nums;
 letter-spacing:-.01em}
.facts dd.note{order:3;font-size:.8rem;line-height:1.35;font-weight:400;letter-spacing:0;color:var(--muted);
 margin:.3rem 0 0}
nav{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;font-size:.92rem;padding:.8rem 0;border-bottom:1px solid var(--line)}
nav a{color:var(--primary);text-decoration:none}
nav a:hover,nav a:focus{text-decoration:underline}
section{padding-top:2.6rem}
figure{margin:0}
figure.wide{margin:1.2rem 0}
figure.wide img{width:100%;min-width:38rem}
img{display:block;max-width:100%;height:auto}
figcaption{font-size:.92rem;line-height:1.5;color:var(--muted);margin-top:.5rem;max-width:44rem;white-space:pre-line}
.scroll{overflow-x:auto}
.scroll img{max-width:none}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(var(--width),100%),1fr));gap:1.4rem 1.2rem;
 margin:1.2rem 0;align-items:start}
.row{display:flex;flex-wrap:wrap;gap:1.4rem 1.2rem;margin:1.2rem 0;align-items:start}
.row figure{max-width:100%}
.grid img{max-height:var(--width)}
.grid img,.row img{border-radius:6px;outline:1px solid var(--line)}
table{border-collapse:collapse;font-size:.94rem;width:100%;margin:.6rem 0 1rem}
th{font-weight:600;text-align:left;color:var(--muted);font-size:.84rem}
th,td{padding:.42rem .9rem .42rem 0;border-bottom:1px solid var(--line);vertical-align:top;white-space:nowrap}
th:last-child,td:last-child{padding-right:0}
.number{text-align:right;font-variant-numeric:tabular-nums}
td.words{white-space:normal;overflow-wrap:anywhere;min-width:15rem}
pre{background:var(--surface);border-radius:8px;padding:.9rem 1.1rem;overflow-x:auto;line-height:1.5;
 margin:.4rem 0 1.2rem}
summary{cursor:pointer;color:var(--muted);font-size:.94rem}
code{font:.88rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
@media (max-width:36rem){body{padding:1.6rem 1rem 4rem;font-size:16px}h1{font-size:1.75rem}
 .facts{grid-template-columns:repeat(auto-fit,minmax(9rem,1fr))}}
@media print{body{padding:0;max-width:none}nav{display:none}section{break-inside:avoid}}
"""
