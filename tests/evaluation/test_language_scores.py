import numpy as np
import pytest

from gato.evaluation.language_scores import LanguageExample, LanguageTrial, evaluate_language, score_language

IMAGE = np.zeros((16, 16, 3), np.uint8)


def trial(reference: str, answer: str, kind: str = "caption") -> LanguageTrial:
    return LanguageTrial(example=LanguageExample(image=IMAGE, reference=reference), kind=kind, answer=answer)


@pytest.mark.parametrize(
    "answer, correct",
    [("a red ball", True), (" a red ball\n", True), ("A red ball", False), ("a red ball.", False), ("", False)],
)
def test_only_the_exact_text_is_correct(answer, correct):
    assert trial("a red ball", answer).correct is correct


def test_scores_are_kept_apart_by_kind():
    trials = [trial("red", "red", "colour"), trial("two", "one", "count"), trial("blue", "red", "colour")]
    colour, count = score_language(trials)
    assert (colour.kind, colour.num_trials, colour.accuracy.value) == ("colour", 2, 0.5)
    assert (count.kind, count.num_trials, count.accuracy.value) == ("count", 1, 0.0)
    assert count.accuracy.high == pytest.approx(0.7935, abs=1e-4)  # Wilson: one miss proves little


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_answers_go_to_their_examples_in_any_batch_size(batch_size):
    examples = [LanguageExample(image=IMAGE, reference=f"picture {i}", question=f"which {i}?") for i in range(5)]
    sizes = []

    def answer(batch):
        sizes.append(len(batch))
        return [f"picture {example.question[6]}" for example in batch]

    trials = evaluate_language(examples, ["which"] * 5, answer, batch_size=batch_size)
    assert all(done.correct for done in trials)
    assert sum(sizes) == 5
    assert max(sizes) == batch_size


def test_missing_answers_or_kinds_are_noticed():
    examples = [LanguageExample(image=IMAGE, reference="x")] * 2
    with pytest.raises(ValueError, match="1 answers came for 2 examples"):
        evaluate_language(examples, ["a", "b"], lambda batch: ["x"])
    with pytest.raises(ValueError, match="1 kinds came for 2 examples"):
        evaluate_language(examples, ["a"], lambda batch: ["x", "x"])
