"""Small GIFs of episodes: one or several side by side, each under a bar that names it."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_BAR_COLOR, _TITLE_COLOR, _NOTE_COLOR = (29, 34, 41), (240, 243, 247), (168, 178, 190)
_GAP = 6  # pixels between panels
_SMALLEST_PANEL = 64  # pixels; below, a video tells nothing
_LAST_FRAME_MS = 1200  # so that the outcome can be seen before the video starts over


@dataclass(frozen=True, kw_only=True)
class Clip:
    """The frames of one episode and what stands above them."""

    frames: np.ndarray  # (T, height, width, 3) uint8
    title: str
    note: str = ""  # such as the return


def write_gif(path: Path, clips: Sequence[Clip], **settings: int) -> None:
    """Writes the GIF of `gif_bytes`, which takes the settings."""
    path.write_bytes(gif_bytes(clips, **settings))


def gif_bytes(
    clips: Sequence[Clip], *, panel_width: int = 240, fps: int = 12, max_frames: int = 90, max_bytes: int = 300_000
) -> bytes:
    """Makes a GIF that plays the clips side by side; those that end first hold their last frame.

    Long episodes are thinned to `max_frames`. A video over `max_bytes` is made again with fewer and smaller frames;
    only two frames of the smallest panels may still be larger.

    Raises:
        ValueError: there is no clip, or a clip's frames are no RGB video.
    """
    if not clips:
        raise ValueError("no clip to show")
    for clip in clips:
        if clip.frames.dtype != np.uint8 or clip.frames.ndim != 4 or clip.frames.shape[-1] != 3 or not len(clip.frames):
            raise ValueError(
                f"frames of {clip.title!r} are {clip.frames.dtype} {clip.frames.shape}, "
                "expected uint8 (T, height, width, 3) with T of 1 or more"
            )
    while True:
        encoded = _encode(clips, panel_width, fps, max_frames)
        if len(encoded) <= max_bytes or max_frames <= 2:
            return encoded
        # The size grows about with width x height x frames, so all three share the cut.
        shrink = min(0.9, (max_bytes / len(encoded)) ** (1 / 3))
        max_frames = max(int(max_frames * shrink), 2)
        panel_width = max(int(panel_width * shrink), min(panel_width, _SMALLEST_PANEL))


def _encode(clips: Sequence[Clip], panel_width: int, fps: int, max_frames: int) -> bytes:
    longest = max(len(clip.frames) for clip in clips)
    num_frames = min(longest, max_frames)
    # Thinning keeps the first and last frame, and the video keeps the pace that fps gives an unthinned one.
    times = np.linspace(0, longest - 1, num_frames).round().astype(int)
    columns = [_panels(clip, times, panel_width) for clip in clips]
    height = max(panels[0].height for panels in columns)
    width = panel_width * len(columns) + _GAP * (len(columns) - 1)
    images = []
    for side_by_side in zip(*columns, strict=True):
        image = Image.new("RGB", (width, height), _BAR_COLOR)
        for column, panel in enumerate(side_by_side):
            image.paste(panel, (column * (panel_width + _GAP), 0))
        images.append(image)
    # One palette for all frames: only then do unchanged pixels compress away.
    sample = images[:: max(len(images) // 6, 1)]
    strip = Image.new("RGB", (width, height * len(sample)))
    for row, image in enumerate(sample):
        strip.paste(image, (0, row * height))
    palette = strip.quantize(colors=96, method=Image.Quantize.MEDIANCUT)
    first, *rest = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    duration_ms = max(20, round(1000 / fps * min(longest / num_frames, 2)))
    buffer = io.BytesIO()
    first.save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=rest,
        duration=[duration_ms] * len(rest) + [_LAST_FRAME_MS],
        loop=0,
        optimize=True,
    )
    return buffer.getvalue()


def _panels(clip: Clip, times: np.ndarray, width: int) -> list[Image.Image]:
    """Scales the clip to a width and puts its bar on top; after its end it holds its last frame."""
    frame_height, frame_width = clip.frames.shape[1:3]
    size = width, round(frame_height * width / frame_width)
    # Enlarged pixels stay pixels; what is made smaller is averaged.
    resample = Image.Resampling.NEAREST if width >= frame_width else Image.Resampling.LANCZOS
    bar = _bar(clip.title, clip.note, width)
    panels = []
    for frame in clip.frames[np.minimum(times, len(clip.frames) - 1)]:
        panel = Image.new("RGB", (width, bar.height + size[1]), _BAR_COLOR)
        panel.paste(bar, (0, 0))
        panel.paste(Image.fromarray(frame).resize(size, resample), (0, bar.height))
        panels.append(panel)
    return panels


def _bar(title: str, note: str, width: int) -> Image.Image:
    size = max(10, round(width / 17))
    height = round(size * (2.9 if note else 1.7))
    bar = Image.new("RGB", (width, height), _BAR_COLOR)
    draw = ImageDraw.Draw(bar)
    font = ImageFont.load_default(size)
    draw.text((size * 0.5, size * 0.3), _fitted(draw, title, font, width - size), fill=_TITLE_COLOR, font=font)
    if note:
        small = ImageFont.load_default(size * 0.9)
        draw.text((size * 0.5, size * 1.5), _fitted(draw, note, small, width - size), fill=_NOTE_COLOR, font=small)
    return bar


def _fitted(
    draw: ImageDraw.ImageDraw, text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int
) -> str:
    """Returns the text, or as much of it as fits, with an ellipsis."""
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(text + "…", font) > width:
        text = text[:-1]
    return text + "…"
