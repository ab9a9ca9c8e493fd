"""Pack a prepared folder small, to carry it to the machine that trains.

    python scripts/pack_clips.py DATA OUT --max-mib 45

OUT is a prepared folder too: every n-th frame of every clip, compressed harder. n is the smallest
that keeps OUT under the limit. Needs neither video nor face libraries.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from fnevr.data.clips import Clip, make_clip
from fnevr.data.manifest import CLIPS, ClipRow, clip_path, read_manifest, write_manifest
from fnevr.data.store import write_clip
from fnevr.errors import FnevrError

app = typer.Typer(add_completion=False)

MIB = 2**20
BLOCK = 512  # of a tar file: one per header, and contents are padded to whole ones
SAMPLES = 64


@app.command()
def main(
    data: Annotated[Path, typer.Argument(help="A prepared folder.")],
    out: Annotated[Path, typer.Argument(help="Gets the packed one; must not exist.")],
    max_mib: Annotated[float, typer.Option(help="Limit of its size.")] = 45.0,
    quality: Annotated[int, typer.Option(min=1, max=95, help="Of the JPEG frames.")] = 75,
) -> None:
    """Write OUT and say what is in it."""
    try:
        every, num_bytes = pack(data, out, max_mib=max_mib, quality=quality)
    except FnevrError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from error
    typer.echo(f"{out}: every {every} frames, {num_bytes / MIB:.1f} MiB")


def pack(data: Path, out: Path, *, max_mib: float, quality: int) -> tuple[int, int]:
    """Write a smaller prepared folder.

    Returns:
        Every how many frames were taken, and how many bytes the folder has.

    Raises:
        FnevrError: if OUT exists, or two frames of every clip are too many already.
    """
    if out.exists():
        raise FnevrError(f"'{out}' exists already: remove it, or give another folder")
    rows = read_manifest(data)
    clips = [make_clip(row, clip_path(data, row.name)) for row in rows]
    every = choose_step([len(clip.frames) for clip in clips], _frame_bytes(clips, quality), max_mib)
    (out / CLIPS).mkdir(parents=True)
    packed = [
        _pack_clip(row, clip, out, every, quality) for row, clip in zip(rows, clips, strict=True)
    ]
    write_manifest(out, packed)
    return every, sum(path.stat().st_size for path in out.rglob("*") if path.is_file())


def choose_step(num_frames: list[int], frame_bytes: float, max_mib: float) -> int:
    """Return the smallest n for which every n-th frame of all clips fits the limit.

    Raises:
        FnevrError: if even two frames of every clip do not.
    """
    for every in range(1, max(num_frames) + 1):
        total = sum(len(_indices(count, every)) for count in num_frames)
        if total * frame_bytes <= max_mib * MIB:
            return every
    raise FnevrError(
        f"two frames of each of {len(num_frames)} clips are more than {max_mib} MiB\n"
        "give a larger --max-mib, or prepare fewer clips"
    )


def _indices(count: int, every: int) -> list[int]:
    """Every n-th frame from the first on; the last one too where that would leave one alone."""
    return list(range(0, count, every)) if every < count else sorted({0, count - 1})


def _frame_bytes(clips: list[Clip], quality: int) -> float:
    """Estimate what a frame takes: picture, landmarks, and the archive's blocks."""
    sizes = []
    for index in np.linspace(0, len(clips) - 1, SAMPLES).round().astype(int):
        frames = clips[index].frames
        sizes.append(len(_encode(frames[len(frames) // 2], quality)))
    landmarks = clips[0].landmarks[0].nbytes
    return 1.02 * (float(np.mean(sizes)) + landmarks + 1.5 * BLOCK)


def _pack_clip(row: ClipRow, clip: Clip, out: Path, every: int, quality: int) -> ClipRow:
    indices = _indices(len(clip.frames), every)
    jpegs = [_encode(clip.frames[index], quality) for index in indices]
    write_clip(clip_path(out, row.name), jpegs, clip.landmarks[indices])
    return row.model_copy(update={"frames": len(indices), "fps": row.fps / every})


def _encode(rgb: np.ndarray, quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


if __name__ == "__main__":
    app()
