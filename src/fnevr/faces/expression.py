"""What a face does, from its landmarks: how far mouth and eyes are open, where the head turns.

Shapes: T faces, N landmarks of MediaPipe's mesh.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fnevr.faces.landmarks import OUTER_EYE_CORNERS

FOREHEAD, CHIN, NOSE = 10, 152, 1
UPPER_LIP, LOWER_LIP = 13, 14  # the middle of the inner lips
# Of each eye a corner, two points of the upper lid, the other corner, two points of the lower lid.
EYES = ((33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380))
# Inner lips, corners of the mouth, lids of each eye.
OPENINGS = ((UPPER_LIP, LOWER_LIP), (78, 308), (159, 145), (386, 374))


def expressions(landmarks: Float[np.ndarray, "T N 2"]) -> Float[np.ndarray, "T 4"]:
    """Return gap and width of the mouth and the gap of each eye, in face heights."""
    height = np.linalg.norm(landmarks[:, FOREHEAD] - landmarks[:, CHIN], axis=-1)
    lengths = [np.linalg.norm(landmarks[:, a] - landmarks[:, b], axis=-1) for a, b in OPENINGS]
    return np.stack(lengths, axis=-1) / np.maximum(height, 1e-6)[:, None]


def head_turns(landmarks: Float[np.ndarray, "T N 2"]) -> Float[np.ndarray, "T 2"]:
    """Return where the tip of the nose is beside and below the middle of the eyes.

    In face heights, across the face and along it: it goes where the head turns. What is left out
    is the roll, which changes nothing of what a picture shows.
    """
    along = landmarks[:, CHIN] - landmarks[:, FOREHEAD]
    height = np.maximum(np.linalg.norm(along, axis=-1), 1e-6)
    down = along / height[:, None]
    right = np.stack((down[:, 1], -down[:, 0]), axis=-1)
    nose = landmarks[:, NOSE] - landmarks[:, list(OUTER_EYE_CORNERS)].mean(axis=1)
    offsets = [np.einsum("td,td->t", nose, axis) / height for axis in (right, down)]
    return np.stack(offsets, axis=-1)
