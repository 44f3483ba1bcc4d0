"""A table as Markdown or LaTeX, for a model card or a paper."""

from collections.abc import Sequence

from gato.reports.page import Table

_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--"}
    | {character: f"${command}$" for character, command in zip("−±≥<>", ("-", r"\pm", r"\geq", "<", ">"), strict=True)}
)


def markdown(table: Table) -> str:
    """The table in the pipe form of Markdown, with its last line ended."""

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"

    rules = ["---" if column < table.num_text_columns else "---:" for column in range(len(table.headings))]
    return "".join(line(cells) for cells in (table.headings, rules, *table.rows))


def latex(table: Table) -> str:
    r"""The table as a `tabular` with the rules of booktabs (`\usepackage{booktabs}`), with its last line ended."""

    def line(cells: Sequence[str]) -> str:
        return "  " + " & ".join(cell.translate(_LATEX) for cell in cells) + r" \\"

    columns = "l" * table.num_text_columns + "r" * (len(table.headings) - table.num_text_columns)
    body = [line(cells) for cells in table.rows]
    lines = [f"\\begin{{tabular}}{{{columns}}}", r"  \toprule", line(table.headings), r"  \midrule", *body]
    return "\n".join([*lines, r"  \bottomrule", r"\end{tabular}", ""])
