"""The keypoint detector of FOMM and FNeVR, trained without keypoint labels.

Shapes: B batch, K keypoints, H and W pixels, C channels: RGB, and for DaGAN depth.
"""

from __future__ import annotations

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor, nn

from fnevr.geometry.grids import coordinate_grid
from fnevr.geometry.keypoints import Keypoints
from fnevr.models.blocks import AntiAliasDownsample, Hourglass


class KeypointDetector(nn.Module):
    """Find K keypoints and the Jacobian around each, both as means under a heatmap.

    The 7x7 heads are not padded, so heatmaps are 6 pixels smaller than the hourglass output; they
    span [-1, 1] all the same, as in the reference.
    """

    def __init__(
        self,
        num_keypoints: int,
        width: int,
        max_width: int,
        num_levels: int,
        downscale: int,
        temperature: float,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.downsample = AntiAliasDownsample(in_channels, downscale)
        self.hourglass = Hourglass(in_channels, width, max_width, num_levels)
        self.heatmap = nn.Conv2d(self.hourglass.out_width, num_keypoints, 7)
        self.jacobian = nn.Conv2d(self.hourglass.out_width, 4 * num_keypoints, 7)
        # Training starts from the identity at every pixel.
        nn.init.zeros_(self.jacobian.weight)
        self.jacobian.bias = nn.Parameter(torch.eye(2).flatten().repeat(num_keypoints))

    def forward(self, image_01: Float[Tensor, "B C H W"]) -> Keypoints:
        """Return ``p_k = sum_z M_k(z) z`` and ``J_k = sum_z M_k(z) J_k(z)`` (FOMM, section 3.1)."""
        features = self.hourglass(self.downsample(image_01))
        logits = self.heatmap(features) / self.temperature
        height, width = logits.shape[-2:]

        heatmaps = logits.flatten(start_dim=2).softmax(dim=2).unflatten(2, (height, width))
        grid = coordinate_grid(height, width, like=heatmaps)
        positions = einsum(heatmaps, grid, "b k h w, h w c -> b k c")

        maps = rearrange(self.jacobian(features), "b (k i j) h w -> b k i j h w", i=2, j=2)
        jacobians = einsum(heatmaps, maps, "b k h w, b k i j h w -> b k i j")
        return Keypoints(positions, jacobians)
