"""How a question is put: contractions, a greeting before it, "please" after it, capitals and question marks at will."""

import re
from collections.abc import Mapping

import numpy as np

from .intent import Intent

OPENINGS = (
    "Hello, ",
    "Hello! ",
    "Hi, ",
    "Hi! ",
    "Hey, ",
    "Please tell me, ",
    "Tell me, ",
    "Can you tell me: ",
    "Excuse me, ",
    "Quick question: ",
    "Okay, ",
    "Now, ",
)
_OPENINGS_OF_ORDERS = tuple(opening for opening in OPENINGS if "tell me" not in opening.lower())
_CONTRACTIONS = {
    "What is ": "What's ",
    "Who is ": "Who's ",
    "Where is ": "Where's ",
    "How is ": "How's ",
    "That is ": "That's ",
    "I am ": "I'm ",
    "do not ": "don't ",
    "cannot ": "can't ",
}
_WORDS = re.compile(r"[a-z0-9]+")
_FULL_FORMS = (
    ("can't", "cannot"),
    ("n't", " not"),
    ("'m", " am"),
    ("'re", " are"),
    ("'s", " is"),
)
_NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen"
)
_NUMBERS = {word: str(number) for number, word in enumerate(_NUMBER_WORDS.split())}


def phrase(rng: np.random.Generator, intent: Intent, wording: str, words: Mapping[str, str]) -> str:
    """Puts a wording as one of many users would.

    Args:
        words: what stands for each name in braces.
    """
    if rng.random() < 0.25:
        for full, short in _CONTRACTIONS.items():
            wording = wording.replace(full, short)
    if not intent.alone and rng.random() < 0.08 and wording[-1] in "?.":
        wording = f"{wording[:-1]}, please{wording[-1]}"
    if not intent.alone and rng.random() < 0.3:
        openings = OPENINGS if wording.endswith("?") else _OPENINGS_OF_ORDERS  # not "tell me, tell me"
        opening = openings[int(rng.integers(len(openings)))]
        wording = opening + (wording if opening.endswith("! ") else _uncapitalized(wording))
    elif rng.random() < 0.15:
        wording = _uncapitalized(wording)
    ending = rng.random()
    if ending < 0.2:
        wording = wording.rstrip("?.!")
    elif ending < 0.23:
        wording += wording[-1]
    text = wording.format(**words)
    case = rng.random()
    return text.lower() if case < 0.12 else text.upper() if case < 0.13 else text


def normalized(text: str) -> str:
    """Returns the words of a text in lower case, with contractions written out and number words as digits."""
    lower = text.lower().replace("’", "'")
    for short, full in _FULL_FORMS:
        lower = lower.replace(short, full)
    return " ".join(_NUMBERS.get(word, word) for word in _WORDS.findall(lower))


def _uncapitalized(wording: str) -> str:
    return wording if wording.startswith(("I ", "I'")) else wording[0].lower() + wording[1:]
