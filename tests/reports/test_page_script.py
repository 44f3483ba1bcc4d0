"""The script of our pages, run by node on as much of a browser as it needs; skipped where there is no node."""

import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import gato.reports
from gato.reports.page import Block, Page, Scrubber, Section, Tabs, page_html
from gato.reports.table import Table

SCRIPT = Path(gato.reports.__file__).with_name("static") / "page.js"

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs node to run the script")

EVIL = "<img src=x onerror=alert(1)></script>"


class Tree(HTMLParser):
    """The document as nested lists: tag, attributes, children."""

    void = frozenset({"meta", "img", "source"})

    def __init__(self, document: str) -> None:
        super().__init__()
        self.root: list[Any] = ["document", {}, []]
        self._open = [self.root]
        self.feed(document)

    def handle_starttag(self, tag, attrs):
        node = [tag, {name: value or "" for name, value in attrs}, []]
        self._open[-1][2].append(node)
        if tag not in self.void:
            self._open.append(node)

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        self._open[-1][2].append(data)


def after(scenario: str, *blocks: Block) -> Any:
    """What a scenario of JavaScript returns on a page of these blocks."""
    page = Page(title="t", lead="l", facts=(), sections=(Section(title="s", blocks=blocks),))
    asked = {"tree": Tree(page_html(page)).root, "script": SCRIPT.read_text(encoding="utf-8"), "scenario": scenario}
    node = Path(__file__).with_name("small_dom.js")
    done = subprocess.run(["node", str(node)], input=json.dumps(asked), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


TABLE = Table(
    headings=("task", "score"),
    rows=(("b10", "−0.50 (−1 to 0)"), ("b9", "+12"), ("a", "–"), ("c", "1,234 ± 5"), ("d", "45%")),
    sortable=True,
)
CLICKS = """
const column = () => document.querySelector("tbody").children.map((row) => row.children[0].textContent);
const [task, score] = document.querySelectorAll("th");
const found = [];
for (const heading of [score, score, task, task]) {
  heading.querySelector("button").click();
  found.push([column(), heading.getAttribute("aria-sort")]);
}
return found;
"""


def test_a_click_sorts_by_number_or_name_and_another_one_turns_it():
    assert after(CLICKS, TABLE) == [
        [["c", "d", "b9", "b10", "a"], "descending"],
        [["b10", "b9", "d", "c", "a"], "ascending"],  # what has no number stays at the end
        [["a", "b9", "b10", "c", "d"], "ascending"],
        [["d", "c", "b10", "b9", "a"], "descending"],
    ]


def test_other_tables_have_no_buttons():
    plain = Table(headings=("task",), rows=(("a",),))
    assert after('return document.querySelectorAll("button").length;', plain, TABLE) == 2


def test_one_panel_is_seen_at_a_time():
    inner = Tabs(panels=tuple(Section(title=name, blocks=(name,)) for name in ("x", "y")))
    tabs = Tabs(panels=(Section(title="first", blocks=(inner,)), Section(title="second", blocks=())))
    seen = """
    const seen = () => document.querySelectorAll(".panel").map((panel) => !panel.hidden);
    const found = [seen()];
    const named = (name) => document.querySelectorAll("button").find((button) => button.textContent === name);
    for (const name of ["second", "y", "first"]) { named(name).click(); found.push(seen()); }
    return found;
    """
    assert after(seen, tabs) == [  # first, its x and y, second
        [True, True, False, False],
        [False, True, False, True],
        [False, False, True, True],
        [True, False, True, False],
    ]


def test_a_single_panel_keeps_its_title():
    alone = Tabs(panels=(Section(title="only", blocks=()),))
    assert after('return document.querySelector("h3").hidden;', alone) is False


def scrubber() -> Scrubber:
    steps = [
        {
            "timestep": t,
            "seen": [
                {"tokens": [0, 0], "ids": [7, 9], "observed": ["0.1", "0.2"], "read": ["0.11", EVIL]},
                {"tokens": [2, 3, 4, 5], "image": "data:image/png;base64,AA=="},
                {"tokens": [6], "ids": [3], "pieces": [EVIL]},
            ],
            "separator": "Token 7: the separator",
            "predicted": "all at once" if t else "",
            "action": [
                {
                    "field": "action",
                    "place": "token 8, ",
                    "id": 21,
                    "legal": "20 to 22",
                    "value": "1 left",
                    "options": [[20, "0 right", 0.75, "75.0%"], [21, "1 left", 0.25, "25.0%"]],
                    "rest": "1 other",
                }
            ],
            "reward": f"{t}",
            "total": f"{t * 2}",
            "context": "all of it",
            **({"frame": f"data:image/webp;base64,{t}"} if t else {}),
        }
        for t in (0, 5, 9)
    ]
    leaves = [
        {"kind": "numbers", "title": "position: 2 continuous numbers", "binned": True, "first_id": 5},
        {"kind": "image", "title": "camera", "rows": 2, "columns": 2},
        {"kind": "text", "title": "mission: text"},
    ]
    return Scrubber(content={"num_timesteps": 10, "leaves": leaves, "steps": steps})


def test_a_timestep_shows_what_was_seen_and_done():
    cells = """
    const cells = document.querySelectorAll("td").map((cell) => cell.textContent);
    const patches = document.querySelector(".patches").querySelectorAll("span").map((one) => one.textContent);
    const chosen = document.querySelectorAll("li").map((one) => [one.textContent, one.classList.contains("chosen")]);
    const told = [document.querySelector("output"), document.querySelector(".token").children[0]];
    return [cells, patches, chosen, ...told.map((one) => one.textContent)];
    """
    quiet = """
    const told = () => document.querySelectorAll(".quiet").map((one) => one.textContent);
    const found = [told()];
    document.querySelectorAll("button")[1].click();
    return [...found, told()];
    """
    assert after(quiet, scrubber()) == [
        ["all of it", "Token 7: the separator", "1 other"],
        ["all of it", "Token 7: the separator", "all at once", "1 other"],
    ]
    assert after(cells, scrubber()) == [
        ["0", "7", "2", "0.1", "0.11", "0", "9", "4", "0.2", EVIL],  # token, id, bin, observed, read as
        ["2", "3", "4", "5"],
        [["0 right (id 20)75.0%", False], ["1 left (id 21)25.0%", True]],
        "timestep 0 of 10, reward 0, return 0",
        "action: token 8, id 21 of 20 to 22, which means 1 left",
    ]


def test_content_never_becomes_markup():
    tags = 'return document.querySelectorAll("img").map((image) => image.getAttribute("src"));'
    assert after(tags, scrubber()) == [None, "data:image/png;base64,AA=="]  # the first timestep has no frame


def test_buttons_slider_and_play_walk_through_the_timesteps():
    walk = """
    const [before, after, play] = document.querySelectorAll("button");
    const slider = document.querySelector("input");
    const told = () => document.querySelector("output").textContent.split(",")[0].split(" ")[1];
    const found = [];
    const note = () => found.push([told(), slider.value, play.textContent]);
    before.click(); note();
    after.click(); note();
    slider.value = "2"; slider.dispatch("input"); note();
    after.click(); note();
    play.click(); note();
    tick(); note();
    tick(); note();
    tick(); note();
    return found;
    """
    assert after(walk, scrubber()) == [
        ["0", "0", "play"],
        ["5", "1", "play"],
        ["9", "2", "play"],
        ["9", "2", "play"],
        ["0", "0", "stop"],
        ["5", "1", "stop"],
        ["9", "2", "stop"],
        ["9", "2", "play"],
    ]


def test_the_frame_is_seen_where_there_is_one():
    frames = """
    const drawn = document.querySelector(".drawn");
    const found = [drawn.hidden];
    document.querySelectorAll("button")[1].click();
    return [...found, drawn.hidden, drawn.querySelector("img").getAttribute("src")];
    """
    assert after(frames, scrubber()) == [True, False, "data:image/webp;base64,5"]
