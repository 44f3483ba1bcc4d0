"""Every dataset of a folder in one small run: control, text, dialogues, captions and questions.

The folder GATO_DATA holds minari/*/*, text/**/*.txt, dialogue/*.jsonl and vision/*.zip. Each modality has a share of
the rows: control shares its own evenly, files theirs by the root of their size, so that long ones drown no short ones.
Command: GATO_DATA=FOLDER gato train benchmarks/mixed_data.py --run runs/mixed
Report: GATO_DATA=FOLDER gato data report benchmarks/mixed_data.py --html report.html
Cost: a minute for the text pieces, then about 1.5 hours on one CPU core; the report takes two minutes.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gato.config as gc

_SHARES = {"minari": 0.6, "text": 0.1, "dialogue": 0.1, "vision": 0.2}
_GLOBS = {"minari": "*/*/data", "text": "**/*.txt", "dialogue": "*.jsonl", "vision": "*.zip"}
_EASY_VQA = {"lines": "train/questions.json", "columns": {"question": 0, "answer": 1, "image": 2}}
_OPTIONS: dict[str, dict[str, Any]] = {
    "chesterton-ball": {"encoding": "latin-1"},
    "shakespeare-caesar": {"encoding": "latin-1"},
    "sgd_quarter": {"speakers": {"system": "agent"}},
    "easy_vqa": {**_EASY_VQA, "image_file": "images/{}.png"},
    "nlvr_v1": {"columns": {"question": "sentence", "answer": "label"}},
}
_PROMPT = gc.PromptConfig(max_tokens=256, loss=False)


def _sources(modality: str, paths: list[Path]) -> Iterator[gc.SourceConfig]:
    sizes = [1.0 if path.is_dir() else path.stat().st_size ** 0.5 for path in paths]
    for path, size in zip(paths, sizes, strict=True):
        name = path.parent.name if modality == "minari" else path.stem
        kind: Any = {"noto_emoji_72": "captions"}.get(name, "questions" if modality == "vision" else modality)
        weight, options = 100 * _SHARES[modality] * size / sum(sizes), _OPTIONS.get(name, {})  # percent of all rows
        yield gc.SourceConfig(name=name, kind=kind, path=str(path), weight=weight, options=options, prompt=_PROMPT)


def get_config() -> gc.RunConfig:
    """1.5M parameters; KeyError without GATO_DATA."""
    root = Path(os.environ["GATO_DATA"])
    sources = [one for name, glob in _GLOBS.items() for one in _sources(name, sorted((root / name).glob(glob)))]
    return gc.RunConfig(
        name="mixed-data",
        tokenizer=gc.TokenizerConfig(text_vocab_size=2000),
        model=gc.ModelConfig(width=128, num_layers=4, num_heads=4, mlp_width=512, patch_stem="tiles"),
        data=gc.DataConfig(
            sources=tuple(sources),
            batch_size=8,
            context_length=512,
            max_patches=384,
            pairs_per_row=4,
            text_observation_loss=False,
            question_loss=False,
            row_loss_exponent=0.5,
        ),
        optimizer=gc.OptimizerConfig(peak_lr=2e-3, warmup_from=0.0, warmup_steps=100, decay_steps=1_900),
        training=gc.TrainingConfig(num_steps=2_000, log_every=10, evaluate_every=0),
    )
