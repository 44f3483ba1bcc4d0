from gato.evaluation.journal import EpisodeResult, key_of
from gato.evaluation.plan import Cell
from gato.reports.shown_episodes import best_and_worst


def played(returns: dict[str, list[float]]):
    """Cells and results of tasks with these returns."""
    cells, results = [], {}
    for task, values in returns.items():
        for episode, value in enumerate(values):
            cell = Cell(task=task, prompt="none", variants="all", episode=episode, seed=episode, variant=0)
            cells.append(cell)
            results[key_of(cell)] = EpisodeResult(
                task=task,
                prompt="none",
                variants="all",
                episode=episode,
                variant=0,
                seed=episode,
                episode_return=value,
                length=3,
            )
    return cells, results


def chosen(cells, results, num_tasks=9):
    return [
        (one.cell.task, one.rank, one.cell.episode, one.result.episode_return)
        for one in best_and_worst(cells, results, num_tasks=num_tasks)
    ]


def test_the_first_of_the_highest_and_of_the_lowest_returns_are_chosen():
    assert chosen(*played({"a": [2, 1, 5, 1, 5]})) == [("a", "best", 2, 5), ("a", "worst", 1, 1)]


def test_of_episodes_that_are_all_alike_there_is_one():
    assert chosen(*played({"a": [2, 2], "b": [3]})) == [("a", "all alike", 0, 2), ("b", "all alike", 0, 3)]


def test_only_the_first_tasks_have_any():
    cells, results = played({"a": [1], "b": [2], "c": [3]})
    assert [name for name, *_ in chosen(cells, results, 2)] == ["a", "b"]
    assert chosen(cells, results, 0) == []


def test_a_record_that_is_not_complete_has_none():
    cells, results = played({"a": [1, 2], "b": [3, 4]})
    del results[key_of(cells[1])]
    assert {name for name, *_ in chosen(cells, results)} == {"b"}
