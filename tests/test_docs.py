"""What the documentation names exists: paths, modules, commands with their options, make targets."""

import pydoc
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import tyro

from gato.cli.main import command_of, load_command

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "gato",
    "envs",
    "configs",
    "docs",
    "tests",
    "benchmarks",
    "examples",
    ".ci",
}  # what is always in the repository
FILES = re.compile(r"[A-Za-z_][\w.-]*\.(?:md|toml|txt)|Makefile|LICENSE")

every_page = pytest.mark.parametrize(
    "page",
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        *sorted(ROOT.glob("docs/**/*.md")),
        *sorted(ROOT.glob("benchmarks/*.md")),
        ROOT / "checkpoints" / "README.md",
    ],
    ids=lambda page: str(page.relative_to(ROOT)),
)


def code(page: Path) -> Iterator[str]:
    """Lines of fenced blocks, and spans in backticks; a line that ends in a backslash is joined with the next."""
    text = page.read_text(encoding="utf-8")
    block = re.compile(r"^```[^\n]*\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
    for match in block.finditer(text):
        yield from match[1].replace("\\\n", " ").splitlines()
    yield from re.findall(r"`([^`\n]+)`", block.sub("", text))


def commands(page: Path, program: str) -> Iterator[list[str]]:
    """The arguments of every call of a program that the page shows, comments left out."""
    for line in code(page):
        for part in re.split(r"&&|\|", line):
            call = re.match(rf"\s*(?:[A-Z_]+=\S+\s+)*(?:\.venv/bin/)?{program}\s+(\S.*)", part)
            if call:
                yield shlex.split(call[1], comments=True)


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    local = [link.partition("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]
    assert [link for link in local if not (page.parent / link).exists()] == []


@every_page
def test_named_paths_exist(page: Path) -> None:
    missing = []
    for word in (word for line in code(page) for word in re.split(r"[\s,;:()\"'=]+", line)):
        named = word.split("/")[0] in FOLDERS and "/" in word
        if (named or FILES.fullmatch(word)) and not any(mark in word for mark in "<>{"):
            found = [path for base in (ROOT, page.parent) for path in base.glob(word.rstrip("/."))]
            missing += [] if found else [word]
    assert missing == []


@every_page
def test_named_modules_exist(page: Path) -> None:
    names = {name for line in code(page) for name in re.findall(r"(?<![\w./-])gato(?:\.[A-Za-z_]\w*)+", line)}
    assert [name for name in sorted(names) if pydoc.locate(name) is None] == []


@every_page
def test_named_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    words = [word for call in commands(page, "make") for word in call if "=" not in word]
    assert [word for word in words if word not in targets] == []


@every_page
def test_named_commands_and_options_exist(
    page: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    unknown = []
    for call in commands(page, "gato"):
        command, arguments = command_of(call)
        if command is None:
            unknown += [] if call[0].isupper() or call[0].startswith(("-", "<")) else [" ".join(call[:2])]
        elif options := [argument.partition("=")[0] for argument in arguments if argument.startswith("--")]:
            with pytest.raises(SystemExit):
                tyro.cli(load_command(command), args=["--help"])
            known = capsys.readouterr().out
            unknown += [f"{command} {option}" for option in options if not re.search(rf"{option}\b", known)]
    assert unknown == []
