"""Pictures of environments for films, where nobody wants a window."""

import os


def draw_off_screen() -> None:
    """Has environments that draw with pygame look for no screen, where there is none with a complaint.

    To be called before the first of them is made. A driver that the user has chosen is kept.
    """
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
