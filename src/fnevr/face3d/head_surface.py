"""Where a turned head looks back to: a smooth surface for all of a head that has no landmarks.

Hair, ears and skull turn with the face, but no landmark says how. So a head at rest is taken for
one sheet of a hyperboloid, which lies near the face's contour, the ears and the outline of hair:

    z = z0 + sqrt(a^2 + m^2 (x^2 + (k y)^2))

From a camera each place of a picture meets it once, as long as the head is turned away by less than
atan(1 / m) = 35 degrees; of a head that is or goes farther away, the sheet is taken flatter. Where
a point was before the turn is where the picture looks: what is drawn has no fold, and nothing is
shown twice.

Axes are a picture's at rest: x to the right, y down, z away from the camera, in face heights from
the middle of the face mesh (`face_fit`).

Shapes: N places, h = w cells of a picture.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fnevr.face3d.face_fit import Similarity
from fnevr.geometry.arrays import smooth_step
from fnevr.models.encoded_source import HeadFlow

FRONT = -0.24  # z0
ROUNDNESS = 0.12  # a
STEEPNESS = 1.4  # m
TALLNESS = 0.65  # k
MOST_AWAY = 0.85  # of the slope at which the far side of the surface is seen from behind

# The face's contour: its middle and radii; inside it, keypoints know better.
FACE_MIDDLE, FACE_RADII = 0.02, np.array([0.40, 0.52])
INSIDE, OUTSIDE = 0.85, 1.15  # of the contour, between which the surface takes over
CHIN, THROAT = 0.35, 0.70  # y, between which the neck takes over, and the shoulders
WIDTH, SHOULDERS = 0.45, 0.8  # |x| from which that begins higher up, and by how much per |x|
FAR, FARTHEST = 1.0, 1.3  # distances, between which no head is any more
TINY = 1e-6
STILL = 1e-5  # smaller displacements, in [-1, 1], are rounding


def head_flow(start: Similarity, end: Similarity, cells: int, canvas: float = 1.0) -> HeadFlow:
    """Return how a picture looks back at a head that went elsewhere.

    Args:
        start: where the head was, in [-1, 1] of the picture, with depth in the same unit.
        end: where it is.
        cells: h and w of what is drawn.
        canvas: its side, of that of the picture.
    """
    centres = canvas * ((2 * np.arange(cells) + 1) / cells - 1)
    places = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)
    at_rest = on_surface(places, end, min(steepness(start), steepness(end)))
    flow = start(at_rest)[:, :2] - places
    flow[np.abs(flow) < STILL] = 0
    maps = (flow / canvas, *_shares(at_rest))
    shaped = (np.reshape(array.T, (1, -1, cells, cells)).astype(np.float32) for array in maps)
    return HeadFlow(*shaped)


def steepness(head: Similarity) -> float:
    """Return the slope m of the surface, as far as the head's turn away from the camera allows."""
    facing = float(head.rotation[2, 2])
    away = np.sqrt(max(1 - facing**2, 0)) / max(facing, TINY)
    return float(min(STEEPNESS, MOST_AWAY / max(away, TINY)))


def on_surface(
    places: Float[np.ndarray, "N 2"], head: Similarity, slope: float
) -> Float[np.ndarray, "N 3"]:
    """Return the points of the surface, at rest, that are seen at places of a picture.

    The line of sight p + d q meets the surface where a quadratic form vanishes.

    Args:
        places: in the picture.
        head: where the head is.
        slope: m.
    """
    seen = np.concatenate((places, np.zeros((len(places), 1))), axis=1)
    line, sight = head.undo(seen), head.rotation[2]
    origin = line - np.array([0.0, 0.0, FRONT])
    form = np.array([slope**2, (slope * TALLNESS) ** 2, -1.0])
    a = float(form @ sight**2)
    b = origin @ (form * sight)
    c = np.square(origin) @ form + ROUNDNESS**2
    depth = (-b - np.sqrt(np.maximum(b**2 - a * c, 0))) / a
    return line + depth[:, None] * sight


def _shares(
    points: Float[np.ndarray, "N 3"],
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """Return `HeadFlow.share` and `shown` of points at rest."""
    x, y = points[:, 0], points[:, 1]
    contour = np.hypot(x / FACE_RADII[0], (y - FACE_MIDDLE) / FACE_RADII[1])
    low = y + SHOULDERS * np.maximum(np.abs(x) - WIDTH, 0)
    share = _rising(contour, INSIDE, OUTSIDE) * (1 - _rising(low, CHIN, THROAT))
    return share, 1 - _rising(np.hypot(x, y), FAR, FARTHEST)


def _rising(values: Float[np.ndarray, " N"], start: float, end: float) -> Float[np.ndarray, " N"]:
    """Return 0 up to the start, 1 from the end on, and a smooth step in between."""
    return smooth_step((values - start) / (end - start))
