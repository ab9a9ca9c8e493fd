"""Write frames to a video file, and check that an output is not also an input.

Shapes: h and w of the output.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fnevr.errors import MediaError
from fnevr.media.files import PathLike
from fnevr.media.writer import VideoWriter
from fnevr.runtime.ahead import Ahead

DRAW_AHEAD = 4  # frames that wait to be encoded

Output = UInt8[np.ndarray, "h w 3"]


def check_inputs(output: PathLike, *inputs: PathLike) -> None:
    """Raise MediaError before any work if the output is also an input."""
    for path in inputs:
        if Path(path).resolve() == Path(output).resolve():
            raise MediaError(f"'{output}' is an input and the output; choose another output")


def write_frames(
    output: PathLike,
    size: tuple[int, int],
    frame_rate: Fraction,
    audio_from: Path | None,
    frames: Iterator[tuple[Output, Fraction]],
) -> int:
    """Write all frames at their times; return how many there were.

    Frames are drawn while others are encoded.

    Args:
        output: the video.
        size: of the frames, width and height in pixels.
        frame_rate: frames per second, nominal where times vary.
        audio_from: the file whose sound goes along; None for none.
        frames: with the times at which they are shown.
    """
    with (
        closing(Ahead(frames, DRAW_AHEAD)) as drawn,
        VideoWriter(output, *size, frame_rate, audio_from) as writer,
    ):
        for rgb, shown_at in drawn:
            writer.write(rgb, shown_at)
        return writer.num_frames
