"""Triangles, joints and skinning weights of the open head model, for `build_head_model.py`.

Model frame: y up, z out of the face, x to the person's left. V = 478 landmarks of the face mesh.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import Delaunay

NUM_MESH = 468
IRISES = {"left_eye": range(473, 478), "right_eye": range(468, 473)}  # the person's left and right
CHIN, FOREHEAD, NOSE_BRIDGE, NOSE_BASE = 152, 10, 168, 2
UPPER_LIP, LOWER_LIP = 13, 14
EARS = [127, 234, 93, 356, 454, 323]  # the face's border before the ears
OVAL = [10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377]
OVAL += [152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109]
INNER_LIPS = [78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178]
INNER_LIPS += [88, 95]
RIGHT_EYE = [33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7]
LEFT_EYE = [263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249]
OPENINGS = (INNER_LIPS, RIGHT_EYE, LEFT_EYE)
EYEBALL_DEPTH = 0.0105  # metres from the middle of the iris to the centre of the eyeball


def triangulate(open_face: np.ndarray) -> np.ndarray:
    """Connect the landmarks: Delaunay on the unrolled face, openings left open, fans for irises.

    Args:
        open_face: (V, 3), the mouth a little open, so that no triangle crosses it.
    """
    mesh = open_face[:NUM_MESH]
    forward = mesh[:, 2] - mesh[EARS, 2].mean()
    radius = np.hypot(mesh[:, 0], forward).mean()
    flat = np.stack([np.arctan2(mesh[:, 0], forward), mesh[:, 1] / radius], axis=1)
    triangles = Delaunay(flat).simplices
    middles = flat[triangles].mean(axis=1)
    kept = is_inside(middles, flat[OVAL])
    for opening in OPENINGS:
        kept &= ~is_inside(middles, flat[opening])
    triangles = triangles[kept]
    a, b, c = (flat[triangles[:, i]] for i in range(3))
    is_clockwise = np.linalg.det(np.stack([b - a, c - a], axis=-1)) < 0
    triangles[is_clockwise] = triangles[is_clockwise][:, ::-1]
    fans = []
    for iris in IRISES.values():
        centre, *rim = iris
        angles = np.arctan2(*(open_face[rim] - open_face[centre])[:, 1::-1].T)
        ring = np.array(rim)[np.argsort(angles)]
        fans += [[centre, ring[i], ring[(i + 1) % 4]] for i in range(4)]
    return np.concatenate([triangles, fans]).astype(np.int64)


def is_inside(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Say which points lie in a polygon (crossings of a ray to the right)."""
    inside = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        crosses = (y0 > points[:, 1]) != (y1 > points[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            at = x0 + (points[:, 1] - y0) / (y1 - y0) * (x1 - x0)
        inside ^= crosses & (points[:, 0] < at)
    return inside


def joint_regressor(face: np.ndarray) -> np.ndarray:
    """Return (5, V): each joint as a sum over the vertices whose weights sum to 1.

    Directions are differences of vertices: back is from the bridge of the nose to between the
    ears, down from forehead to chin, both measured on the template. The jaw turns about the line
    between the ears, the neck joint is below and behind it (the skull on the spine), the root at
    the height of the shoulders; an eye turns about the eyeball's centre.

    Args:
        face: the template, in metres.
    """
    ears, bridge = mean_of(EARS), mean_of([NOSE_BRIDGE])
    back = (ears - bridge) / -((ears - bridge) @ face)[2]
    down = mean_of([CHIN]) - mean_of([FOREHEAD])
    down = down / -(down @ face)[1]
    rows = [ears + 0.14 * down + 0.03 * back, ears + 0.02 * down + 0.02 * back]
    rows += [ears - 0.005 * back]
    rows += [mean_of(iris) + EYEBALL_DEPTH * back for iris in IRISES.values()]
    return np.stack(rows)


def mean_of(indices: list[int] | range) -> np.ndarray:
    """Return the row that takes the mean of some vertices."""
    row = np.zeros(478)
    row[list(indices)] = 1 / len(indices)
    return row


def jaw_weights(
    offsets: np.ndarray, template: np.ndarray, faces: np.ndarray, mirror: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find how much each vertex follows the jaw, and how far each face opened it.

    Weight and angle are least squares of each other in turn, ``offset = angle weight field``,
    starting from the chin; then the weights are smoothed over the mesh.

    Args:
        offsets: (T, V, 3) from each person's mean face.
        template: the mean face.
        faces: triangles.
        mirror: index of each landmark's mirror image.

    Returns:
        Weights (V,) in [0, 1], angles (T,) in radians about each person's mean.
    """
    field = opening_field(template)
    weights = np.zeros(len(field))
    weights[[CHIN, 148, 377, 176, 400, 175, 199, 200]] = 1
    power = np.square(field).sum(axis=-1)
    for _ in range(5):
        direction = weights[:, None] * field
        angles = (offsets * direction).sum(axis=(1, 2)) / np.square(direction).sum()
        along = np.einsum("t,tvc,vc->v", angles, offsets, field)
        weights = along / (np.square(angles).sum() * power + 1e-9)
        weights[NUM_MESH:] = 0
        weights[template[:, 1] > template[NOSE_BASE, 1]] = 0
        weights = np.clip((weights + weights[mirror]) / 2 / weights[CHIN], 0, 1)
    for _ in range(3):
        weights = smooth(weights, faces)
    weights = np.where(weights < 0.02, 0, weights)
    return np.clip((weights + weights[mirror]) / 2, 0, 1), angles


def opening_field(template: np.ndarray) -> np.ndarray:
    """Return (V, 3), the displacement per radian of jaw opening of what follows the jaw fully."""
    return np.cross([1.0, 0.0, 0.0], template - (joint_regressor(template) @ template)[2])


def smooth(values: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Move each vertex's value half the way to its neighbours' mean."""
    total, count = np.zeros_like(values), np.zeros_like(values)
    for i, j in ((0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)):
        np.add.at(total, faces[:, i], values[faces[:, j]])
        np.add.at(count, faces[:, i], 1)
    return (values + total / np.maximum(count, 1)) / 2


def skinning_weights(jaw: np.ndarray) -> np.ndarray:
    """Return (V, 5): irises follow the eyes, the rest the jaw and, for what remains, the neck."""
    weights = np.zeros((len(jaw), 5))
    weights[:, 2] = jaw
    for column, iris in zip((3, 4), IRISES.values(), strict=True):
        weights[list(iris), column] = 1
    weights[:, 1] = 1 - weights.sum(axis=1)
    return weights
