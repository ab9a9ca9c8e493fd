"""AKD, the average keypoint distance: how far the landmarks of generated and real faces are apart.

As FOMM's evaluation computes it (github.com/AliaksandrSiarohin/pose-evaluation): the mean of the
absolute differences over all points and both coordinates, in pixels, so half of |dx| + |dy|.

Shapes: N points.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

REFERENCE_SIDE = 256
NUM_MESH_POINTS = 468  # of MediaPipe's face mesh, without the 10 of the irises


def landmark_distance(
    landmarks: Float[np.ndarray, "N _"], target: Float[np.ndarray, "N _"], side: int
) -> float:
    """Return the mean of |x - x'| and |y - y'| over the points, in pixels at 256 x 256.

    Args:
        landmarks: of the generated face, in pixels; x and y come first.
        target: of the real face, in pixels.
        side: height and width of both pictures, in pixels.
    """
    difference = np.abs(landmarks[:, :2] - target[:, :2])
    return float(difference.mean() * REFERENCE_SIDE / side)


def mesh_distance(
    landmarks: Float[np.ndarray, "478 3"], target: Float[np.ndarray, "478 3"], side: int
) -> float:
    """Return `landmark_distance` over MediaPipe's face mesh, the irises left out."""
    return landmark_distance(landmarks[:NUM_MESH_POINTS], target[:NUM_MESH_POINTS], side)
