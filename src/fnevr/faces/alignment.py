"""Where networks that recognize faces expect the eyes and the nose.

Shapes: B faces.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

# The corners of the eyes and the base of the nose in an aligned face, as shares of its side
# (dlib's alignment), and the same points of MediaPipe's mesh.
TEMPLATE = np.array(
    [[0.1206, 0.2137], [0.3341, 0.2291], [0.6461, 0.2290], [0.8596, 0.2135], [0.4901, 0.6278]]
)
ALIGNED_POINTS = (33, 133, 362, 263, 2)


def alignment(
    landmarks: Float[Tensor, "B 478 2"], magnification: float
) -> tuple[Float[Tensor, "B 2 2"], Float[Tensor, "B 2"]]:
    """Return A and t so that the aligned face shows at z what the picture shows at A z + t.

    The similarity that best takes the template to the landmarks, by least squares: in complex
    numbers, with m the means, ``a = sum conj(z - m_z) (w - m_w) / sum |z - m_z|^2``.

    Args:
        landmarks: MediaPipe's points, in [-1, 1].
        magnification: how much larger than in the template the cut-out is; 1 cuts at the template's
            sides, which the chin crosses.
    """
    template = torch.from_numpy(2 * TEMPLATE - 1).to(landmarks) / magnification
    points = landmarks[:, list(ALIGNED_POINTS)]
    z, w = torch.complex(*template.unbind(-1)), torch.complex(*points.unbind(-1))
    offsets = z - z.mean()
    a = (offsets.conj() * (w - w.mean(dim=1, keepdim=True))).sum(
        dim=1
    ) / offsets.abs().square().sum()
    b = w.mean(dim=1) - a * z.mean()
    matrix = torch.stack([a.real, -a.imag, a.imag, a.real], dim=-1).unflatten(-1, (2, 2))
    return matrix, torch.stack([b.real, b.imag], dim=-1)
