"""Keypoint detector of `lite`: soft-argmax heatmaps and the Jacobians that they weight."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fnevr.geometry.flow import centre_grid
from fnevr.geometry.keypoints import Keypoints
from fnevr.models.lite.blocks import StridedHourglass

ANCHOR_REACH = 0.45


class LiteDetector(nn.Module):
    """Detects K keypoints with Jacobians.

    The picture is halved by averaging and read in blocks of 2x2 pixels (pixel-unshuffle), so the
    hourglass sees it at a quarter of its size; heatmaps and Jacobians come out at an eighth:
    p_k = sum_z softmax(t h_k)(z) z and J_k = sum_z softmax(t h_k)(z) j_k(z), as in FOMM.

    The free keypoints, the last ones, have no targets. Left alone they all learn the face, which
    the others know already; so each is looked for within reach r of an anchor a_k, a learned place
    in the picture: (|z - a_k| / r)^8, almost a disk, is taken from its logits t h_k. Its heatmap
    starts at zero: random weights would lead to the face, where the features are strong.
    """

    def __init__(
        self, num_keypoints: int, num_free: int, widths: tuple[int, ...], sharpness: float
    ) -> None:
        super().__init__()
        self.num_keypoints = num_keypoints
        self.num_free = num_free
        self.sharpness = sharpness
        self.hourglass = StridedHourglass(12, widths, num_ups=len(widths) - 2)
        width = self.hourglass.out_width
        self.heatmaps = nn.Conv2d(width, num_keypoints, kernel_size=3, padding=1)
        self.jacobians = nn.Conv2d(width, 4 * num_keypoints, kernel_size=1)
        self.anchors = nn.Parameter(torch.zeros(num_free, 2))
        with torch.no_grad():
            self.heatmaps.weight[num_keypoints - num_free :].zero_()
        nn.init.zeros_(self.jacobians.weight)
        self.jacobians.bias = nn.Parameter(torch.tensor([1.0, 0.0, 0.0, 1.0]).repeat(num_keypoints))

    def forward(self, image_01: Float[Tensor, "B 3 H W"]) -> Keypoints:
        """Detect the keypoints of each picture."""
        x = F.avg_pool2d(image_01, kernel_size=2) - 0.5
        features = self.hourglass(F.pixel_unshuffle(x, downscale_factor=2))
        height, width = features.shape[-2:]
        grid = centre_grid(height, width, like=features).flatten(0, 1)
        logits = self.sharpness * self.heatmaps(features).flatten(2) - self._anchor_cost(grid)
        attention = logits.softmax(dim=-1)
        maps = self.jacobians(features).flatten(2).unflatten(1, (self.num_keypoints, 4))
        jacobians = (maps * attention[:, :, None]).sum(dim=-1).unflatten(-1, (2, 2))
        return Keypoints(attention @ grid, jacobians)

    def _anchor_cost(self, grid: Float[Tensor, "N 2"]) -> Float[Tensor, "K N"]:
        """Return what each place costs each keypoint; nothing for those with targets."""
        squared = (grid - self.anchors[:, None]).square().sum(dim=-1)
        cost = (squared / ANCHOR_REACH**2) ** 4
        return F.pad(cost, (0, 0, self.num_keypoints - self.num_free, 0))
