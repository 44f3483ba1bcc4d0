"""What both sides of a comparison run: the sizes of the body, the vocabulary and the kinds of timestep.

Both environments import it, so it imports nothing of either.

The tasks have the element counts of three common benchmarks, and of an arm with seven joints. A timestep is
observation, separator and action.
"""

from dataclasses import dataclass

WIDTH = 256
NUM_LAYERS = 4
NUM_HEADS = 4
CONTEXT_LENGTH = 1024
VOCAB_SIZE = 34_050  # 32,000 text pieces, 1,024 bins, 1,024 discrete values, separator, padding
ROWS = 2  # a training batch
CURVE = (24, 120, 240, 504, 1008)  # visible elements at which an acting step is measured


@dataclass(frozen=True, kw_only=True)
class Task:
    """One kind of timestep, in sequence elements."""

    name: str
    observation_elements: int
    action_elements: int
    action_values: int  # ids that an action token may take
    picture_side: int = 0  # pixels; 0 where the observation holds numbers

    @property
    def elements(self) -> int:
        return self.observation_elements + 1 + self.action_elements

    @property
    def timesteps_a_row(self) -> int:
        return CONTEXT_LENGTH // self.elements


TASKS = {
    task.name: task
    for task in (
        Task(name="halfcheetah-like", observation_elements=17, action_elements=6, action_values=1024),
        Task(name="babyai-like", observation_elements=148, action_elements=1, action_values=7),
        Task(name="atari-like", observation_elements=36, action_elements=1, action_values=18, picture_side=96),
        Task(name="robot-like", observation_elements=40, action_elements=7, action_values=1024),
    )
}
