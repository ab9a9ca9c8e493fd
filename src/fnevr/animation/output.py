"""Write frames to a video file.

Shapes: h and w of the output.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction

import numpy as np
from jaxtyping import UInt8

from fnevr.animation.driver import Driver
from fnevr.animation.keypoint_log import M
from fnevr.animation.source import Source
from fnevr.media.files import PathLike
from fnevr.media.writer import VideoWriter
from fnevr.runtime.ahead import Ahead

DRAW_AHEAD = 4  # frames that wait to be encoded

Output = UInt8[np.ndarray, "h w 3"]


def write_frames(
    output: PathLike, source: Source, driver: Driver[M], frames: Iterator[tuple[Output, Fraction]]
) -> int:
    """Write all frames at their times, with the driver's sound; return how many there were.

    Frames are drawn while others are encoded.
    """
    size = source.width, source.height
    with (
        closing(Ahead(frames, DRAW_AHEAD)) as drawn,
        VideoWriter(output, *size, driver.frame_rate, driver.audio_from) as writer,
    ):
        for rgb, shown_at in drawn:
            writer.write(rgb, shown_at)
        return writer.num_frames
