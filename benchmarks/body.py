"""What both sides of a comparison run: the sizes of the body, the vocabulary and the kinds of timestep.

Both environments import it, so it imports nothing of either.

The tasks have the token counts of three common benchmarks, and of an arm with seven joints. A timestep is
observation, separator and action.
"""

from dataclasses import dataclass

WIDTH = 256
NUM_LAYERS = 4
NUM_HEADS = 4
CONTEXT_LENGTH = 1024
VOCAB_SIZE = 34_050  # 32,000 text pieces, 1,024 bins, 1,024 discrete values, separator, padding
ROWS = 2  # a training batch
CURVE = (24, 120, 240, 504, 1008)  # visible tokens at which an acting step is measured


@dataclass(frozen=True, kw_only=True)
class Task:
    """One kind of timestep, in tokens."""

    name: str
    observation_tokens: int
    action_tokens: int
    action_values: int  # ids that an action token may take
    picture_side: int = 0  # pixels; 0 where the observation holds numbers

    @property
    def tokens(self) -> int:
        return self.observation_tokens + 1 + self.action_tokens

    @property
    def timesteps_a_row(self) -> int:
        return CONTEXT_LENGTH // self.tokens


TASKS = {
    task.name: task
    for task in (
        Task(name="halfcheetah-like", observation_tokens=17, action_tokens=6, action_values=1024),
        Task(name="babyai-like", observation_tokens=148, action_tokens=1, action_values=7),
        Task(name="atari-like", observation_tokens=36, action_tokens=1, action_values=18, picture_side=96),
        Task(name="robot-like", observation_tokens=40, action_tokens=7, action_values=1024),
    )
}
