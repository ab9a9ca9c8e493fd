"""The clips to evaluate on: a prepared folder, a table of cropped clips, or a folder of videos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fnevr.animation.face_crops import resized
from fnevr.data.cropped import TABLE, clip_name, read_table
from fnevr.data.manifest import MANIFEST, Split, clip_path, read_manifest
from fnevr.data.sources import find_videos, job_name
from fnevr.data.store import read_clip
from fnevr.errors import MediaError
from fnevr.media.video import open_video

Video = UInt8[np.ndarray, "T H W 3"]


@dataclass(frozen=True)
class EvaluationClip:
    """One clip, decoded when it is asked for.

    Attributes:
        name: unique among the clips, fit for a file's name.
        load: decodes all frames, square, at a side in pixels.
        identity: who is shown, if that is known.
    """

    name: str
    load: Callable[[int], Video]
    identity: str = ""


def find_clips(folder: Path, split: Split | None) -> list[EvaluationClip]:
    """List the clips of a folder.

    Args:
        folder: prepared by `fnevr prepare`; or with `clips.tsv` and `clips/`; or any videos, framed
            as the models expect.
        split: which split of the first two kinds; None takes all. Plain videos have no splits.

    Raises:
        MediaError: if there are no such clips.
    """
    if (folder / MANIFEST).is_file():
        clips = [
            EvaluationClip(row.name, partial(_prepared, clip_path(folder, row.name)), row.identity)
            for row in read_manifest(folder)
            if split in (None, row.split) and row.real_frames is None
        ]
    elif (folder / TABLE).is_file():
        clips = [
            EvaluationClip(
                clip_name(folder / TABLE, row["name"]),
                partial(_decoded, folder / "clips" / row["name"]),
                row["identity"],
            )
            for row in read_table(folder)
            if split in (None, row["split"])
        ]
    else:
        clips = [
            EvaluationClip(job_name(path.relative_to(folder)), partial(_decoded, path))
            for path in find_videos(folder)
        ]
    if not clips:
        raise MediaError(f"'{folder}' has no clips of the split {split!r}")
    return clips


def _decoded(path: Path, side: int) -> Video:
    with open_video(path) as reader:
        return np.stack([frame.rgb for frame in resized(reader, side)])


def _prepared(path: Path, side: int) -> Video:
    frames, _ = read_clip(path)
    if frames.shape[1] != side:
        raise MediaError(
            f"'{path}' is {frames.shape[1]} pixels wide, the models take {side}: prepare the "
            "videos at that size, or name the folder of videos itself"
        )
    return np.stack([frames[index] for index in range(len(frames))])
