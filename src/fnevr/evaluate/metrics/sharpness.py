"""How sharp a face is: the energy of its Laplacian.

Shapes: H and W of the picture.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from fnevr.faces.landmarks import landmarks_box

WIDTH, HEIGHT = 200, 240  # that every face is brought to
LUMA = np.array([0.299, 0.587, 0.114])


def face_sharpness(rgb: UInt8[np.ndarray, "H W 3"], landmarks: Float[np.ndarray, "478 3"]) -> float:
    """Return the mean square of the Laplacian over a face.

    The box around the mesh is brought to 200 x 240 pixels (bicubic, without aliasing), the luma in
    [0, 1] convolved with the cross 1, 1, -4, 1, 1. What says something is the ratio of two faces.

    Args:
        rgb: the picture.
        landmarks: of the face, in pixels.
    """
    left, top, right, bottom = landmarks_box(landmarks)
    height, width = rgb.shape[:2]
    inside = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
    if inside[2] - inside[0] < 1 or inside[3] - inside[1] < 1:
        return float("nan")
    face = Image.fromarray(rgb).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, box=inside)
    luma = np.asarray(face) @ LUMA / 255
    neighbours = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    return float(np.square(neighbours - 4 * luma[1:-1, 1:-1]).mean())
