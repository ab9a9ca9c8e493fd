"""Clips for training and validation: frames decoded when asked for, landmarks, who is shown.

Shapes: T frames, H and W pixels, N landmarks, F frames with a face.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from fnevr.data.manifest import ClipRow, Split, clip_path, read_manifest
from fnevr.data.store import read_clip
from fnevr.errors import MediaError


@runtime_checkable
class Frames(Protocol):
    """Frames, uint8 (T, H, W, 3), indexed as an array is: a stored clip, or an array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Frames, height, width, channels."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> np.ndarray: ...

    def __iter__(self) -> Iterator[np.ndarray]: ...


@dataclass(frozen=True)
class Clip:
    """One talking head.

    Attributes:
        name: of the clip, unique in its folder.
        identity: who is shown.
        motion: how far the face moves, in face heights.
        frames: decoded when they are asked for.
        landmarks: in [-1, 1], the picture's edges at -1 and 1; NaN where no face was found.
        real_frames: for a still: how many frames, the first ones, are photographs; the others were
            drawn from them. None where all are frames of a video.
        weight: how much more often than others it is drawn in training.
    """

    name: str
    identity: str
    motion: float
    frames: Frames
    landmarks: Float[np.ndarray, "T N 2"]
    real_frames: int | None = None
    weight: float = 1.0

    @property
    def tracked(self) -> Int[np.ndarray, " F"]:
        """Indices of the frames in which a face was found."""
        return np.flatnonzero(~np.isnan(self.landmarks[:, 0, 0]))

    @property
    def has_pair(self) -> bool:
        """Whether two frames show a face, of a still one of them a photograph."""
        tracked = self.tracked
        has_target = self.real_frames is None or bool((tracked < self.real_frames).any())
        return len(tracked) >= 2 and has_target


def load_clips(folder: Path, split: Split) -> list[Clip]:
    """Open the clips of one split of a prepared folder; stills are left out.

    Raises:
        MediaError: if the folder is not prepared, the split has no clips, or one is damaged.
    """
    rows = _rows(folder, split, stills=False)
    if not rows:
        raise MediaError(
            f"'{folder}' has no clips of the split {split!r}\n"
            "prepare videos of more people: each is in one split only"
        )
    return [make_clip(row, clip_path(folder, row.name)) for row in rows]


def load_stills(folder: Path, split: Split) -> list[Clip]:
    """Open the stills of one split, of which there may be none; clips are left out.

    Raises:
        MediaError: if the folder is not prepared, or a still is damaged.
    """
    rows = _rows(folder, split, stills=True)
    return [make_clip(row, clip_path(folder, row.name)) for row in rows]


def _rows(folder: Path, split: Split, *, stills: bool) -> list[ClipRow]:
    return [
        row
        for row in read_manifest(folder)
        if row.split == split and (row.real_frames is not None) == stills
    ]


def make_clip(row: ClipRow, source: Path | bytes) -> Clip:
    """Open one clip.

    Args:
        row: its row of the manifest.
        source: its file, or the file's contents.

    Raises:
        MediaError: if it is missing or damaged, or is not what the row says.
    """
    frames, landmarks = read_clip(source)
    if len(frames) != row.frames:
        raise MediaError(
            f"the clip {row.name} has {len(frames)} frames, its manifest says {row.frames}\n"
            "the folder was changed: run `fnevr prepare` again"
        )
    return Clip(row.name, row.identity, row.motion, frames, landmarks, row.real_frames, row.weight)


def to_signed(
    landmarks_px: Float[np.ndarray, "... N C"], width: float | int, height: float | int
) -> Float[np.ndarray, "... N 2"]:
    """Take landmarks from pixels to [-1, 1], the picture's edges at -1 and 1."""
    size = np.array([width, height], np.float32)
    return (2 * landmarks_px[..., :2] / size - 1).astype(np.float32)
