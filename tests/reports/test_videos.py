import io

import numpy as np
import pytest
from PIL import Image

from gato.reports.videos import Clip, gif_bytes, write_gif


def video(length: int, color: int = 0, size: tuple[int, int] = (40, 60)) -> np.ndarray:
    frames = np.zeros((length, *size, 3), np.uint8)
    for t in range(length):
        frames[t] = color
        frames[t, :, (t * 3) % size[1]] = 255
    return frames


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_clips_stand_side_by_side_and_last_as_long_as_the_longest():
    one = opened(gif_bytes([Clip(frames=video(5), title="one")], panel_width=120))
    two = opened(gif_bytes([Clip(frames=video(5), title="one"), Clip(frames=video(9), title="two")], panel_width=120))
    assert one.n_frames == 5
    assert two.n_frames == 9
    assert one.width == 120
    assert two.width > 240


def test_long_episodes_are_thinned():
    assert opened(gif_bytes([Clip(frames=video(500), title="long")], max_frames=20)).n_frames == 20


def test_the_size_limit_holds_for_videos_that_do_not_compress():
    noise = np.random.default_rng(0).integers(0, 255, (30, 80, 80, 3), dtype=np.uint8)
    clip = [Clip(frames=noise, title="noise")]
    assert len(gif_bytes(clip, panel_width=90, max_bytes=10**9)) > 120_000
    assert len(gif_bytes(clip, panel_width=90, max_bytes=60_000)) <= 60_000


def test_a_clip_that_ends_first_holds_its_last_frame():
    short = np.full((2, 40, 40, 3), 30, np.uint8)
    short[1] = 200
    image = opened(gif_bytes([Clip(frames=short, title="s"), Clip(frames=video(5), title="l")], panel_width=100))
    levels = []
    for time in range(5):
        image.seek(time)
        levels.append(int(np.asarray(image.convert("RGB"))[-20, 50, 0]))
    np.testing.assert_allclose(levels, [30, 200, 200, 200, 200], atol=12)


def test_the_bar_above_the_video_shows_the_title():
    def bar(title: str) -> np.ndarray:
        return np.asarray(opened(gif_bytes([Clip(frames=video(1), title=title)])).convert("RGB"))[:20]

    assert (bar("cartpole") != bar("pendulum")).any()
    assert bar("x" * 500).shape == bar("x").shape  # too long a title is cut, not spilt


def test_a_video_is_written_to_its_file(tmp_path):
    write_gif(tmp_path / "video.gif", [Clip(frames=video(3), title="t", note="return 1")], fps=5)
    assert opened((tmp_path / "video.gif").read_bytes()).n_frames == 3


@pytest.mark.parametrize(
    "frames", [np.zeros((0, 4, 4, 3), np.uint8), np.zeros((2, 4, 4), np.uint8), np.zeros((2, 4, 4, 3))]
)
def test_what_is_no_video_is_refused(frames):
    with pytest.raises(ValueError, match=r"frames of 'x' are .* expected uint8 \(T, height, width, 3\)"):
        gif_bytes([Clip(frames=frames, title="x")])


def test_no_clip_is_refused():
    with pytest.raises(ValueError, match="no clip"):
        gif_bytes([])
