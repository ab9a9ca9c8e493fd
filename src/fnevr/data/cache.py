"""Clips decoded to memory-mapped arrays: superseded by prepared folders, `fnevr.data.clips`.

A data folder holds ``clips.tsv`` (columns name, split, identity, motion, ...) and ``clips/*.mp4``,
square crops of one size. The cache holds for every clip ``NAME.frames.npy`` (T, H, W, 3) uint8 and
``NAME.landmarks.npy`` (T, 478, 2) float32 in [-1, 1] from edge to edge, NaN where no face was
found. NAME is the clip's file name without its ending.

Shapes: T frames, H and W pixels, N landmarks.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from fnevr.data.clips import Clip, to_signed
from fnevr.data.cropped import TABLE, read_table
from fnevr.data.store import NUM_LANDMARKS
from fnevr.errors import MediaError
from fnevr.faces.tracker import FaceTracker
from fnevr.media.files import atomic_path
from fnevr.media.video import open_video

__all__ = ["TABLE", "Clip", "build_cache", "load_cache", "read_table", "to_signed"]


def build_cache(
    data_dir: Path, cache_dir: Path, *, workers: int, progress: Callable[[str], None]
) -> None:
    """Decode and track every clip that is not in the cache yet; safe to interrupt and run again.

    Args:
        data_dir: the data folder.
        cache_dir: made if it does not exist.
        workers: processes that share the work.
        progress: called with the name of each clip that is done.

    Raises:
        MediaError: if the table or a clip cannot be read; clips that were done stay in the cache.
    """
    cache_dir.mkdir(parents=True, exist_ok=True)
    names = [row["name"] for row in read_table(data_dir)]
    todo = [name for name in names if not _landmarks_path(cache_dir, name).exists()]
    # Fresh processes: a fork would inherit the locks of this one's threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=workers, mp_context=context) as pool:
        jobs = {pool.submit(_cache_clip, data_dir, cache_dir, name): name for name in todo}
        try:
            for job in as_completed(jobs):
                job.result()
                progress(jobs[job])
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def load_cache(data_dir: Path, cache_dir: Path, split: str) -> list[Clip]:
    """Map the cached clips of one split ("train" or "val").

    Raises:
        MediaError: if the split has no clips, or one of them is not in the cache.
    """
    rows = [row for row in read_table(data_dir) if row["split"] == split]
    if not rows:
        raise MediaError(f"{data_dir / TABLE} has no clips of the split {split!r}")
    return [_load_clip(cache_dir, row) for row in rows]


def _load_clip(cache_dir: Path, row: dict[str, str]) -> Clip:
    path = _landmarks_path(cache_dir, row["name"])
    if not path.exists():
        raise MediaError(f"{row['name']} is not in the cache {cache_dir}: build it first")
    try:
        motion = float(row["motion"])
    except ValueError as error:
        raise MediaError(
            f"{row['name']}: motion must be a number, got {row['motion']!r}"
        ) from error
    frames = np.load(_frames_path(cache_dir, row["name"]), mmap_mode="r")
    return Clip(row["name"], row["identity"], motion, frames, np.load(path))


def _cache_clip(data_dir: Path, cache_dir: Path, name: str) -> None:
    """Write the two arrays of one clip; the landmarks come last and mark it as done."""
    tracker = FaceTracker(num_threads=1)
    frames, landmarks = [], []
    with open_video(data_dir / "clips" / name) as video:
        for frame in video:
            height, width = frame.rgb.shape[:2]
            frames.append(frame.rgb)
            track = tracker.update(frame.rgb)
            if track is None or track.status == "held":
                landmarks.append(np.full((NUM_LANDMARKS, 2), np.nan, np.float32))
            else:
                landmarks.append(to_signed(track.landmarks, width, height))
    for path, array in (
        (_frames_path(cache_dir, name), np.stack(frames)),
        (_landmarks_path(cache_dir, name), np.stack(landmarks)),
    ):
        with atomic_path(path) as temporary:
            np.save(temporary, array)


def _frames_path(cache_dir: Path, name: str) -> Path:
    return cache_dir / f"{Path(name).stem}.frames.npy"


def _landmarks_path(cache_dir: Path, name: str) -> Path:
    return cache_dir / f"{Path(name).stem}.landmarks.npy"
