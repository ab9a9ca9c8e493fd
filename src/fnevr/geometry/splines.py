"""Sampling between pixels by splines, in NumPy.

Shapes: C channels, h and w pixels; H and W places.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def catmull_rom(
    patch: Float[np.ndarray, "C h w"], x: Float[np.ndarray, "H W"], y: Float[np.ndarray, "H W"]
) -> Float[np.ndarray, "C H W"]:
    """Sample at places by Catmull-Rom splines (Keys, 1981); the border is repeated.

    Args:
        patch: what is sampled.
        x: column, 0 in the middle of the first pixel.
        y: row, likewise.
    """
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    taps = np.arange(-1, 3)[:, None, None]
    columns = (left + taps).clip(0, patch.shape[2] - 1)
    rows = (top + taps).clip(0, patch.shape[1] - 1)
    values = patch[:, rows[:, None], columns[None]]
    return np.einsum("cijhw,ihw,jhw->chw", values, _weights(y - top), _weights(x - left))


def _weights(t: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "4 H W"]:
    """Return the weights of four neighbours at a share t of the way between the inner two."""
    return np.stack(
        [
            -0.5 * t + t**2 - 0.5 * t**3,
            1 - 2.5 * t**2 + 1.5 * t**3,
            0.5 * t + 2 * t**2 - 1.5 * t**3,
            -0.5 * t**2 + 0.5 * t**3,
        ]
    )
