"""Distances of two pictures' faces, by a network that tells people apart.

Both faces are cut out where the real picture's face is. Two distances are computed: a perceptual
distance (Johnson et al., ECCV 2016) on features that were learned from faces, and the distance of
the embeddings, which face synthesis calls the identity loss. A model that was trained by this
network does well on it, so identity is evaluated with another one.

Shapes: B batch, H and W pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fnevr.faces.alignment import alignment
from fnevr.geometry.flow import affine_view
from fnevr.models.perceptual.network import FeatureNetwork

SIDE, MAGNIFICATION = 128, 1.3


class FaceLoss(nn.Module):
    """Two unweighted terms, of pictures whose landmarks are known."""

    def __init__(self, network: FeatureNetwork) -> None:
        """Take the network over.

        Args:
            network: frozen; the mean over its last map's pixels is the embedding.
        """
        super().__init__()
        self.network = network

    def forward(
        self,
        image_01: Float[Tensor, "B 3 H W"],
        target_01: Float[Tensor, "B 3 H W"],
        landmarks: Float[Tensor, "B 478 2"],
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Return ``1 - cos(e(x), e(y))`` and ``sum_l mean |f_l(x) - f_l(y)| / mean |f_l(y)|``.

        Args:
            image_01: x, generated.
            target_01: y, real; no gradient goes through it.
            landmarks: of y; [-1, 1] is the picture, or the window of it that is compared, and
                landmarks outside of a window lie beyond. A picture without a face (NaN) is compared
                as a whole.
        """
        matrix, offset = alignment(landmarks, MAGNIFICATION)
        has_face = landmarks.isfinite().all(dim=(1, 2))
        matrix = matrix.where(has_face[:, None, None], torch.eye(2).to(matrix))
        offset = offset.where(has_face[:, None], torch.zeros(()).to(offset))
        with torch.no_grad():
            target = self.network(affine_view(target_01, matrix, offset, SIDE))
        output = self.network(affine_view(image_01, matrix, offset, SIDE))
        cosine = (_embedding(output) * _embedding(target)).sum(dim=1)
        distances = [
            (a - w).abs().mean() / w.abs().mean() for a, w in zip(output, target, strict=True)
        ]
        return (1 - cosine).mean(), torch.stack(distances).sum()


def _embedding(features: list[Tensor]) -> Float[Tensor, "B C"]:
    return F.normalize(features[-1].mean(dim=(2, 3)), dim=1)
