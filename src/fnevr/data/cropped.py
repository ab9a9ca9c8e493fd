"""Clips that are cropped already: a table beside a folder of videos.

The folder holds ``clips.tsv`` (columns name, split, identity, motion, ...) and ``clips/NAME``,
square videos of one size, framed as the training clips are.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fnevr.data.clips import to_signed
from fnevr.data.manifest import ClipRow, Split, clip_path
from fnevr.data.segments import clip_seconds
from fnevr.data.settings import SIZE
from fnevr.data.sources import Job
from fnevr.data.store import encode_frame, write_clip
from fnevr.errors import MediaError
from fnevr.faces.landmarks import NUM_LANDMARKS, NUM_MESH
from fnevr.faces.tracker import FaceTracker
from fnevr.media.reader import VideoReader

TABLE = "clips.tsv"
NEEDED = ("name", "split", "identity", "motion")
MAX_COLUMNS = 1000


def read_table(
    folder: Path, name: str = TABLE, needed: Sequence[str] = NEEDED
) -> list[dict[str, str]]:
    """Read the rows of a folder's table of clips, or of stills.

    Args:
        folder: holds the table, and what it names in a folder of the table's name.
        name: of the table.
        needed: columns that it must have.

    Raises:
        MediaError: if the table is missing, lacks a column or has very many.
    """
    path = folder / name
    if not path.is_file():
        raise MediaError(f"{path} not found: a data folder holds {name} and a folder {path.stem}/")
    try:
        with path.open(newline="", encoding="utf-8") as table:
            reader = csv.DictReader(table, delimiter="\t")
            if len(reader.fieldnames or ()) > MAX_COLUMNS:  # each row has them all, short ones too
                raise MediaError(
                    f"'{path}' has {len(reader.fieldnames or ())} columns, at most {MAX_COLUMNS} "
                    "are read: is it a table with a line per row?"
                )
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MediaError(f"cannot read '{path}': {error}") from error
    check_rows(path, rows, needed)
    return rows


def check_rows(path: Path, rows: list[dict[str, str]], needed: Sequence[str]) -> None:
    """Check that a table has rows, and each of them something in the columns that are needed.

    Raises:
        MediaError: if not; `csv` gives None where a row is too short.
    """
    absent_columns = set(needed) - set(rows[0] if rows else {})
    if absent_columns:
        raise MediaError(f"{path} lacks the columns {sorted(absent_columns)} (or has no rows)")
    for number, row in enumerate(rows, start=1):
        absent = [name for name in needed if row[name] is None]
        if absent:
            raise MediaError(f"{path}: row {number} ends before its {absent[0]}: fill it in")


def plan_cropped(folder: Path, licence: str) -> list[Job]:
    """Make one job of every clip of the table.

    Args:
        folder: with the table and the clips.
        licence: for rows whose ``licence`` or ``repo_licence`` is empty.

    Raises:
        MediaError: if the table cannot be used.
    """
    jobs = []
    for row in read_table(folder):
        name = clip_name(folder / TABLE, row["name"])
        ready = _table_row(folder / TABLE, row, licence)
        jobs.append(Job(name, folder / "clips" / row["name"], row["name"], ready=ready))
    return jobs


def store_cropped(video: VideoReader, job: Job, out: Path) -> ClipRow:
    """Track a ready clip and store it; every frame is kept, and so is the table's motion.

    Raises:
        MediaError: if the video is not square.
    """
    assert job.ready is not None
    if video.info.width != video.info.height:
        size = f"{video.info.width}x{video.info.height}"
        raise MediaError(
            f"'{job.video}' is {size}\nready clips are square; leave `cropped=True` out"
        )
    tracker = FaceTracker(num_threads=1)
    jpegs, landmarks, times_s, faces = [], [], [], []
    for frame in video:
        side = len(frame.rgb)
        rgb = frame.rgb if side == SIZE else _resized(frame.rgb)
        jpegs.append(encode_frame(rgb))
        times_s.append(float(frame.time))
        track = tracker.update(frame.rgb)
        if track is None or track.status == "held":
            landmarks.append(np.full((NUM_LANDMARKS, 2), np.nan, np.float32))
        else:
            landmarks.append(to_signed(track.landmarks, side, side))
            faces.append(float(np.ptp(track.landmarks[:NUM_MESH, :2], axis=0).max()))
    write_clip(clip_path(out, job.name), jpegs, np.stack(landmarks))
    seconds = clip_seconds(np.array(times_s))
    return job.ready.model_copy(
        update={
            "frames": len(jpegs),
            "seconds": round(seconds, 3),
            "fps": round(len(jpegs) / seconds, 3) if seconds else 0.0,
            "crop": (0.0, 0.0, float(video.info.width)),
            "face_px": round(float(np.median(faces)), 1) if faces else 0.0,
        }
    )


def clip_name(path: Path, file_name: str) -> str:
    """Return the name of a clip of a table from that of its file.

    Raises:
        MediaError: if clips cannot be called so.
    """
    name = Path(file_name).stem
    if not re.fullmatch(r"[\w.-]+", name):
        raise MediaError(f"{path}: '{file_name}' cannot be a clip's name: letters and _ - . only")
    return name


def _table_row(path: Path, row: dict[str, str], licence: str) -> ClipRow:
    name = clip_name(path, row["name"])
    try:
        motion = float(row["motion"])
    except (TypeError, ValueError) as error:
        raise MediaError(f"{name}: motion must be a number, got {row['motion']!r}") from error
    if not 0 <= motion < math.inf:
        raise MediaError(f"{name}: motion must be 0 or more, got {row['motion']!r}")
    own = row.get("licence") or row.get("repo_licence") or licence
    own_columns = {*NEEDED, "licence", "repo_licence", "frames", "fps", "start_s", "seconds"}
    return ClipRow(
        name=name,
        split=_table_split(name, row["split"]),
        identity=row["identity"],
        source=row["name"],
        start_s=0.0,
        seconds=0.0,
        frames=1,
        fps=0.0,
        crop=(0.0, 0.0, 0.0),
        face_px=0.0,
        motion=motion,
        licence=own,
        tags={key: value for key, value in row.items() if key and value and key not in own_columns},
    )


def _table_split(name: str, split: str) -> Split | None:
    """Read a split; an empty one is decided by the identity."""
    if split in ("train", "val"):
        return split  # type: ignore[return-value]  # mypy does not narrow to a literal
    if not split:
        return None
    raise MediaError(f"{name}: split must be train or val, got {split!r}")


def _resized(rgb: np.ndarray) -> np.ndarray:
    return np.array(Image.fromarray(rgb).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
