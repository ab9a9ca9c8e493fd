"""Multi-scale perceptual distance: features of a frozen network, over an image pyramid.

Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", ECCV 2016; as
in FOMM, section 3.3, with relu1_1 to relu5_1 of VGG-19 at 1, 1/2, 1/4 and 1/8 of the size.
Which network it is comes from outside (`models/perceptual`); with another one the numbers mean
something else.

Shapes: B batch, H and W pixels.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fnevr.models.blocks import AntiAliasDownsample
from fnevr.models.perceptual.network import FeatureNetwork


class PerceptualLoss(nn.Module):
    """Sum over scales and layers of the mean L1 distance of features."""

    def __init__(self, network: FeatureNetwork, downscales: tuple[int, ...] = (1, 2, 4, 8)) -> None:
        """Build the pyramid.

        Args:
            network: its features are compared; frozen.
            downscales: factor of each level of the pyramid, 1 or more.

        Raises:
            ValueError: if there is no level, or a factor below 1.
        """
        super().__init__()
        if not downscales or min(downscales) < 1:
            raise ValueError(f"factors of 1 or more are wanted, one at least, got {downscales}")
        self.network = network
        self.downscales = downscales
        self.pyramid = nn.ModuleList(AntiAliasDownsample(3, factor) for factor in downscales)

    @property
    def min_side(self) -> int:
        """Smallest height and width of the pictures."""
        return self.network.min_side * max(self.downscales)

    def forward(
        self, image_01: Float[Tensor, "B 3 H W"], target_01: Float[Tensor, "B 3 H W"]
    ) -> Float[Tensor, ""]:
        """Return ``sum_s sum_l mean |f_l(down_s(x)) - f_l(down_s(y))|``.

        Args:
            image_01: x, generated.
            target_01: y, real; no gradient goes through it.

        Raises:
            ValueError: if the pictures differ in shape or are too small for the network.
        """
        if image_01.shape != target_01.shape:
            raise ValueError(
                "pictures of the same shape are wanted, got "
                f"{tuple(image_01.shape)} and {tuple(target_01.shape)}"
            )
        if min(image_01.shape[-2:]) < self.min_side:
            raise ValueError(
                f"the perceptual distance at 1/{max(self.downscales)} of the size needs pictures "
                f"of {self.min_side} x {self.min_side} at least, got {image_01.shape[-2]} x "
                f"{image_01.shape[-1]}. Use larger pictures or fewer scales"
            )
        distances = []
        for downsample in self.pyramid:
            with torch.no_grad():
                target = self.network(downsample(target_01))
            output = self.network(downsample(image_01))
            distances += [(a - w).abs().mean() for a, w in zip(output, target, strict=True)]
        return torch.stack(distances).sum()
