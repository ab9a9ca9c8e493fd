"""Temporal jitter: how much the generated face trembles against the driver's.

Shapes: T frames.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fnevr.evaluate.metrics.landmark_distance import NUM_MESH_POINTS, REFERENCE_SIDE


def jitter(
    generated: Float[np.ndarray, "T 478 3"], driver: Float[np.ndarray, "T 478 3"], side: int
) -> Float[np.ndarray, " T"]:
    """Return |e[t+1] - 2 e[t] + e[t-1]|, in pixels at 256, where e is generated minus driver.

    The mean over the face mesh of the Euclidean length. A constant offset or a steady drift costs
    nothing; trembling does, and so does keeping still while the driver shakes. NaN in the first and
    the last frame, and beside frames without a face.

    Args:
        generated: landmarks in pixels; NaN where there is no face.
        driver: those of the driver in the same frames.
        side: height and width of both pictures, in pixels.
    """
    error = (generated - driver)[:, :NUM_MESH_POINTS, :2].astype(np.float64)
    values = np.full(len(error), np.nan)
    second = error[2:] - 2 * error[1:-1] + error[:-2]
    values[1:-1] = np.linalg.norm(second, axis=2).mean(axis=1) * REFERENCE_SIDE / side
    return values
