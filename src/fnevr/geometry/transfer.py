"""Motion transfer: what the source's keypoints become when the driver moves.

Absolute motion puts the source's keypoints where the driver's are. Relative motion (FOMM,
arXiv:2003.00196, section 3.4) moves them by what changed since the driver's reference frame, so
that the source keeps its own shape and place.

Shapes: B batch, K keypoints, N and M points. Coordinates span [-1, 1], x first.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float

from fnevr.errors import FaceError
from fnevr.geometry.inverse import invert
from fnevr.geometry.keypoints import Keypoints

Points = Float[np.ndarray, "N 2"]
SMALLEST_AREA = 1e-8  # of a hull, in the square of [-1, 1] with area 4


def transfer_relative(
    source: Keypoints, driving: Keypoints, reference: Keypoints, scale: float = 1.0
) -> Keypoints:
    """Move the source by the driver's change: ``p_S + s (p_D - p_R)``, ``J_D J_R^-1 J_S``.

    S is the source, D a driving frame and R the driver's reference frame.

    Args:
        source: one face, batch 1.
        driving: a batch of driving frames.
        reference: the driving frame in which the driver looks most like the source; batch 1.
        scale: s, how far the source moves when the driver moves by one unit.

    Returns:
        The source's keypoints in each of the driving frames.
    """
    positions = source.positions + scale * (driving.positions - reference.positions)
    change = driving.jacobians @ invert(reference.jacobians)
    return Keypoints(positions=positions, jacobians=change @ source.jacobians)


def movement_scale(source: Points, reference: Float[np.ndarray, "M 2"]) -> float:
    """Return s = sqrt(area_S / area_R) of the hulls: a face twice as large moves twice as far.

    Args:
        source: keypoints of the source.
        reference: keypoints of the driver's reference frame.

    Raises:
        FaceError: if either set of keypoints has collapsed to a line or a point.
    """
    return _size(source, "source") / _size(reference, "driver's reference frame")


def hull_area(points: Points) -> float:
    """Return the area of the convex hull, 0 for fewer than 3 points.

    Andrew's monotone chain, then the shoelace formula.
    """
    ordered = sorted({(float(x), float(y)) for x, y in points})
    if len(ordered) < 3:
        return 0.0
    hull = np.array(_half_hull(ordered) + _half_hull(ordered[::-1]))
    x, y = (hull - hull.mean(axis=0)).T
    return 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))


def normalize_shape(points: Points) -> Points:
    """Centre the points and scale them to a hull of area 1: only shape and rotation are left.

    Raises:
        FaceError: if the points have collapsed to a line or a point.
    """
    centred = points - points.mean(axis=0, keepdims=True)
    return centred / _size(points, "face")


def best_frame(source: Points, driving: Iterable[Points]) -> int:
    """Find the driving frame whose face has the pose and expression closest to the source's.

    Frames are compared by squared distance of normalised shapes, as in FOMM's demo. They are
    read once and not kept. Frames whose points have collapsed are passed over.

    Args:
        source: landmarks or keypoints of the source.
        driving: the same points in each driving frame.

    Returns:
        The index of the first of the closest frames.

    Raises:
        FaceError: if the source has no shape, or no driving frame has one.
    """
    target = normalize_shape(source)
    best, best_distance = -1, np.inf
    for index, points in enumerate(driving):
        if not hull_area(points) >= SMALLEST_AREA:  # also true for not-a-number
            continue
        distance = float(np.square(normalize_shape(points) - target).sum())
        if distance < best_distance:
            best, best_distance = index, distance
    if best < 0:
        raise FaceError("no driving frame shows a face that can be compared with the source")
    return best


def _half_hull(ordered: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return one side of the hull, without its last point, which begins the other side."""
    side: list[tuple[float, float]] = []
    for point in ordered:
        while len(side) > 1 and _turn(side[-2], side[-1], point) <= 0:
            side.pop()
        side.append(point)
    return side[:-1]


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    """Return twice the signed area of the triangle: positive where a, b, c turn left."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _size(points: Points, whose: str) -> float:
    area = hull_area(points)
    if not area >= SMALLEST_AREA:  # also true for not-a-number
        raise FaceError(
            f"the keypoints of the {whose} lie on one line or point (hull area {area:.1e}); "
            "use a picture that shows a whole face"
        )
    return float(np.sqrt(area))
