import pytest

from gato.reports.table import Table, titled_markdown


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


def test_markdown_aligns_numbers_right_and_escapes_what_would_end_a_cell():
    table = Table(headings=("task", "score"), rows=(("a|b", "0.5"),))
    assert table.markdown() == "| task | score |\n| --- | ---: |\n| a\\|b | 0.5 |\n"


def test_latex_has_the_rules_of_booktabs_and_escapes_its_own_characters():
    table = Table(headings=("task", "≥ 50%"), rows=(("go_to & {x}", "−0.5 ± 0.1"), (r"back\slash", "–")))
    assert table.latex().splitlines() == [
        r"\begin{tabular}{lr}",
        r"  \toprule",
        r"  task & $\geq$ 50\% \\",
        r"  \midrule",
        r"  go\_to \& \{x\} & $-$0.5 $\pm$ 0.1 \\",
        r"  back\textbackslash{}slash & -- \\",
        r"  \bottomrule",
        r"\end{tabular}",
    ]


def test_tables_stand_below_what_they_tell():
    table = Table(headings=("a",), rows=(("b",),))
    assert titled_markdown([("First.", table), ("Second.", table)]) == (
        "First.\n\n| a |\n| --- |\n| b |\n\nSecond.\n\n| a |\n| --- |\n| b |\n"
    )


def test_a_table_of_rows_by_heading_takes_its_headings_from_them():
    table = Table.from_rows([{"task": "a", "score": "1"}, {"task": "b", "score": "2"}])
    assert (table.headings, table.rows) == (("task", "score"), (("a", "1"), ("b", "2")))
