"""Masks that follow the edges of a picture: the guided filter.

He, Sun and Tang, Guided Image Filtering, IEEE TPAMI 35(6), 2013; its coefficients are computed at a
smaller size, as in He and Sun, Fast Guided Filter, arXiv:1505.00996, 2015.

Shapes: H and W of the picture, h and w of a mask, C channels.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from PIL import Image

from fnevr.media.image import Picture


def guided_filter(
    rgb: Picture, mask: Float[np.ndarray, "h w"], radius: int, epsilon: float
) -> Float[np.ndarray, "H W"]:
    """Bring a mask to a picture's size so that it changes where the picture does.

    In every window of the mask's grid the mask is a linear function of the colour (equations 19 and
    20 of the paper); of the functions of all windows around a pixel the mean is taken, and applied
    to the colours of the whole picture.

    Args:
        rgb: the picture that guides, of any size.
        mask: of the same view, at any size: the windows are made there.
        radius: of the windows, in pixels of the mask.
        epsilon: how much a window's colours, in [0, 1], must vary (their variance) to be followed.

    Returns:
        The mask, float32. It may leave the range of ``mask`` a little.
    """
    height, width = mask.shape
    small = Image.fromarray(rgb).resize((width, height), Image.Resampling.BOX)
    guide = np.asarray(small, np.float64).transpose(2, 0, 1) / 255.0
    slopes, offsets = _linear_functions(guide, mask.astype(np.float64), radius, epsilon)
    result = enlarged(offsets, rgb.shape[:2])
    for channel, slope in enumerate(slopes):
        result += enlarged(slope, rgb.shape[:2]) * (rgb[..., channel] / np.float32(255))
    return result


def _linear_functions(
    guide: Float[np.ndarray, "3 h w"],
    mask: Float[np.ndarray, "h w"],
    radius: int,
    epsilon: float,
) -> tuple[Float[np.ndarray, "3 h w"], Float[np.ndarray, "h w"]]:
    """Fit mask = slope . colour + offset in every window; give the means over the windows."""
    colour, value = box_mean(guide, radius), box_mean(mask, radius)
    target = box_mean(guide * mask, radius) - colour * value
    first, second = np.triu_indices(3)  # red-red, red-green, red-blue, green-green ...
    covariance = box_mean(guide[first] * guide[second], radius) - colour[first] * colour[second]
    covariance[[0, 3, 5]] += epsilon
    slopes = _solved(covariance, target)
    offsets = value - (slopes * colour).sum(axis=0)
    return box_mean(slopes, radius), box_mean(offsets, radius)


def _solved(
    matrix: Float[np.ndarray, "6 h w"], target: Float[np.ndarray, "3 h w"]
) -> Float[np.ndarray, "3 h w"]:
    """Solve symmetric systems of three equations, given by their upper triangles, by cofactors."""
    a, b, c, d, e, f = matrix
    cofactors = np.stack(
        [d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b]
    )
    determinant = a * cofactors[0] + b * cofactors[1] + c * cofactors[2]
    rows = ((0, 1, 2), (1, 3, 4), (2, 4, 5))
    return np.stack([(cofactors[list(row)] * target).sum(axis=0) for row in rows]) / determinant


def box_mean(planes: Float[np.ndarray, "*C h w"], radius: int) -> Float[np.ndarray, "*C h w"]:
    """Take the mean over a square around every pixel, as far as it lies inside the plane."""
    return _line_mean(_line_mean(planes, radius, axis=-1), radius, axis=-2)


def _line_mean(planes: np.ndarray, radius: int, axis: int) -> np.ndarray:
    """Take the mean over ``2 radius + 1`` pixels along an axis, from cumulative sums."""
    length = planes.shape[axis]
    padding = [(0, 0)] * planes.ndim
    padding[axis] = (1, 0)
    sums = np.pad(planes.cumsum(axis), padding)
    index = np.arange(length)
    stop, start = np.minimum(index + radius + 1, length), np.maximum(index - radius, 0)
    shape = [1] * planes.ndim
    shape[axis] = length
    return (sums.take(stop, axis) - sums.take(start, axis)) / (stop - start).reshape(shape)


def enlarged(plane: Float[np.ndarray, "h w"], size: tuple[int, int]) -> Float[np.ndarray, "H W"]:
    """Resize a plane to (height, width), bilinear, as float32."""
    image = Image.fromarray(plane.astype(np.float32))
    return np.array(image.resize(size[::-1], Image.Resampling.BILINEAR))
