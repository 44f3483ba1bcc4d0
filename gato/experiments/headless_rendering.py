"""Headless rendering."""

import os


def draw_off_screen() -> None:
    """Lets pygame draw without a screen.

    Call it before the first environment is made. A driver that the user has chosen is kept.
    """
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
