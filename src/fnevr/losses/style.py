"""Style: how features go together over a picture, wherever they are in it.

Gatys et al., "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016, with the L1
distance, as in PIRender. Which network it is comes from outside (`models/perceptual`).

Shapes: B batch, C channels, H and W pixels.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fnevr.models.perceptual.network import FeatureNetwork


class StyleLoss(nn.Module):
    """Sum over layers of the mean L1 distance of Gram matrices."""

    def __init__(self, network: FeatureNetwork) -> None:
        """Take the network over.

        Args:
            network: its features are compared; frozen.
        """
        super().__init__()
        self.network = network

    def forward(
        self, image_01: Float[Tensor, "B 3 H W"], target_01: Float[Tensor, "B 3 H W"]
    ) -> Float[Tensor, ""]:
        """Return ``sum_l mean |G_l(x) - G_l(y)|``.

        Args:
            image_01: x, generated.
            target_01: y, real; no gradient goes through it.
        """
        with torch.no_grad():
            target = [gram(features) for features in self.network(target_01)]
        output = [gram(features) for features in self.network(image_01)]
        return torch.stack(
            [(a - w).abs().mean() for a, w in zip(output, target, strict=True)]
        ).sum()


def gram(features: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C C"]:
    """Return ``F F^T / (C H W)``, with a row of F for each channel."""
    rows = features.flatten(start_dim=2)
    return rows @ rows.mT / rows[0].numel()
