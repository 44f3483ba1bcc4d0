"""MuJoCo's pictures on machines without a display."""

import os
import sys


def headless_rendering() -> None:
    """Has MuJoCo draw through EGL where there is no display and nobody chose a backend.

    MuJoCo and dm_control look at MUJOCO_GL when they are imported, Gymnasium when it draws its first picture: call this
    before importing a simulator whose pictures are wanted.
    """
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        os.environ.setdefault("MUJOCO_GL", "egl")
