"""VoxCeleb's lists: who speaks in which video, when, and where the face is.

One text file per utterance, at ``IDENTITY/VIDEO/00001.txt``: a header of ``key : value`` lines
(Identity, Reference, Offset, FV Conf, ASD Conf; the reference is the video's name on the site it
comes from), an empty line, the line ``FRAME X Y W H``, and a row for every frame at 25 frames per
second. VoxCeleb1 gives boxes in pixels of the video that its authors had, VoxCeleb2 as shares of
the picture.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from fnevr.data.sources import Job, Span, find_videos, job_name, source_name
from fnevr.errors import MediaError

FRAME_RATE = 25.0
COLUMNS = ("FRAME", "X", "Y", "W", "H")
MAX = 1e9  # frames or pixels
MAX_SHARE = 2.0  # a box reaches over the picture's edge now and then; a pixel box is larger


@dataclass(frozen=True)
class Utterance:
    """One of VoxCeleb's text files.

    Attributes:
        identity: who speaks: "id00017", or a name.
        reference: the video's name.
        frames: their numbers, at 25 frames per second.
        boxes: left, top, width and height of the face.
    """

    identity: str
    reference: str
    frames: Int[np.ndarray, " N"]
    boxes: Float[np.ndarray, "N 4"]

    @property
    def is_share(self) -> bool:
        """Whether the boxes are shares of the picture, or its pixels."""
        return bool(self.boxes.max() <= MAX_SHARE)


def read_utterance(path: Path) -> Utterance:
    """Read one text file.

    Raises:
        MediaError: if it is not of VoxCeleb's form; the message says which line.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise MediaError(f"cannot read '{path}': {error}") from error
    header: dict[str, str] = {}
    rows: list[list[float]] = []
    in_table = False
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if tuple(words[: len(COLUMNS)]) == COLUMNS:
            in_table = True
        elif in_table and words:
            rows.append(_row(path, number, words))
        elif ":" in line:
            key, value = line.split(":", maxsplit=1)
            header[key.strip()] = value.strip()
        elif words:
            raise _malformed(path, number, f"'{line.strip()}' is neither 'key : value' nor a row")
    for key in ("Identity", "Reference"):
        if not header.get(key):
            raise _malformed(path, None, f"there is no '{key} : ...'")
    if not rows:
        raise _malformed(path, None, "there are no rows under 'FRAME X Y W H'")
    table = np.array(sorted(rows))
    return Utterance(
        header["Identity"], header["Reference"], table[:, 0].astype(np.int64), table[:, 1:]
    )


def plan_voxceleb(
    videos: Path, lists: Path, chosen: Sequence[Path] | None = None
) -> tuple[list[Job], list[str], dict[str, str]]:
    """Make one job of every video that the lists name and the folder has.

    Args:
        videos: a folder with ``REFERENCE.mp4`` (or another ending) at any depth.
        lists: a folder with VoxCeleb's text files at any depth.
        chosen: which of the text files; None takes all.

    Returns:
        The jobs, the names of missing videos, and what is wrong with the lists that cannot be read.

    Raises:
        MediaError: if there are no videos, or no lists that can be read.
    """
    paths = chosen
    if paths is None:
        paths = sorted(lists.rglob("*.txt")) if lists.is_dir() else []
    if not paths:
        raise MediaError(
            f"no text files in '{lists}'\nVoxCeleb's lists are IDENTITY/VIDEO/00001.txt"
        )
    files = {path.stem: path for path in find_videos(videos)}
    spans: dict[str, list[Span]] = defaultdict(list)
    malformed: dict[str, str] = {}
    absent_videos: set[str] = set()
    for path in paths:
        try:
            utterance = read_utterance(path)
        except MediaError as error:
            malformed[source_name(path, lists)] = str(error)
            continue
        if utterance.reference in files:
            name = job_name(path.relative_to(lists), utterance.identity, utterance.reference)
            spans[utterance.reference].append(make_span(name, utterance))
        else:
            absent_videos.add(utterance.reference)
    if len(malformed) == len(paths):
        raise MediaError(f"'{lists}' has no VoxCeleb lists: {next(iter(malformed.values()))}")
    jobs = [
        Job(
            job_name(files[reference].relative_to(videos)),
            files[reference],
            source_name(files[reference], videos),
            tuple(spans[reference]),
        )
        for reference in sorted(spans)
    ]
    return jobs, sorted(absent_videos), malformed


def make_span(name: str, utterance: Utterance) -> Span:
    """Say when and where to look for an utterance's face."""
    left, top, width, height = utterance.boxes.T
    times_s = utterance.frames / FRAME_RATE
    return Span(
        name,
        utterance.identity,
        float(times_s[0]),
        float(times_s[-1] + 1 / FRAME_RATE),
        times_s,
        np.stack((left, top, left + width, top + height), axis=1),
        utterance.is_share,
    )


def _row(path: Path, number: int, words: list[str]) -> list[float]:
    try:
        values = [float(word) for word in words[: len(COLUMNS)]]
    except ValueError as error:
        raise _malformed(path, number, f"'{' '.join(words)}' is no row of numbers") from error
    are_numbers = len(values) == len(COLUMNS) and all(abs(value) <= MAX for value in values)
    if not are_numbers or values[0] < 0 or min(values[3:]) <= 0:
        raise _malformed(path, number, f"'{' '.join(words)}' is no frame and box")
    return values


def _malformed(path: Path, number: int | None, what: str) -> MediaError:
    where = f"'{path}'" if number is None else f"'{path}', line {number}"
    return MediaError(f"{where}: {what}\na VoxCeleb list was expected: Identity, Reference, boxes")
