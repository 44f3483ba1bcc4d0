"""docs/where.md answers with places that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "where.md").read_text(encoding="utf-8")
PLACES = re.findall(r"`([\w/]+\.py):([\w.]+)`", PAGE)


def defined_names(tree: ast.Module | ast.ClassDef) -> dict[str, ast.stmt]:
    """What a module or class defines by itself: functions, classes and assigned names."""
    found: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id: node for target in targets if isinstance(target, ast.Name)}
    return found


def test_the_page_answers_many_questions_one_place_per_row_at_least() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "|---|" not in line]
    questions = [row for row in rows if not row.startswith("| question")]
    assert len(questions) >= 30
    assert [row for row in questions if not re.search(r"`[\w/]+\.py:[\w.]+`", row)] == []


@pytest.mark.parametrize(("path", "name"), PLACES, ids=[f"{path}:{name}" for path, name in PLACES])
def test_the_place_exists(path: str, name: str) -> None:
    assert (ROOT / path).is_file(), f"docs/where.md names {path}, which is no file"
    outer: ast.stmt | ast.Module = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    for part in name.split("."):
        assert isinstance(outer, ast.Module | ast.ClassDef), f"{path}: {part!r} is looked for in what has no members"
        names = defined_names(outer)
        assert part in names, f"docs/where.md names {path}:{name}, but there is no {part!r}, only {sorted(names)}"
        outer = names[part]
