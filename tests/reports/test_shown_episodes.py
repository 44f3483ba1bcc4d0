from gato.evaluation.journal import EpisodeResult
from gato.evaluation.plan import EpisodeSpec
from gato.reports.shown_episodes import best_and_worst


def played(returns: dict[str, list[float]]):
    """Specs and results of tasks with these returns."""
    specs, results = [], {}
    for task, values in returns.items():
        for episode, value in enumerate(values):
            spec = EpisodeSpec(task=task, prompt="none", variants="all", episode=episode, seed=episode, variant=0)
            specs.append(spec)
            results[spec.key] = EpisodeResult(
                task=task,
                prompt="none",
                variants="all",
                episode=episode,
                variant=0,
                seed=episode,
                episode_return=value,
                length=3,
            )
    return specs, results


def chosen(specs, results, num_tasks=9):
    return [
        (one.spec.task, one.rank, one.spec.episode, one.result.episode_return)
        for one in best_and_worst(specs, results, num_tasks=num_tasks)
    ]


def test_the_first_of_the_highest_and_of_the_lowest_returns_are_chosen():
    assert chosen(*played({"a": [2, 1, 5, 1, 5]})) == [("a", "best", 2, 5), ("a", "worst", 1, 1)]


def test_of_episodes_that_are_all_alike_there_is_one():
    assert chosen(*played({"a": [2, 2], "b": [3]})) == [("a", "all alike", 0, 2), ("b", "all alike", 0, 3)]


def test_only_the_first_tasks_have_any():
    specs, results = played({"a": [1], "b": [2], "c": [3]})
    assert [name for name, *_ in chosen(specs, results, 2)] == ["a", "b"]
    assert chosen(specs, results, 0) == []


def test_a_record_that_is_not_complete_has_none():
    specs, results = played({"a": [1, 2], "b": [3, 4]})
    del results[specs[1].key]
    assert {name for name, *_ in chosen(specs, results)} == {"b"}
