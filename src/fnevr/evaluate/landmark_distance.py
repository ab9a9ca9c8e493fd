"""Distance of the landmarks of generated and real faces (the role of AKD in FOMM's evaluation)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

REFERENCE_SIDE = 256
NUM_MESH_POINTS = 468


def landmark_distance(
    landmarks: Float[np.ndarray, "478 3"], target: Float[np.ndarray, "478 3"], side: int
) -> float:
    """Return the mean of |x - x'| + |y - y'| over the mesh, in pixels at 256 x 256.

    The points are the 468 of MediaPipe's face mesh; the 10 of the irises are left out. FOMM's AKD
    is the same sum over the 68 points of another detector, so the figures do not compare.

    Args:
        landmarks: of the generated face, in pixels.
        target: of the real face, in pixels.
        side: height and width of both pictures, in pixels.
    """
    difference = np.abs(landmarks[:NUM_MESH_POINTS, :2] - target[:NUM_MESH_POINTS, :2])
    return float(difference.sum(axis=1).mean() * REFERENCE_SIDE / side)
