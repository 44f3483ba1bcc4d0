"""MiniGrid's tile pictures, drawn once and looked up afterwards: grids become pictures by indexing.

Drawing rules and codes are MiniGrid's own (`minigrid.core`): a cell is (object, color, state).
"""

import functools
import itertools

import numpy as np

from .simulator import import_simulator

NUM_OBJECTS, NUM_COLORS, NUM_STATES = 11, 6, 3
UNSEEN, EMPTY = (0, 0, 0), (1, 0, 0)  # cells without an object
_DOOR = 4
_FACING_UP = 3
_CODE_WEIGHTS = np.array([NUM_COLORS * NUM_STATES, NUM_STATES, 1])


@functools.cache
def tile_atlas(tile_size: int, *, lit: bool, agent: bool = False) -> np.ndarray:
    """Pictures of all cells, (codes, tile_size, tile_size, 3) uint8, indexed by `cell_codes`; do not write to it.

    Args:
        tile_size: side of a tile in pixels.
        lit: highlighted, as MiniGrid shows what the agent sees; unseen cells never are.
        agent: an agent that looks up stands on each of them.
    """
    grid = import_simulator("minigrid.core.grid", "minigrid").Grid
    decode = import_simulator("minigrid.core.world_object", "minigrid").WorldObj.decode
    atlas = np.empty((NUM_OBJECTS, NUM_COLORS, NUM_STATES, tile_size, tile_size, 3), np.uint8)
    for kind, color in itertools.product(range(NUM_OBJECTS), range(NUM_COLORS)):
        for state in range(NUM_STATES) if kind == _DOOR else (slice(None),):
            cell = decode(kind, color, state if kind == _DOOR else 0)
            atlas[kind, color, state] = grid.render_tile(
                cell, agent_dir=_FACING_UP if agent else None, highlight=lit and kind > 0, tile_size=tile_size
            )
    atlas.flags.writeable = False
    return atlas.reshape(-1, tile_size, tile_size, 3)


def cell_codes(cells: np.ndarray) -> np.ndarray:
    """Index into `tile_atlas` of each (object, color, state) on the last axis."""
    return cells @ _CODE_WEIGHTS


def assemble(tiles: np.ndarray) -> np.ndarray:
    """Joins (rows, columns, tile, tile, 3) tiles to one (height, width, 3) picture."""
    rows, columns, tile_size = tiles.shape[:3]
    return tiles.swapaxes(1, 2).reshape(rows * tile_size, columns * tile_size, 3)
