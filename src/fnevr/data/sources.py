"""Which videos there are, and whom they show."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from fnevr.data.manifest import ClipRow
from fnevr.errors import FnevrError, MediaError, printable
from fnevr.faces.detector import Box

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".gif", ".m4v", ".mkv", ".mov", ".mp4"}
    | {".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"}
)


@dataclass(frozen=True)
class Span:
    """A stretch of a video in which one person is to be followed.

    Attributes:
        name: what its clips are called, before their number.
        identity: who it is.
        start_s: where it starts.
        stop_s: where it ends; infinity is the end of the video.
        box_times_s: when `boxes` are known; None where the largest face is meant.
        boxes: left, top, right and bottom of the face.
        is_share: whether the boxes are shares of the picture, or its pixels.
    """

    name: str
    identity: str
    start_s: float = 0.0
    stop_s: float = float("inf")
    box_times_s: Float[np.ndarray, " N"] | None = None
    boxes: Float[np.ndarray, "N 4"] | None = None
    is_share: bool = True

    def box_at(self, seconds: float, width: int, height: int) -> Box | None:
        """Return where the face is at a time, in pixels; None where nothing was said of it."""
        if self.boxes is None or self.box_times_s is None:
            return None
        scale = (width, height) if self.is_share else (1, 1)
        left, top, right, bottom = (
            float(np.interp(seconds, self.box_times_s, side)) for side in self.boxes.T
        )
        return left * scale[0], top * scale[1], right * scale[0], bottom * scale[1]


@dataclass(frozen=True)
class Job:
    """One video, done as a whole.

    Attributes:
        name: unique among the jobs.
        video: the file.
        source: its path relative to the folder of videos.
        spans: whom to follow, and when.
        ready: for a clip that is cropped already: its row; nothing of it is changed.
    """

    name: str
    video: Path
    source: str
    spans: tuple[Span, ...] = ()
    ready: ClipRow | None = None


def find_videos(folder: Path) -> list[Path]:
    """List the videos of a folder and its sub-folders, in order of name; hidden ones are left out.

    Raises:
        MediaError: if there is no such folder, or no video in it.
    """
    if not folder.is_dir():
        raise MediaError(f"no such folder: '{folder}'\na folder of videos was expected")
    videos = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in VIDEO_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )
    if not videos:
        endings = " ".join(sorted(VIDEO_SUFFIXES))
        raise MediaError(f"no videos in '{folder}'\nfiles with these endings are read: {endings}")
    return videos


def plan_videos(folder: Path, identity: str | None) -> list[Job]:
    """Make one job of every video of a folder.

    Raises:
        FnevrError: if there are no videos, or the pattern does not fit one of them.
    """
    pattern = None if identity is None else compile_identity(identity)
    jobs = []
    for path in find_videos(folder):
        name = job_name(path.relative_to(folder))
        source = source_name(path, folder)
        span = Span(name, identity_of(Path(source), pattern))
        jobs.append(Job(name, path, source, (span,)))
    return jobs


def source_name(path: Path, folder: Path) -> str:
    """Return what a manifest calls a video: its path relative to the folder, as plain text."""
    return printable(path.relative_to(folder).as_posix())


def compile_identity(pattern: str) -> re.Pattern[str]:
    """Check the pattern that finds the identity in a path.

    Raises:
        FnevrError: if it is no regular expression, or has no group.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise FnevrError(
            f"'{pattern}' is no regular expression: {error}", argument="identity"
        ) from error
    if expression.groups < 1:
        raise FnevrError(
            f"'{pattern}' has no group\n"
            "put what names the person in parentheses, as in '^([^_]+)_'",
            argument="identity",
        )
    return expression


def identity_of(source: Path, pattern: re.Pattern[str] | None) -> str:
    """Say whom a video shows: by the pattern, by its first folder, or by its name.

    Raises:
        FnevrError: if the pattern does not fit.
    """
    if pattern is None:
        return source.parts[0] if len(source.parts) > 1 else source.stem
    match = pattern.search(source.as_posix())
    if match is None or not match[1]:
        raise FnevrError(
            f"'{pattern.pattern}' finds nothing in '{source.as_posix()}'\n"
            "change the pattern, or move that video elsewhere",
            argument="identity",
        )
    return match[1]


def job_name(source: Path, *more: str) -> str:
    """Make a name for files: readable, and another one for every path."""
    text = "/".join((source.as_posix(), *more))
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:6]
    readable = re.sub(r"[^A-Za-z0-9.-]+", "_", "_".join((source.stem, *more))).strip("._-")
    return f"{readable[:80] or 'video'}-{digest}"


def check_names(jobs: Sequence[Job]) -> None:
    """Make sure that no two jobs write the same files.

    Raises:
        FnevrError: if two do.
    """
    sources: dict[str, str] = {}
    for job in jobs:
        if job.name in sources:
            raise FnevrError(
                f"'{sources[job.name]}' and '{job.source}' have the same name\nrename one of them"
            )
        sources[job.name] = job.source
