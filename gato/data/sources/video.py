"""Frames of video files by the time at which they are shown, decoded one after another and never kept whole."""

from pathlib import Path

import av
import numpy as np
from PIL import Image

from gato.data.sources.images import MAX_PIXELS, shrink


def decode_frames(
    path: Path, times: np.ndarray, tolerance_s: float, size: tuple[int, int] | None, where: str
) -> list[np.ndarray]:
    """Decodes the frames of a video that are shown at some times.

    Args:
        path: any file that FFmpeg reads.
        times: (T,) seconds from the start of the video, ascending.
        tolerance_s: a frame belongs to the time that it is less than this away from.
        size: (height, width) that each is scaled to as soon as it is decoded; None keeps it.
        where: names dataset, episode and feature in errors.

    Returns:
        T arrays (height, width, 3) uint8, RGB.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged, or a frame is missing.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{where}: {path} does not exist: the download is incomplete")
    frames: list[np.ndarray] = []
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            # Frames before the key frame that precedes the first time need not be decoded.
            container.seek(max(int((times[0] - tolerance_s) / stream.time_base), 0), stream=stream, backward=True)
            for frame in container.decode(stream):
                wanted = times[len(frames)]
                if frame.time is None or frame.time <= wanted - tolerance_s:
                    continue
                if frame.time >= wanted + tolerance_s:
                    break
                if frame.width * frame.height > MAX_PIXELS:
                    raise ValueError(f"{where}: {path} has frames of {frame.width} x {frame.height}: scale them down")
                frames.append(shrink(frame.to_ndarray(format="rgb24"), size, Image.Resampling.BILINEAR))
                if len(frames) == len(times):
                    return frames
    except (av.FFmpegError, OSError, IndexError) as error:
        raise ValueError(f"{where}: {path} cannot be decoded ({error})") from error
    raise ValueError(
        f"{where}: {path} has no frame at {times[len(frames)]:.4f} s (frame {len(frames)} of {len(times)}): the video "
        "is cut short, or its rate is not that of meta/info.json"
    )
