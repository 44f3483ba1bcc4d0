"""Writers of formats that more than one test file needs."""

import json
from fractions import Fraction

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest


@pytest.fixture(scope="session")
def write_video():
    """Frames (T, height, width, 3) uint8 as a video, by default without loss."""
    return _write_video


@pytest.fixture(scope="session")
def write_lerobot():
    """A LeRobot v3 dataset, written with the libraries that LeRobot writes it with.

    episodes: the columns of data/ of each, one value a timestep. files: the number of the file of data and of video
    that each lies in, ascending from 0. tasks: texts; task_of: the index of each episode's. videos: by feature, the
    frames of each episode. features: of the columns; videos have theirs added.
    """

    def write(path, episodes, *, features, videos, files, tasks, task_of, fps, info=None, index_name="task"):
        (path / "meta").mkdir(parents=True)
        facts = {"codebase_version": "v3.0", "fps": fps, "total_episodes": len(episodes), "features": features}
        (path / "meta" / "info.json").write_text(json.dumps({**facts, **(info or {})}))
        table = pa.table({"task_index": range(len(tasks)), index_name: tasks})
        pq.write_table(table, path / "meta" / "tasks.parquet")
        for folder in (path / "meta" / "episodes", path / "data"):
            (folder / "chunk-000").mkdir(parents=True)

        row, seconds, entries = 0, dict.fromkeys(files, 0.0), []
        for number, (columns, file) in enumerate(zip(episodes, files, strict=True)):
            length = len(next(iter(columns.values())))
            entry = {"episode_index": number, "length": length, "tasks": [tasks[task_of[number]]]}
            entry |= {"dataset_from_index": row, "dataset_to_index": row + length}
            entry |= {"data/chunk_index": 0, "data/file_index": file}
            for key in videos:
                entry |= {f"videos/{key}/chunk_index": 0, f"videos/{key}/file_index": file}
                entry[f"videos/{key}/from_timestamp"] = seconds[file]
                entry[f"videos/{key}/to_timestamp"] = seconds[file] + length / fps
            row, seconds[file] = row + length, seconds[file] + length / fps
            entries.append(entry)
        meta = path / "meta" / "episodes" / "chunk-000"
        pq.write_table(pa.Table.from_pylist(entries[:1]), meta / "file-000.parquet")
        pq.write_table(pa.Table.from_pylist(entries[1:]), meta / "file-001.parquet")

        for file in sorted(set(files)):
            members = [number for number in range(len(episodes)) if files[number] == file]
            rows = [
                {
                    **{key: values[step] for key, values in episodes[number].items()},
                    "timestamp": step / fps,
                    "episode_index": number,
                    "frame_index": step,
                    "task_index": task_of[number],
                }
                for number in members
                for step in range(entries[number]["length"])
            ]
            pq.write_table(pa.Table.from_pylist(rows), path / "data" / "chunk-000" / f"file-{file:03d}.parquet")
            for key, frames in videos.items():
                video = path / "videos" / key / "chunk-000" / f"file-{file:03d}.mp4"
                _write_video(video, np.concatenate([frames[number] for number in members]), fps=fps)
        return path

    return write


def _write_video(path, frames, *, fps, lossless=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        # B-frames and distant key frames, as recorders write them.
        options = {"qp": "0"} if lossless else {"crf": "18", "preset": "veryfast"}
        stream = container.add_stream("libx264rgb" if lossless else "libx264", rate=fps, options={**options, "g": "6"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "rgb24" if lossless else "yuv420p"
        stream.time_base = Fraction(1, fps)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
