"""Large pictures a few rows at a time, so that copies of them stay small.

Shapes: H and W of a picture, h and w of the result, in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import UInt8
from PIL import Image

STRIP_PIXELS = 2**22

Rows = Callable[[int, int], UInt8[np.ndarray, "h W 3"]]
"""Gives the rows of a picture from one to before another."""


def strips(height: int, width: int, multiple: int = 1) -> Iterator[tuple[int, int]]:
    """Divide a picture into strips of about `STRIP_PIXELS`.

    Args:
        height: of the picture.
        width: of the picture.
        multiple: all strips but the last have a number of rows that it divides.

    Yields:
        The first row of each strip, and the one after its last.
    """
    step = multiple * max(1, STRIP_PIXELS // (max(width, 1) * multiple))
    for first in range(0, height, step):
        yield first, min(first + step, height)


def reduced(rows: Rows, height: int, width: int, factor: int) -> UInt8[np.ndarray, "h w 3"]:
    """Average blocks of pixels, as Pillow's `reduce` does; blocks at the ends may be smaller.

    Args:
        rows: gives the picture.
        height: of the picture.
        width: of the picture.
        factor: side of the blocks.
    """
    result = np.empty((math.ceil(height / factor), math.ceil(width / factor), 3), np.uint8)
    for first, last in strips(height, width, factor):
        strip = rows(first, last)
        if factor > 1:
            strip = np.asarray(Image.fromarray(np.ascontiguousarray(strip)).reduce(factor))
        start = first // factor
        result[start : start + len(strip)] = strip
    return result


def resampled(
    rows: Rows, height: int, width: int, box: tuple[float, float, float, float], side: int
) -> UInt8[np.ndarray, "S S 3"]:
    """Bring a box of a picture to a square, bicubic and without aliasing, as `Image.resize` does.

    Large pictures are resampled along their rows first, strip by strip. Pillow takes that order too
    where it is the cheaper one, which it is for squares that are small beside the picture.

    Args:
        rows: gives the picture.
        height: of the picture.
        width: of the picture.
        box: left, top, right and bottom, in pixels.
        side: of the result.
    """
    left, top, right, bottom = box
    if height * width <= STRIP_PIXELS:
        whole = Image.fromarray(np.ascontiguousarray(rows(0, height)))
        return np.array(whole.resize((side, side), Image.Resampling.BICUBIC, box))
    narrow = np.empty((height, side, 3), np.uint8)
    for first, last in strips(height, width):
        strip = Image.fromarray(np.ascontiguousarray(rows(first, last)))
        window = (left, 0, right, last - first)
        resized = strip.resize((side, last - first), Image.Resampling.BICUBIC, window)
        narrow[first:last] = np.asarray(resized)
    picture = Image.fromarray(narrow).resize(
        (side, side), Image.Resampling.BICUBIC, (0, top, side, bottom)
    )
    return np.array(picture)
