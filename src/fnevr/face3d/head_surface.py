"""Where a turned head looks back to: a smooth surface for all of a head that has no landmarks.

Hair, ears and skull turn with the face, but no landmark says how. So a head at rest is taken for
one sheet of a hyperboloid, which lies near the face's contour, the ears and the outline of hair:

    z = z0 + sqrt(a^2 + m^2 (x^2 + (k y)^2))

From a camera each place of a picture meets it once, as long as the head is turned away by less than
atan(1 / m) = 35 degrees; of a head that is or goes farther away, the sheet is taken flatter. Where
a point was before the turn is where the picture looks: what is drawn has no fold, and nothing is
shown twice.

The neck is no part of it. Where a head rises, the neck is stretched between the jaw, which goes
along, and the collar, which stays: keypoints would pull the collar over the jaw.

Axes are a picture's at rest: x to the right, y down, z away from the camera, in face heights from
the middle of the face mesh (`face_fit`).

Shapes: N places, h = w cells of a picture.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fnevr.face3d.face_fit import Similarity
from fnevr.face3d.performance import NECK
from fnevr.geometry.arrays import rising
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
JAW, BELOW_JAW = 1.05, (1.00, 1.25)  # of the contour: where the neck begins, and is all of it
COLLAR, SHIRT = 0.78, 1.08  # y, where the neck ends, and up to where keypoints take over
NECK_TOP, NECK_WIDTH = (0.15, 0.40), (0.32, 0.50)  # y and |x| between which there is a neck
UNDER_CHIN = np.array([0.0, 0.52, 0.25])  # at rest
RISEN = 0.02, 0.10  # how far the jaw has risen, between which the neck is stretched
MIRRORED = 0.50, 0.70  # y, between which the neck takes over from a mirrored face
WIDTH, SHOULDERS = 0.45, 0.8  # |x| from which that begins higher up, and by how much per |x|
FAR, FARTHEST = 1.0, 1.3  # distances, between which no head is any more
HALF_WIDTH = 0.5  # of a head, that of a cylinder
WELL, HARDLY = 0.95, 0.60  # cosines to the line of sight: a mirror image takes over between them
BETTER = 0.15  # by how much its cosine has to be larger
TURNED = 0.08, 0.20  # by how much that of the turned head has to be larger, from 0 to all
ASIDE = 0.1  # sine of the angle from which a head looks aside
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
    places = _places(cells, canvas)
    at_rest = on_surface(places, end, min(steepness(start), steepness(end)))
    of_head = start(at_rest)[:, :2]
    of_body = start(NECK)[:2] + (places - end(NECK)[:2]) * start.scale / end.scale
    contour = _contour(at_rest)
    # As if the body were a head that looks into the camera, in which the neck's top is its own.
    body = NECK[:2] + (of_body - start(NECK)[:2]) / start.scale
    neck = rising(at_rest[:, 1], *NECK_TOP) * rising(_risen(start, end), *RISEN)
    from_jaw = FACE_RADII[1] * np.maximum(contour - JAW, 0)
    to_collar = np.maximum(COLLAR - body[:, 1], 0)
    stays = neck * from_jaw / np.maximum(from_jaw + to_collar, TINY)
    flow = of_head + stays[:, None] * (of_body - of_head) - places
    flow[np.abs(flow) < STILL] = 0
    neck *= rising(contour, *BELOW_JAW) * (1 - rising(body[:, 1], COLLAR, SHIRT))
    neck *= 1 - rising(np.abs(body[:, 0]), *NECK_WIDTH)
    share, shown = _shares(at_rest)
    maps = (flow / canvas, np.maximum(share, neck), shown)
    shaped = (np.reshape(array.T, (1, -1, cells, cells)).astype(np.float32) for array in maps)
    return HeadFlow(*shaped)


def _risen(start: Similarity, end: Similarity) -> float:
    """Return by how many face heights a jaw has risen over the neck."""
    before, after = ((head(UNDER_CHIN) - head(NECK))[1] / head.scale for head in (start, end))
    return float(before - after)


def looks_aside(head: Similarity) -> bool:
    """Say whether the picture shows one side of a head much better than the other."""
    return abs(float(head.rotation[2, 0])) > ASIDE


def brought_into_view(
    start: Similarity, end: Similarity, cells: int, canvas: float = 1.0
) -> Float[np.ndarray, "h w"]:
    """Return where a turned head shows what the picture hardly does, but its mirror image does.

    How well a place is seen is the cosine between the line of sight and the normal of an upright
    cylinder there. The neck and what is below have no share, for they do not turn.

    Args:
        start: where the head was, as for `head_flow`.
        end: where it is.
        cells: h and w.
        canvas: side of what is drawn, of that of the picture.

    Returns:
        From 0, where the picture itself is better, to 1; 0 everywhere where nothing turns.
    """
    at_rest = on_surface(_places(cells, canvas), end, min(steepness(start), steepness(end)))
    sine = (at_rest[:, 0] / HALF_WIDTH).clip(-1, 1)
    cosine = np.sqrt(1 - sine**2)

    def seen(sight: Float[np.ndarray, " 3"], side: int) -> Float[np.ndarray, " N"]:
        return cosine * sight[2] - side * sine * sight[0]

    own, mirrored = (seen(start.rotation[2], side) for side in (1, -1))
    share = rising(-own, -WELL, -HARDLY) * rising(mirrored - own, 0.0, BETTER)
    share *= rising(seen(end.rotation[2], 1) - own, *TURNED) * _above_neck(at_rest, *MIRRORED)
    return share.reshape(cells, cells).astype(np.float32)


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
    share = rising(_contour(points), INSIDE, OUTSIDE) * _above_neck(points, CHIN, THROAT)
    return share, 1 - rising(np.hypot(points[:, 0], points[:, 1]), FAR, FARTHEST)


def _contour(points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, " N"]:
    """Return 1 on the face's contour, less inside it, of points at rest."""
    return np.hypot(points[:, 0] / FACE_RADII[0], (points[:, 1] - FACE_MIDDLE) / FACE_RADII[1])


def _above_neck(
    points: Float[np.ndarray, "N 3"], start: float, end: float
) -> Float[np.ndarray, " N"]:
    """Return 1 on the head, falling to 0 between two heights, beside the head higher up."""
    low = points[:, 1] + SHOULDERS * np.maximum(np.abs(points[:, 0]) - WIDTH, 0)
    return 1 - rising(low, start, end)


def _places(cells: int, canvas: float) -> Float[np.ndarray, "N 2"]:
    """Return the middles of the cells of what is drawn, in [-1, 1] of the picture."""
    centres = canvas * ((2 * np.arange(cells) + 1) / cells - 1)
    return np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)
