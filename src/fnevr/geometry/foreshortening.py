"""Patches of a turned head that are seen from the side, or from behind.

Seen from the side, a patch is a line: the inverse of its Jacobian, by which a picture looks back at
the source, is without bounds, and beyond that it is mirrored. What is drawn there then comes from
far away.

Shapes: B frames, K keypoints.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fnevr.geometry.inverse import invert

LEAST = 0.5  # of its width in the source


def at_least_this_wide(
    driving: Float[np.ndarray, "B K 2 2"],
    source: Float[np.ndarray, "B K 2 2"],
    least: float = LEAST,
) -> Float[np.ndarray, "B K 2 2"]:
    """Keep patches from becoming narrower than a share of what they are in the source.

    With J_D J_S^-1 = U diag(w) V^T the result is U diag(max(w, least)) V^T J_S. Patches that are
    seen from behind, whose determinant is negative, count as having no width.

    Args:
        driving: J_D.
        source: J_S.
        least: the share.

    Returns:
        J_D where it is wide enough already.
    """
    change = driving @ invert(source)
    u, widths, v = np.linalg.svd(change)
    is_behind = np.linalg.det(u @ v) < 0
    is_narrow = is_behind | (widths[..., 1] < least)
    u[..., 1] *= np.where(is_behind, -1, 1)[..., None]
    widths[..., 1] = np.where(is_behind, 0, widths[..., 1])
    limited = (u * np.maximum(widths, least)[..., None, :]) @ v @ source
    return np.where(is_narrow[..., None, None], limited, driving)
