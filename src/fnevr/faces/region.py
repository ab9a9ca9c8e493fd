"""Square, possibly turned regions of a picture, and cutting them out for a model.

Pixel coordinates everywhere in ``fnevr.faces``: x first, (0, 0) is the corner of the picture, so
the centre of its first pixel is (0.5, 0.5) and the far corner is (width, height).

Shapes: H and W of the picture, S the side of the cut-out, N points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from fnevr.media.strips import reduced

Border = Literal["edge", "constant"]

# How far a region that follows a face stays behind it: shares of its size, and an angle.
CENTRE_SLACK, SIZE_SLACK, ANGLE_SLACK_RAD = 0.005, 0.01, math.radians(0.5)


@dataclass(frozen=True)
class Region:
    """A square of a picture, in its pixels, turned clockwise by ``angle_rad`` as seen."""

    centre_x: float
    centre_y: float
    size: float
    angle_rad: float = 0.0

    @property
    def axes(self) -> Float[np.ndarray, "2 2"]:
        """Unit vectors of the region's x and y, as rows, in picture coordinates."""
        cos, sin = math.cos(self.angle_rad), math.sin(self.angle_rad)
        return np.array([[cos, sin], [-sin, cos]])

    def to_picture(self, points: Float[np.ndarray, "N 3"], side: int) -> Float[np.ndarray, "N 3"]:
        """Take points from the pixels of a cut-out of this side to those of the picture."""
        scale = self.size / side
        offsets = (points[:, :2] - side / 2) * scale
        xy = offsets @ self.axes + np.array([self.centre_x, self.centre_y])
        return np.concatenate([xy, points[:, 2:] * scale], axis=1).astype(np.float32)


def drawn_along(region: Region, wanted: Region) -> Region:
    """Move a region towards where it is wanted, as a thing on a slack leash goes along.

    What lies within the slack moves nothing, so that a region which is found from what was seen in
    the last one does not tremble with it; what lies beyond is made up for at once.

    Args:
        region: the last one.
        wanted: where it would be without slack.
    """
    centre = complex(region.centre_x, region.centre_y)
    goal = complex(wanted.centre_x, wanted.centre_y)
    distance, slack = abs(goal - centre), CENTRE_SLACK * wanted.size
    if distance > slack:
        centre = goal + (centre - goal) * slack / distance
    growth = math.log(region.size / wanted.size)
    turn = math.remainder(region.angle_rad - wanted.angle_rad, math.tau)
    return Region(
        centre.real,
        centre.imag,
        wanted.size * math.exp(min(max(growth, -SIZE_SLACK), SIZE_SLACK)),
        wanted.angle_rad + min(max(turn, -ANGLE_SLACK_RAD), ANGLE_SLACK_RAD),
    )


def aligned_region(template: Float[np.ndarray, "N 2"], points: Float[np.ndarray, "N 2"]) -> Region:
    """Return the square region in which the points lie as in the template, as nearly as can be.

    The similarity that takes the template to the points by least squares, in complex numbers:
    z' = a z + b.

    Args:
        template: where the points are in the cut-out, as shares of its side.
        points: where they are in the picture, in pixels.
    """
    source, target = (side.astype(np.float64) @ np.array([1, 1j]) for side in (template, points))
    offsets = source - source.mean()
    a = (offsets.conj() * (target - target.mean())).sum() / (abs(offsets) ** 2).sum()
    centre = target.mean() + a * ((0.5 + 0.5j) - source.mean())
    return Region(float(centre.real), float(centre.imag), float(abs(a)), float(np.angle(a)))


def cut_out(
    rgb: UInt8[np.ndarray, "H W 3"], region: Region, side: int, border: Border
) -> UInt8[np.ndarray, "S S 3"]:
    """Resample a region to a square image, bilinearly, without aliasing.

    Args:
        rgb: the picture.
        region: may hang over the picture's border.
        side: of the result, in pixels.
        border: what lies outside: the nearest pixel ("edge") or black ("constant").
    """
    # The axis-aligned box around the turned square, with a margin for the interpolation.
    reach = region.size / 2 * (abs(math.cos(region.angle_rad)) + abs(math.sin(region.angle_rad)))
    left, top = math.floor(region.centre_x - reach) - 2, math.floor(region.centre_y - reach) - 2
    right, bottom = math.ceil(region.centre_x + reach) + 2, math.ceil(region.centre_y + reach) + 2

    def rows(first: int, last: int) -> UInt8[np.ndarray, "h w 3"]:
        return padded_slice(rgb, left, top + first, right, top + last, border)

    # Average whole blocks of pixels first: bilinear interpolation alone would skip some.
    factor = max(1, int(region.size / side))
    image = Image.fromarray(reduced(rows, bottom - top, right - left, factor))
    step = region.size / side * region.axes / factor  # one pixel of the result, in the image
    origin = np.array([region.centre_x - left, region.centre_y - top]) / factor
    origin -= step.sum(axis=0) * side / 2
    coefficients = (step[0, 0], step[1, 0], origin[0], step[0, 1], step[1, 1], origin[1])
    result = image.transform(
        (side, side), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
    )
    return np.array(result)


def padded_slice(
    rgb: UInt8[np.ndarray, "H W 3"], left: int, top: int, right: int, bottom: int, border: Border
) -> UInt8[np.ndarray, "h w 3"]:
    """Take ``rgb[top:bottom, left:right]`` where indices may lie outside the picture."""
    least = 1 if border == "edge" else 0
    rows, pad_y = _inside(top, bottom, rgb.shape[0], least)
    columns, pad_x = _inside(left, right, rgb.shape[1], least)
    inside = rgb[rows, columns]
    if inside.shape[:2] == (bottom - top, right - left):
        return inside
    return np.pad(inside, (pad_y, pad_x, (0, 0)), mode=border)


def _inside(start: int, stop: int, limit: int, least: int) -> tuple[slice, tuple[int, int]]:
    """Clamp a range of indices to [0, limit), and count what is missing before and after.

    At least ``least`` indices stay, so that there is a border pixel to repeat.
    """
    first, last = min(max(start, 0), limit - least), max(min(stop, limit), least)
    before = min(max(-start, 0), stop - start - least)
    return slice(first, last), (before, stop - start - (last - first) - before)
