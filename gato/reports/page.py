"""A self-contained HTML page from plain records: headline facts, then sections of text, tables and images.

`templates/` lays the records out, `static/` holds the look and the script. Everything is inside the one file and every
text is escaped; the page's own policy forbids it to load anything. The script is there only where a block needs it, and
the policy knows it by its hash; without it all blocks are still seen.
"""

import base64
import functools
import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias, get_args

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure
from PIL import Image

from gato.reports.style import DARK, LIGHT, svg
from gato.reports.table import Table

_LONG_CELL = 40  # characters of a table cell; a longer text may be broken into lines


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One number that a reader should see first."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Code:
    """Lines to type or to read, as they are."""

    text: str
    folded_under: str = ""  # a line to click on, where the text is long


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A figure over the whole width, drawn for both themes."""

    light: str  # SVG
    dark: str  # SVG
    alt: str  # what it shows, for those who cannot see it
    caption: str = ""


@dataclass(frozen=True, kw_only=True)
class GridImage:
    """A PNG or GIF."""

    content: bytes
    alt: str
    caption: str = ""

    @property
    def width_px(self) -> int:
        with Image.open(io.BytesIO(self.content)) as image:
            return image.width

    @property
    def uri(self) -> str:
        with Image.open(io.BytesIO(self.content)) as image:
            return data_uri(self.content, str(image.format).lower())


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Small images side by side."""

    images: tuple[GridImage, ...]
    width_px: int | None = None  # about that wide, in even columns; None = each in its own size


@dataclass(frozen=True, kw_only=True)
class Scrubber:
    """An episode to go through timestep by timestep; `gato.reports.token_view` makes its content."""

    content: Mapping[str, Any]  # JSON values


@dataclass(frozen=True, kw_only=True)
class Tabs:
    """Several panels of which one is seen at a time; without the script all are, one below another."""

    panels: tuple["Section", ...]


# Text alone is a paragraph.
Block: TypeAlias = str | Code | Table | Chart | Grid | Scrubber | Tabs


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

    @property
    def needs_script(self) -> bool:
        blocks = [block for section in self.sections for block in section.blocks]
        return any(isinstance(block, Scrubber | Tabs) or getattr(block, "sortable", False) for block in blocks)


def draw_chart(draw: Callable[..., Figure], *data: Any, alt: str, caption: str = "") -> Chart:
    """Draws a figure for both themes.

    Args:
        draw: makes the figure from the data and a theme, which comes last.
        data: whatever `draw` takes.
        alt: what the figure shows, in words.
        caption: below the figure.
    """
    return Chart(light=svg(draw(*data, LIGHT)), dark=svg(draw(*data, DARK)), alt=alt, caption=caption)


def write_page(path: Path, page: Page) -> None:
    """Writes the page as one HTML file."""
    path.write_text(page_html(page), encoding="utf-8")


def page_html(page: Page) -> str:
    """Returns the page as one HTML document without any reference to the outside."""
    return _environment().get_template("page.html.j2").render(page=page)


def data_uri(content: bytes, kind: str) -> str:
    """Returns an image of a kind such as "png" as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def new_environment(*, autoescape: bool) -> Environment:
    """Opens `templates/`; a name that a template uses and does not get is an error."""
    return Environment(
        loader=PackageLoader("gato.reports"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@functools.cache
def _environment() -> Environment:
    """Prepares the templates: what all pages share, and a test for each class of block."""
    environment = new_environment(autoescape=True)
    static = files("gato.reports") / "static"
    script = (static / "page.js").read_text(encoding="utf-8")
    environment.globals |= {
        "css": (static / "page.css").read_text(encoding="utf-8"),
        "script": script,
        "script_sha256": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "light": LIGHT,
        "dark": DARK,
        "long_cell": _LONG_CELL,
    }
    environment.filters["svg_uri"] = lambda image: data_uri(image.encode(), "svg+xml")
    classes = [kind for kind in get_args(Block) if kind is not str]  # Jinja has the test "string" itself
    environment.tests |= {kind.__name__.lower(): lambda block, kind=kind: isinstance(block, kind) for kind in classes}
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return environment
