"""Dialogues as JSON Lines, in the three layouts that are common; the fields of a line say which it has.

- {"turns": [...]}: each turn {"speaker": "user" | "agent", "text": ...}, or ["user", text], or a plain text; plain
  texts are by user and agent in turn, the user first.
- {"messages": [{"role": "user" | "assistant", "content": ...}, ...]}.
- {"instruction": ..., "response" or "output": ...}, with an "input" or "context" that follows the instruction.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from gato.data.episode import Dialogue, Speaker
from gato.data.reading import located
from gato.data.sources.jsonl import line_or_error, read_jsonl

_SPEAKERS: dict[str, Speaker] = {"user": "user", "human": "user", "agent": "agent", "assistant": "agent"}


class DialogueSource:
    """The dialogues of one .jsonl file, or of all such files below a folder; held in memory."""

    def __init__(
        self, path: str | Path, name: str, *, speakers: Mapping[str, Speaker] | None = None, skip_bad: bool = False
    ) -> None:
        """Reads every line.

        Args:
            path: a .jsonl file or a folder.
            speakers: who further names of speakers mean, such as {"system": "agent"}; "system" is an assistant in some
                datasets and an instruction in others, so it is never guessed.
            skip_bad: a bad line is refused when it is asked for, instead of here.

        Raises:
            FileNotFoundError: nothing there.
            ValueError: a line is no dialogue, or there is none.
        """
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"{name}: {path} does not exist, expected a .jsonl file or a folder of them")
        if wrong := sorted(set((speakers or {}).values()) - {"user", "agent"}):
            raise ValueError(f"{name}: option speakers maps to {wrong}, expected 'user' or 'agent'")
        self.name = name
        self._dialogues: list[Dialogue | ValueError] = []
        convert = partial(_dialogue, speakers={**_SPEAKERS, **(speakers or {})})
        for file in [path] if path.is_file() else sorted(path.rglob("*.jsonl")):
            self._dialogues += read_jsonl(file.read_bytes(), f"{name}: {file}", {}, convert, skip_bad=skip_bad)
        if not self._dialogues:
            raise ValueError(f"{name}: {path} holds no dialogue, expected .jsonl lines with the field 'turns'")

    def __len__(self) -> int:
        return len(self._dialogues)

    def __getitem__(self, index: int) -> Dialogue:
        return line_or_error(self._dialogues[index])


def _dialogue(item: dict[str, Any], place: str, speakers: Mapping[str, Speaker]) -> Dialogue:
    if "turns" in item:
        stored = _list(item, "turns", place)
        # All have one layout: a text among named turns would be by nobody.
        turns = [_turn(turn, number, place, type(stored[0])) for number, turn in enumerate(stored)]
    elif "messages" in item:
        turns = [_message(turn, number, place) for number, turn in enumerate(_list(item, "messages", place))]
    elif "instruction" in item:
        turns = _instruction(item, place)
    else:
        raise ValueError(f"{place} lacks the field 'turns', found {list(item)} (or 'messages', or 'instruction')")
    for number, (speaker, _) in enumerate(turns):
        if speaker not in speakers:
            raise ValueError(
                f"{place}: the speaker of turn {number} is {speaker!r}, expected 'user' or 'agent': say who that is "
                f'with the option speakers, such as {{"{speaker}": "agent"}}'
            )
    with located(place):
        return Dialogue(turns=tuple((speakers[speaker], text) for speaker, text in turns))


def _list(item: dict[str, Any], field: str, place: str) -> list[Any]:
    if not isinstance(item[field], list):
        raise ValueError(f"{place}: field {field!r} is {type(item[field]).__name__}, expected list")
    return item[field]


def _turn(turn: Any, number: int, place: str, layout: type) -> tuple[str, str]:
    if isinstance(turn, layout):
        match turn:
            case {"speaker": str(speaker), "text": str(text)}:
                return speaker, text
            case [str(speaker), str(text)]:
                return speaker, text
            case str(text):
                return ("user", "agent")[number % 2], text
    raise ValueError(
        f'{place}: turn {number} is {turn!r}, expected {{"speaker": "user", "text": "..."}}, ["user", "..."] or "...", '
        "all turns alike"
    )


def _message(turn: Any, number: int, place: str) -> tuple[str, str]:
    match turn:
        case {"role": str(speaker), "content": str(text)}:
            return speaker, text
    raise ValueError(f'{place}: message {number} is {turn!r}, expected {{"role": "user", "content": "..."}}')


def _instruction(item: dict[str, Any], place: str) -> list[tuple[str, str]]:
    asked = [item["instruction"], item.get("input") or item.get("context") or ""]
    answer = item.get("response", item.get("output"))
    if not all(isinstance(text, str) for text in [*asked, answer]):
        raise ValueError(f'{place} holds {item!r}, expected {{"instruction": "...", "response": "..."}} of texts')
    return [("user", "\n\n".join(text for text in asked if text)), ("agent", str(answer))]
