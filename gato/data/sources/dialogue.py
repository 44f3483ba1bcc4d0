"""Dialogues as JSON Lines: {"turns": [{"speaker": "user" | "agent", "text": ...}, ...]}."""

from pathlib import Path
from typing import Any

from gato.data.episode import Dialogue
from gato.data.sources.jsonl import read_jsonl


class DialogueSource:
    """The dialogues of one .jsonl file, or of all such files below a folder; held in memory."""

    def __init__(self, path: str | Path, name: str) -> None:
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"{name}: {path} does not exist, expected a .jsonl file or a folder of them")
        self.name = name
        self._dialogues: list[Dialogue] = []
        for file in [path] if path.is_file() else sorted(path.rglob("*.jsonl")):
            for place, item in read_jsonl(file.read_bytes(), f"{name}: {file}", {"turns": list}):
                self._dialogues.append(_dialogue(item["turns"], place))
        if not self._dialogues:
            raise ValueError(f"{name}: {path} holds no dialogue, expected .jsonl lines with the field 'turns'")

    def __len__(self) -> int:
        return len(self._dialogues)

    def __getitem__(self, index: int) -> Dialogue:
        return self._dialogues[index]


def _dialogue(turns: list[Any], place: str) -> Dialogue:
    for number, turn in enumerate(turns):
        if not isinstance(turn, dict) or not isinstance(turn.get("text"), str) or "speaker" not in turn:
            raise ValueError(f'{place}: turn {number} is {turn!r}, expected {{"speaker": "user", "text": "..."}}')
    try:
        return Dialogue(turns=tuple((turn["speaker"], turn["text"]) for turn in turns))
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
