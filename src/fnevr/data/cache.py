"""Clips decoded once: frames and landmarks as memory-mapped arrays.

A data folder holds ``clips.tsv`` (columns name, split, identity, motion, ...) and ``clips/*.mp4``,
square crops of one size. The cache holds for every clip ``NAME.frames.npy`` (T, H, W, 3) uint8 and
``NAME.landmarks.npy`` (T, 478, 2) float32 in [-1, 1] from edge to edge, NaN where no face was
found. NAME is the clip's file name without its ending.

Shapes: T frames, H and W pixels, N landmarks.
"""

from __future__ import annotations

import csv
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from fnevr.errors import MediaError
from fnevr.faces.tracker import FaceTracker
from fnevr.media.files import atomic_path
from fnevr.media.video import open_video

TABLE = "clips.tsv"
NUM_LANDMARKS = 478


@dataclass(frozen=True)
class Clip:
    """One talking head; the arrays are mapped from disk."""

    name: str
    identity: str
    motion: float
    frames: UInt8[np.ndarray, "T H W 3"]
    landmarks: Float[np.ndarray, "T N 2"]

    @property
    def tracked(self) -> Int[np.ndarray, " F"]:
        """Indices of the frames in which a face was found."""
        return np.flatnonzero(~np.isnan(self.landmarks[:, 0, 0]))


def read_table(data_dir: Path) -> list[dict[str, str]]:
    """Read the rows of a data folder's table of clips.

    Raises:
        MediaError: if the table is missing or lacks a column.
    """
    path = data_dir / TABLE
    if not path.is_file():
        raise MediaError(f"{path} not found: a data folder holds {TABLE} and a folder clips/")
    with path.open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    missing = {"name", "split", "identity", "motion"} - set(rows[0] if rows else {})
    if missing:
        raise MediaError(f"{path} lacks the columns {sorted(missing)} (or has no rows)")
    return rows


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


def to_signed(
    landmarks_px: Float[np.ndarray, "N 3"], width: int, height: int
) -> Float[np.ndarray, "N 2"]:
    """Take landmarks from pixels to [-1, 1], the picture's edges at -1 and 1."""
    size = np.array([width, height], np.float32)
    return (2 * landmarks_px[:, :2] / size - 1).astype(np.float32)


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
