"""Pictures of another size.

Shapes: H and W before, h and w after, in pixels.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from fnevr.media.image import Picture
from fnevr.media.strips import resampled


def at_most(
    rgb: Picture, longer_side: int | None, pixels: int | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """Reduce a picture, in its proportions, until it is small enough; never enlarge it.

    Args:
        rgb: the picture.
        longer_side: that it may have, in pixels; None leaves that.
        pixels: that it may have in all; None leaves that.
    """
    height, width = rgb.shape[:2]
    return resize(rgb, *fitting(width, height, longer_side, pixels))


def fitting(
    width: int, height: int, longer_side: int | None, pixels: int | None = None
) -> tuple[int, int]:
    """Return the width and height to which `at_most` reduces a picture of this size."""
    longest = wanted = max(width, height)
    if longer_side is not None:
        wanted = min(wanted, longer_side)
    if pixels is not None:
        wanted = min(wanted, math.floor(longest * math.sqrt(pixels / (height * width))))
    # Rounded down, in whole numbers: the product of the sides keeps the limit.
    return max(1, width * wanted // longest), max(1, height * wanted // longest)


def resize(rgb: Picture, width: int, height: int) -> UInt8[np.ndarray, "h w 3"]:
    """Resize a picture, bicubic and without aliasing; unchanged if it has the size."""
    if rgb.shape[:2] == (height, width):
        return rgb
    if width == height < min(rgb.shape[:2]):  # to a model's view: large pictures in strips
        rows, columns = rgb.shape[:2]
        box = (0.0, 0.0, float(columns), float(rows))
        return resampled(lambda first, last: rgb[first:last], rows, columns, box, width)
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BICUBIC))
