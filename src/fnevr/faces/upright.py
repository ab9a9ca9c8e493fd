"""Whether a picture stands upright, by the face in it."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import UInt8

from fnevr.faces.detector import Face, FaceDetector

SURER = 0.1  # by so much more a face is found upright than on its head


def quarter_turns(rgb: UInt8[np.ndarray, "H W 3"], detector: FaceDetector) -> int | None:
    """Return by how many quarter turns, clockwise, a picture should be turned.

    The eyes of a face that lies on its side lie above each other. One that stands on its head is
    found as if it stood upright, but less surely than when the picture is turned.

    Args:
        rgb: the picture.
        detector: finds faces.

    Returns:
        0 to 3; None where no face is found.
    """
    face = _surest(rgb, detector)
    other = _surest(np.ascontiguousarray(rgb[::-1, ::-1]), detector)
    if other is not None and (face is None or other.score > face.score + SURER):
        return (2 - _quarters(other)) % 4
    return None if face is None else -_quarters(face) % 4


def _surest(rgb: UInt8[np.ndarray, "H W 3"], detector: FaceDetector) -> Face | None:
    return max(detector.detect(rgb, parts=False), key=lambda face: face.score, default=None)


def _quarters(face: Face) -> int:
    """Return by how many quarter turns, clockwise, a face is turned, by its eyes."""
    across = face.keypoints[1] - face.keypoints[0]
    return round(math.atan2(across[1], across[0]) / (math.pi / 2))
