"""From a decoded frame of any pixel format to an upright RGB array."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from jaxtyping import UInt8

from fnevr.media.colors import Colors

UNSPECIFIED_COLORS = 2  # AVCOL_SPC_UNSPECIFIED
HD_HEIGHT = 720  # untagged video of this height and more is BT.709, as players assume
# H.264, level 5.2, as 4096 x 2304: what players of computers and phones open, and what decoders and
# encoders hold in some hundred megabytes.
PLAYED_PIXELS = 36_864 * 16 * 16
QUALITY = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


class RgbConverter:
    """Convert the frames of one video; keeps the scaler's tables between frames.

    Args:
        size: width and height to scale to before rotating; None: the frame's own, made square
            by its pixel aspect ratio.
        most_pixels: larger frames are reduced to that; not used with a size.
    """

    def __init__(self, size: tuple[int, int] | None = None, *, most_pixels: int = PLAYED_PIXELS):
        self._size, self._most_pixels = size, most_pixels
        self._matrix: tuple[int, int, int, int] | None = None
        self._reformatter = VideoReformatter()

    def convert(
        self, frame: av.VideoFrame, pixel_aspect: Fraction | None = None
    ) -> UInt8[np.ndarray, "H W 3"]:
        """Return the frame as it should be shown: square pixels, upright, alpha over white, BT.709.

        The first call fixes the size and the rotation of all later ones, so that a stream which
        changes its size half-way still gives frames of one size.
        """
        if self._matrix is None:  # once: reading it ties a frame into a reference cycle
            self._matrix = display_matrix(frame)
        if self._size is None:
            width, height = square_width(frame.width, pixel_aspect), frame.height
            scale = min(1.0, math.sqrt(self._most_pixels / (width * height)))
            self._size = (max(1, math.floor(width * scale)), max(1, math.floor(height * scale)))
        is_translucent = frame.format.name == "pal8" or any(
            component.is_alpha for component in frame.format.components
        )
        colors = None if is_translucent else Colors.of(frame)
        opaque = "rgb24" if colors is None else "rgb48le"
        picture = self._reformatter.reformat(
            frame,
            width=self._size[0],
            height=self._size[1],
            format="rgba" if is_translucent else opaque,
            src_colorspace=_colorspace(frame),
            interpolation=QUALITY,
            threads=1,
        )
        pixels = picture.to_ndarray()
        if is_translucent:
            pixels = over_white(pixels)
        if colors is not None:
            pixels = colors.for_screens(pixels)
        return np.ascontiguousarray(upright(pixels, self._matrix))


def over_white(rgba: UInt8[np.ndarray, "H W 4"]) -> UInt8[np.ndarray, "H W 3"]:
    """Composite straight alpha over white."""
    alpha = rgba[..., 3:].astype(np.uint16)
    sums = rgba[..., :3] * alpha + 255 * (255 - alpha.astype(np.uint32))
    return ((sums + 127) // 255).astype(np.uint8)


def square_width(width: int, pixel_aspect: Fraction | None) -> int:
    """Return the width at which pixels are square; odd aspect ratios are not believed."""
    if not pixel_aspect or not Fraction(1, 4) <= pixel_aspect <= 4:
        return width
    return max(1, round(width * pixel_aspect))


def display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """Return (a, b, c, d) of the file's display matrix: x' = a x + c y, y' = b x + d y."""
    data: Any = frame.side_data  # annotated by name only, though it takes the type
    if Type.DISPLAYMATRIX not in data:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(bytes(data[Type.DISPLAYMATRIX]), np.int32)[:5].tolist()
    return a, b, c, d


def upright(
    pixels: UInt8[np.ndarray, "H W C"], matrix: tuple[int, int, int, int]
) -> UInt8[np.ndarray, "H2 W2 C"]:
    """Apply the nearest of the eight rotations and mirrorings to a display matrix."""
    a, b, c, d = matrix
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels = pixels.swapaxes(0, 1)
        x_sign, y_sign = c, b
    else:
        x_sign, y_sign = a, d
    if x_sign < 0:
        pixels = pixels[:, ::-1]
    if y_sign < 0:
        pixels = pixels[::-1]
    return pixels


def _colorspace(frame: av.VideoFrame) -> Colorspace | None:
    """Return the colours to assume for untagged high-definition YUV, None to believe the tag."""
    is_untagged = frame.colorspace == UNSPECIFIED_COLORS and not frame.format.is_rgb
    return Colorspace.ITU709 if is_untagged and frame.height >= HD_HEIGHT else None
