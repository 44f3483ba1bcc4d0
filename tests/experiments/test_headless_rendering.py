import os

import pytest

from gato.experiments.headless_rendering import draw_off_screen


@pytest.mark.parametrize(("before", "after"), [(None, "dummy"), ("x11", "x11")])
def test_no_screen_is_looked_for_unless_the_user_chose_one(before, after, monkeypatch):
    if before is None:
        monkeypatch.delenv("SDL_VIDEODRIVER")
    else:
        monkeypatch.setenv("SDL_VIDEODRIVER", before)
    draw_off_screen()
    assert os.environ["SDL_VIDEODRIVER"] == after
