"""Write frames to a video file.

Shapes: h and w of the output.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fnevr.animation.transfers import Transfer
from fnevr.errors import MediaError
from fnevr.media.files import PathLike
from fnevr.media.image import EXTENSIONS, check_image_target, write_image
from fnevr.media.writer import FORMATS, VideoWriter, check_video_target
from fnevr.runtime.ahead import Ahead
from fnevr.runtime.engine import Engine

DRAW_AHEAD, AHEAD_PIXELS = 4, 9_000_000  # frames that wait to be encoded, and pixels of them
SIDE_BY_SIDE = 720  # pixels: side up to which two frames are drawn at once

Output = UInt8[np.ndarray, "h w 3"]


def for_many(engine: Engine, side: int) -> Engine:
    """Return what draws many frames: large ones one at a time, for the sake of memory.

    Args:
        engine: draws them.
        side: of what is drawn, in pixels, at most.
    """
    return engine.side_by_side() if side <= SIDE_BY_SIDE else engine


def is_picture_name(output: PathLike) -> bool:
    """Tell whether a file is named as a picture that can be written."""
    return Path(output).suffix.lower() in EXTENSIONS


def check_output(output: PathLike) -> None:
    """Raise MediaError now if `write_frames` could not write to this path later."""
    (check_image_target if is_picture_name(output) else check_video_target)(output)


def still_warnings(output: PathLike, num_frames: int, transfer: Transfer) -> list[str]:
    """Say what a driver of one frame means for the result."""
    if num_frames != 1:
        return []
    if transfer == "relative":
        return [
            "the driver has one frame, and relative motion of one frame leaves the source as "
            "it is: use `transfer='retarget'` for its expression, or a video"
        ]
    if is_picture_name(output):
        return []
    return ["the driver has one frame, and so has the result; an output named .png is a picture"]


def write_frames(
    output: PathLike,
    size: tuple[int, int],
    frame_rate: Fraction,
    frames: Iterator[tuple[Output, Fraction]],
    *,
    audio_from: Path | None = None,
    audio_start: Fraction = Fraction(0),
    crf: int | None = None,
    end: Callable[[], Fraction | None] = lambda: None,
) -> int:
    """Write all frames at their times; return how many there were.

    Frames are drawn while others are encoded, unless they are very large. Of a driver that is one
    picture the result may be a picture too, as the output's name says.

    Args:
        output: the video, or the picture.
        size: of the frames, width and height in pixels.
        frame_rate: frames per second, nominal where times vary.
        frames: with the times at which they are shown.
        audio_from: the file whose sound goes along; None for none.
        audio_start: seconds after that file's first frame at which its sound begins.
        crf: quality of the video; None is the writer's own.
        end: says, once all frames were read, when the last one ends; None is a frame period later.

    Raises:
        MediaError: if the output is named as a picture and there are more frames.
    """
    if is_picture_name(output):
        stills = list(itertools.islice(frames, 2))
        if len(stills) != 1:
            raise MediaError(
                f"'{output}' is a picture's name, but the driver has more than one frame: name a "
                f"video ({', '.join(FORMATS)})"
            )
        write_image(output, stills[0][0])
        return 1
    ahead = min(DRAW_AHEAD, AHEAD_PIXELS // (size[0] * size[1]))
    with (
        closing(Ahead(frames, ahead)) if ahead else nullcontext(frames) as drawn,
        VideoWriter(
            output, *size, frame_rate, audio_from, audio_start=audio_start, crf=crf
        ) as writer,
    ):
        for rgb, shown_at in drawn:
            writer.write(rgb, shown_at)
        writer.end = end()
        return writer.num_frames
