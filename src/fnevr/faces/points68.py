"""The 68 landmarks of iBUG's order, taken from the dense mesh by a fixed table.

Sagonas et al., "300 Faces in-the-Wild Challenge", 2013: jaw, brows, nose, eyes, lips. Those of the
jaw are evenly spaced along the mesh's oval from beside one eye to beside the other. They are points
of the head: an annotator, or a network that learned from annotators, puts the jaw of a turned head
on its outline in the picture.

Shapes: N faces, 478 points of the mesh.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fnevr.faces.crop import CropBox

OF_MESH = (
    *(127, 234, 132, 58, 172, 136, 149, 176, 152, 400, 378, 365, 397, 288, 361, 454, 356),  # jaw
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301),  # brows
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),  # bridge of the nose, and below it
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),  # eyes
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),  # lips, outside
    *(78, 82, 13, 312, 308, 317, 14, 87),  # and inside
)
"""Which point of the mesh each of the 68 is."""


def points_68(mesh: Float[np.ndarray, "*N 478 _"]) -> Float[np.ndarray, "*N 68 2"]:
    """Return the 68 landmarks of faces, in the unit of the mesh."""
    return mesh[..., list(OF_MESH), :2]


def points_box(mesh: Float[np.ndarray, "478 3"]) -> CropBox:
    """Frame a face as Bilayer does.

    The square is twice as large as the longer side of the box around the 68 points, and its centre
    a sixth of that side above the box's; their code rounds to whole pixels, which the smoothing of
    videos would undo.
    """
    points = points_68(mesh)
    low, high = points.min(axis=0), points.max(axis=0)
    side = float((high - low).max())
    centre = (low + high) / 2 - np.array([0.0, side / 6])
    return CropBox.around(centre, 2 * side)


def in_view(points: Float[np.ndarray, "*N 68 2"], side: int) -> Float[np.ndarray, "*N 68 2"]:
    """Take points in pixels of a square picture to [-1, 1], from edge to edge."""
    return (points * (2 / side) - 1).astype(np.float32)
