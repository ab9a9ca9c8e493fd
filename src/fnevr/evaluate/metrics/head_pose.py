"""Head pose: by how many degrees the generated head turned otherwise than the driver's.

Both turns are measured from a reference frame: the source's head there, the driver's here. A turn
is the rotation of the similarity that best takes one face mesh to another in 3D (Umeyama, 1991).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fnevr.evaluate.metrics.landmark_distance import NUM_MESH_POINTS


def head_turn(
    start: Float[np.ndarray, "478 3"], end: Float[np.ndarray, "478 3"]
) -> Float[np.ndarray, "3 3"]:
    """Return the rotation that best takes the mesh at the start to that at the end."""
    a, b = (points[:NUM_MESH_POINTS].astype(np.float64) for points in (start, end))
    u, _, vt = np.linalg.svd((b - b.mean(axis=0)).T @ (a - a.mean(axis=0)))
    # No reflections.
    u[:, -1] *= np.sign(np.linalg.det(u) * np.linalg.det(vt))
    return u @ vt


def pose_error_deg(generated: Float[np.ndarray, "3 3"], driver: Float[np.ndarray, "3 3"]) -> float:
    """Return the angle between two rotations, in degrees, in [0, 180]; 0 for equal turns."""
    # |R - R'| = 2 sqrt(2) sin(angle / 2), well behaved near 0 where the trace is not.
    chord = np.linalg.norm(generated - driver) / (2 * np.sqrt(2))
    return float(np.degrees(2 * np.arcsin(np.clip(chord, 0.0, 1.0))))
