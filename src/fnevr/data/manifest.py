"""The manifest of a prepared folder: one JSON line per clip.

A prepared folder holds ``manifest.jsonl`` and ``clips/NAME.tar`` (see `fnevr.data.store`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveInt, ValidationError

from fnevr.config.stages import FrozenConfig
from fnevr.errors import MediaError
from fnevr.media.files import atomic_path

MANIFEST, CLIPS = "manifest.jsonl", "clips"
MAX_WEIGHT = 1e6
ANEW = "delete the manifest and run `fnevr prepare` again: it is written anew"

Split = Literal["train", "val"]


class ClipRow(FrozenConfig):
    """What is known of one clip."""

    name: str = Field(pattern=r"^[\w.-]+$")
    """Its file is ``clips/NAME.tar``."""

    split: Split | None = None
    """Training or validation; None until all identities are known."""

    identity: str
    """Who is shown; no identity is in both splits."""

    source: str
    """The video it comes from, relative to the folder of raw videos."""

    start_s: NonNegativeFloat
    """Where in the video it starts."""

    seconds: NonNegativeFloat
    """How long it is."""

    frames: PositiveInt
    """How many frames it has."""

    fps: NonNegativeFloat
    """Frames per second, as in the video."""

    crop: tuple[float, float, float]
    """Left, top and side of the square, in pixels of the video."""

    face_px: NonNegativeFloat
    """Longer side of the box around the face mesh, in pixels of the video; the median."""

    motion: NonNegativeFloat
    """How far the face moves: the deviation of its centre, in face heights."""

    real_frames: PositiveInt | None = None
    """How many frames, the first ones, are photographs; the others were drawn from them. None: all
    are frames of a video."""

    weight: float = Field(default=1.0, gt=0, le=MAX_WEIGHT)
    """How much more often than others it is drawn in training."""

    licence: str = ""
    """Under what terms the footage may be used, in the words of whoever prepared it."""

    tags: dict[str, str] = Field(default_factory=dict)
    """Whatever else a table of ready clips said."""


def clip_path(folder: Path, name: str) -> Path:
    """Return where a clip of a prepared folder lies."""
    return folder / CLIPS / f"{name}.tar"


def write_manifest(folder: Path, rows: Iterable[ClipRow]) -> None:
    """Replace the manifest, atomically.

    Raises:
        MediaError: if a row could not be read again.
        WriteError: if the file cannot be written.
    """
    lines = [row.model_dump_json() for row in rows]
    for number, line in enumerate(lines, start=1):
        _parse(folder / MANIFEST, number, line)
    with atomic_path(folder / MANIFEST) as temporary:
        temporary.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def read_manifest(folder: Path) -> list[ClipRow]:
    """Read all rows.

    Raises:
        MediaError: if there is no manifest, or a line of it is no row.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise MediaError(
            f"'{folder}' has no {MANIFEST}, so it is no prepared folder (or its preparation was "
            f"killed)\nrun `fnevr prepare VIDEOS {folder}`, or run it again"
        )
    try:
        # Names hold what else Python takes for the end of a line, such as U+0085 and U+2028.
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise MediaError(f"cannot read '{path}': {error}\n{ANEW}") from error
    if lines == [""]:
        return []
    return [_parse(path, number, line) for number, line in enumerate(lines, start=1)]


def _parse(path: Path, number: int, line: str) -> ClipRow:
    try:
        return ClipRow.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the line"
        raise MediaError(f"'{path}', line {number}: {where}: {first['msg']}\n{ANEW}") from error
