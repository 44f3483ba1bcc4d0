"""How people name a task: with and without hyphens, capitals and the family, but never so that two could be meant."""

import re
from collections import Counter
from collections.abc import Sequence

from ..task import Task

_BRANDS = {
    "atari": "Atari",
    "babyai": "BabyAI",
    "box2d": "Box2D",
    "dm_control": "DM Control",
    "metaworld": "Meta-World",
    "minigrid": "MiniGrid",
    "mujoco": "MuJoCo",
    "sokoban": "Sokoban",
}
# Their tasks are known by one word without the family's name, such as Pong; "push" alone would mean too much.
_SINGLE_WORDS = ("atari", "mujoco")
_COMPOUNDS = {  # words that people also write apart
    "babyai": "baby AI",
    "cartpole": "cart pole",
    "metaworld": "meta world",
    "minigrid": "mini grid",
    "riverraid": "river raid",
    "swingup": "swing up",
    "umaze": "u maze",
}
_DIGITS_MEET = re.compile(r"\d \d")  # of two words, which would become one number
_VIEW = re.compile(r"-(pixels|symbols)\b")


def family_name(family: str) -> str:
    """Returns a family's name as people write it."""
    return _BRANDS.get(family, family.replace("_", " "))


def title(task: Task) -> str:
    """Returns the name under which an answer mentions a task, such as "Lunar Lander" or "MiniGrid Door Key 6x6"."""
    prefix, words, view = _parts(task)
    return " ".join([*([family_name(task.family)] if prefix else []), *map(_capital, words)]) + view


def name_key(name: str) -> str:
    """Returns what is common to all spellings of a name: its letters and digits, in lower case."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def name_styles(words: Sequence[str]) -> tuple[str, ...]:
    """Spells a name of some words in the usual ways: lunar-lander, lunar lander, Lunar Lander, LunarLander."""
    small = [word.lower() for word in words]
    apart = [part for word in small for part in _COMPOUNDS.get(word, word).split()]
    capitals = [_capital(word) for word in words]
    styles = ["-".join(small), " ".join(small), " ".join(capitals)]
    if not _DIGITS_MEET.search(" ".join(small)):
        styles.append("".join(capitals))
    styles += [" ".join(apart).lower(), " ".join(map(_first_capital, apart))]
    return tuple(dict.fromkeys(styles))


def spoken_names(tasks: Sequence[Task]) -> dict[str, tuple[str, ...]]:
    """Maps the name of each task to what people call it; what could mean two of the tasks is left out of both."""
    candidates = {task.name: _candidates(task) for task in tasks}
    owners = Counter(key for names in candidates.values() for key in {name_key(name) for name in names})
    return {
        task: tuple(name for name in names if name == task or owners[name_key(name)] == 1)
        for task, names in candidates.items()
    }


def _candidates(task: Task) -> tuple[str, ...]:
    prefix, words, view = _parts(task)
    plain = " ".join(words)
    kind = "game" if task.family == "atari" else "task"
    names = [task.name]
    if not prefix or len(words) > 1 or task.family in _SINGLE_WORDS:
        names += [name + view for name in name_styles(words)]
        names.append(f"the {plain} {kind}{view}")
    if prefix:
        brand = family_name(task.family)
        names += [f"{prefix.replace('-', ' ')} {plain}{view}", f"{brand} {plain}{view}", title(task)]
        names.append(f"the {brand} {kind} {plain}{view}")
    return tuple(dict.fromkeys(names))


def _parts(task: Task) -> tuple[str, list[str], str]:
    """Splits a task's name into the prefix that its family gives all names, its words, and the view in words."""
    name, view = task.name, ""
    if shown := _VIEW.search(name):
        name, view = name[: shown.start()], f" from {name[shown.start() + 1 :].replace('-', ' ')}"
    family = task.family.replace("_", "-")
    prefix = family if name.startswith(f"{family}-") and family != "sokoban" else ""
    return prefix, name.removeprefix(f"{prefix}-").split("-"), view


def _capital(word: str) -> str:
    return "".join(map(_first_capital, _COMPOUNDS.get(word.lower(), word).split()))


def _first_capital(word: str) -> str:
    return word[:1].upper() + word[1:]
