"""The names of a run folder's files, which checkpoints and released folders share. They are kept for good."""

from typing import Final

CONFIG_FILE: Final = "config.json"  # the resolved RunConfig
TOKENIZER_FILE: Final = "tokenizer.model"  # the SentencePiece model, where the run has one

STARTED_FROM_FILE: Final = "started_from.json"  # the weights that the run began with, where it began with any
METRICS_FILE: Final = "metrics.jsonl"  # one line per log step
TENSORBOARD_FOLDER: Final = "tensorboard"  # the same for TensorBoard, if asked for
PROFILE_FOLDER: Final = "profile"  # traces of steps, see gato.training.profiler
EVENTS_FILE: Final = "events.jsonl"  # see gato.training.events
SKIPPED_FILE: Final = "skipped.jsonl"  # records left out, by the first process; the second writes skipped.1.jsonl
LOCK_FILE: Final = "run.lock"  # see gato.training.lock
CHECKPOINTS_FOLDER: Final = "checkpoints"  # see gato.checkpoint

EVALUATION_FOLDER: Final = "evaluation"  # of `gato evaluate`, with the files below
JOURNAL_FILE: Final = "episodes.jsonl"  # see gato.evaluation.journal
SCORES_FILE: Final = "scores.json"  # see gato.evaluation.scores
