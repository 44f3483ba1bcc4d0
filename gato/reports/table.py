"""One table of text in every form that we write: for a console, as Markdown, as LaTeX; `page` lays it out as HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--"}
    | {character: f"${command}$" for character, command in zip("−±≥<>", ("-", r"\pm", r"\geq", "<", ">"), strict=True)}
)


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of text under headings; `str` gives the form for a console."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    num_text_columns: int = 1  # the first ones; the others hold numbers and are set flush right
    sortable: bool = False  # on a page, a click on a heading sorts by the text or the first number of its cells

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, str]]) -> "Table":
        """Makes a table of one row or more, each by its headings."""
        return cls(headings=tuple(rows[0]), rows=tuple(tuple(row.values()) for row in rows))

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

    def markdown(self) -> str:
        """Returns the pipe form of Markdown, with its last line ended."""

        def line(cells: Sequence[str]) -> str:
            return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"

        rules = ["---" if column < self.num_text_columns else "---:" for column in range(len(self.headings))]
        return "".join(line(cells) for cells in (self.headings, rules, *self.rows))

    def latex(self) -> str:
        r"""Returns a `tabular` with the rules of booktabs (`\usepackage{booktabs}`), with its last line ended."""

        def line(cells: Sequence[str]) -> str:
            return "  " + " & ".join(cell.translate(_LATEX) for cell in cells) + r" \\"

        columns = "l" * self.num_text_columns + "r" * (len(self.headings) - self.num_text_columns)
        body = [line(cells) for cells in self.rows]
        lines = [f"\\begin{{tabular}}{{{columns}}}", r"  \toprule", line(self.headings), r"  \midrule", *body]
        return "\n".join([*lines, r"  \bottomrule", r"\end{tabular}", ""])


def titled_markdown(tables: Sequence[tuple[str, Table]]) -> str:
    """Joins tables as Markdown, each below the sentence that says what it tells."""
    return "\n".join(f"{sentence}\n\n{table.markdown()}" for sentence, table in tables)
