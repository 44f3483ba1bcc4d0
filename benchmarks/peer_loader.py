"""Times PyTorch's DataLoader over the episodes that `loader_speed.py` made: a plain Dataset that tokenizes every item.

An item is a random window of whole timesteps, tokenized when it is asked for: observations by mu-law, actions linearly,
1,024 bins each. Episodes are held in memory as arrays. Runs in the environment of `requirements.txt`.
"""

import argparse
import hashlib
import json
import resource
import time

import body
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

MU, MU_SCALE, NUM_BINS, FIRST_BIN = 100.0, 256.0, 1024, 32_000
SEPARATOR, PADDING = body.VOCAB_SIZE - 2, body.VOCAB_SIZE - 1
ACTION_POSITION, SEPARATOR_POSITION, NO_POSITION = 512, 513, 514
TASK = body.TASKS["halfcheetah-like"]


def tokenize(observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Tokens (timesteps, elements of one)."""
    companded = np.sign(observations) * np.log1p(MU * np.abs(observations)) / np.log1p(MU * MU_SCALE)
    values = np.concatenate([companded, actions], axis=1, dtype=np.float64)
    bins = ((np.clip(values, -1, 1) + 1) * (NUM_BINS / 2)).astype(np.int32)
    bins = FIRST_BIN + np.minimum(bins, NUM_BINS - 1)
    return np.insert(bins, TASK.observation_tokens, SEPARATOR, axis=1)


class Windows(Dataset):
    """Random windows; the index only seeds the draw."""

    def __init__(self, path: str, num_rows: int) -> None:
        with np.load(path) as arrays:
            self.observations, self.actions = arrays["observations"], arrays["actions"]
        self.num_rows = num_rows
        positions = [*range(TASK.observation_tokens), SEPARATOR_POSITION, *[ACTION_POSITION] * TASK.action_tokens]
        self.positions = np.tile(np.array(positions, np.int32), TASK.timesteps_a_row)
        self.is_action = np.tile(np.array(positions) == ACTION_POSITION, TASK.timesteps_a_row)

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng(index)
        episode = rng.integers(len(self.actions))
        start = rng.integers(self.actions.shape[1] - TASK.timesteps_a_row + 1)
        part = slice(start, start + TASK.timesteps_a_row)
        tokens = tokenize(self.observations[episode, part], self.actions[episode, part])
        changed = np.zeros(tokens.shape, bool)
        actions = tokens[:, -TASK.action_tokens :]
        changed[1:, -TASK.action_tokens :] = (actions[1:] != actions[:-1]).any(axis=1, keepdims=True)
        row = {
            "tokens": np.full(body.CONTEXT_LENGTH, PADDING, np.int32),
            "local_positions": np.full(body.CONTEXT_LENGTH, NO_POSITION, np.int32),
            "loss_mask": np.zeros(body.CONTEXT_LENGTH, bool),
            "changed_mask": np.zeros(body.CONTEXT_LENGTH, bool),
        }
        for array, values in zip(row.values(), (tokens, self.positions, self.is_action, changed), strict=True):
            array[: tokens.size] = values.ravel()
        return {name: torch.from_numpy(array) for name, array in row.items()}


def cpu_s() -> float:
    """Of this process and of workers that have ended."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    """Prints the time that all rows took, start and end of workers included, and a digest of one episode's tokens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--workers", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    windows = Windows(options.data, options.rows)
    cpu, wall = cpu_s(), time.perf_counter()
    loader = DataLoader(windows, batch_size=options.batch_size, num_workers=options.workers, drop_last=True)
    num_rows = sum(len(batch["tokens"]) for batch in loader)
    del loader
    seconds = {"cpu_s": cpu_s() - cpu, "wall_s": time.perf_counter() - wall}
    tokens = tokenize(windows.observations[0, : windows.actions.shape[1]], windows.actions[0])
    digest = hashlib.sha256(tokens.astype("<i4").tobytes()).hexdigest()
    print(json.dumps({"rows": num_rows, **seconds, "digest": digest, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
