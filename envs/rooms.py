"""Floors with one or two objects in MiniGrid's tiles: what they hold, how they look and how their objects are named.

Objects are named from left to right, and from the top down within a column, so that a room has exactly one caption.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .tiles import assemble, cell_codes, tile_atlas

TILE_SIZE = 8  # pixels along a side of a cell
ROOM_SIDES = (2, 3, 4, 5, 6)  # cells along a side
PICTURE_SIDES = (2, 4, 6)  # of rooms that are drawn: their pictures then consist of whole patches of 16 pixels
COLORS = ("red", "green", "blue", "purple", "yellow", "grey")
SHAPES = ("key", "ball", "box")
MAX_OBJECTS = 2
_EMPTY, _FIRST_SHAPE = 1, 5  # MiniGrid's codes; the shapes' follow each other as in SHAPES
_HELD_OUT_SHARE = 16  # one room in so many is held out


class RoomObject(NamedTuple):
    """An object by its cell, color and shape; rooms sort their objects in this field order."""

    column: int
    row: int
    color: str
    shape: str

    @property
    def name(self) -> str:
        return f"{self.color} {self.shape}"


@dataclass(frozen=True, kw_only=True)
class Room:
    """The floor of a room: its sides in cells and its sorted objects."""

    height: int
    width: int
    objects: tuple[RoomObject, ...]

    @property
    def held_out(self) -> bool:
        """Whether the room is kept from training: a lasting choice by everything that the picture shows."""
        content = (self.height, self.width, *(tuple(item) for item in self.objects))
        return zlib.crc32(repr(content).encode()) % _HELD_OUT_SHARE == 0

    @property
    def caption(self) -> str:
        """All objects in order: "a red ball and a blue key", "two red boxes"."""
        names = [item.name for item in self.objects]
        if len(names) == 2 and names[0] == names[1]:
            return f"two {names[0]}{'es' if names[0].endswith('x') else 's'}"
        return " and ".join(f"a {name}" for name in names)

    def draw(self) -> np.ndarray:
        """The picture, (TILE_SIZE * height, TILE_SIZE * width, 3) uint8."""
        cells = np.full((self.height, self.width, 3), (_EMPTY, 0, 0), np.int64)
        for item in self.objects:
            cells[item.row, item.column] = (_FIRST_SHAPE + SHAPES.index(item.shape), COLORS.index(item.color), 0)
        return assemble(tile_atlas(TILE_SIZE, lit=True)[cell_codes(cells)])


def random_room(rng: np.random.Generator, sides: Sequence[int], *, held_out: bool = False) -> Room:
    """Draws sides, each from `sides`, and objects; held-out rooms and the others never share a picture."""
    while True:
        room = _any_room(rng, sides)
        if room.held_out == held_out:
            return room


def _any_room(rng: np.random.Generator, sides: Sequence[int]) -> Room:
    height, width = rng.choice(sides, size=2).tolist()
    num_objects = int(rng.integers(1, MAX_OBJECTS + 1))
    cells = rng.choice(height * width, num_objects, replace=False, shuffle=False).tolist()
    kinds = rng.integers(len(COLORS) * len(SHAPES), size=num_objects).tolist()
    objects = [
        RoomObject(
            column=cell % width,
            row=cell // width,
            color=COLORS[kind % len(COLORS)],
            shape=SHAPES[kind // len(COLORS)],
        )
        for cell, kind in zip(cells, kinds, strict=True)
    ]
    return Room(height=height, width=width, objects=tuple(sorted(objects)))
