"""Where networks that recognize faces expect the eyes and the nose.

Shapes: B faces.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fnevr.geometry.arrays import Array, as_like, namespace

# The corners of the eyes and the base of the nose in an aligned face, as shares of its side
# (dlib's alignment), and the same points of MediaPipe's mesh.
TEMPLATE = np.array(
    [[0.1206, 0.2137], [0.3341, 0.2291], [0.6461, 0.2290], [0.8596, 0.2135], [0.4901, 0.6278]]
)
ALIGNED_POINTS = (33, 133, 362, 263, 2)


def alignment(
    landmarks: Float[Array, "B 478 2"], magnification: float
) -> tuple[Float[Array, "B 2 2"], Float[Array, "B 2"]]:
    """Return A and t so that the aligned face shows at z what the picture shows at A z + t.

    The similarity that best takes the template to the landmarks, by least squares: in complex
    numbers, with m the means, ``a = sum conj(z - m_z) (w - m_w) / sum |z - m_z|^2``.

    Args:
        landmarks: MediaPipe's points, in [-1, 1].
        magnification: how much larger than in the template the cut-out is; 1 cuts at the template's
            sides, which the chin crosses.
    """
    xp = namespace(landmarks)
    template = as_like(2 * TEMPLATE - 1, landmarks) / magnification
    points = landmarks[:, list(ALIGNED_POINTS)]
    z, w = (pairs[..., 0] + 1j * pairs[..., 1] for pairs in (template, points))
    middle_z, middle_w = xp.mean(z), xp.mean(w, axis=1)
    offsets = z - middle_z
    squared = xp.sum(xp.abs(offsets) ** 2)
    a = xp.sum(xp.conj(offsets) * (w - middle_w[:, None]), axis=1) / squared
    b = middle_w - a * middle_z
    rows = (xp.stack((a.real, -a.imag), axis=-1), xp.stack((a.imag, a.real), axis=-1))
    return xp.stack(rows, axis=-2), xp.stack((b.real, b.imag), axis=-1)
