"""Dense motion: K local affine motions blended into one flow, and where the source is of no use.

Shapes: B batch, K keypoints, H and W pixels of the flow, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import einsum, rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fnevr.geometry.grids import coordinate_grid, keypoint_gaussians
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.warps import local_affine_motions, warp
from fnevr.models.blocks import AntiAliasDownsample, Hourglass


@dataclass(frozen=True)
class Motion:
    """How to get from the source to the driving view.

    Attributes:
        flow: for each pixel of the driving view, where it looks in the source, in [-1, 1].
        masks: weight of each motion, which sum to 1; motion 0 is the background, which keeps still.
        occlusion: 1 where the source shows what is needed, 0 where it has to be made up.
    """

    flow: Float[Tensor, "B H W 2"]
    masks: Float[Tensor, "B K1 H W"]
    occlusion: Float[Tensor, "B 1 H W"]

    def warp_features(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        """Return ``occlusion * warp(features)``, at the resolution of the features."""
        occlusion = self.occlusion
        if occlusion.shape[-2:] != features.shape[-2:]:
            occlusion = F.interpolate(
                occlusion, size=features.shape[-2:], mode="bilinear", align_corners=False
            )
        return warp(features, self.flow) * occlusion


class DenseMotion(nn.Module):
    """Predict masks and occlusion from what each local motion makes of the source."""

    def __init__(
        self,
        num_keypoints: int,
        width: int,
        max_width: int,
        num_levels: int,
        downscale: int,
        gaussian_variance: float,
    ) -> None:
        super().__init__()
        self.gaussian_variance = gaussian_variance
        num_motions = num_keypoints + 1
        self.downsample = AntiAliasDownsample(3, downscale)
        self.hourglass = Hourglass(4 * num_motions, width, max_width, num_levels)
        self.mask = nn.Conv2d(self.hourglass.out_width, num_motions, 7, padding=3)
        self.occlusion = nn.Conv2d(self.hourglass.out_width, 1, 7, padding=3)

    def forward(
        self, source_01: Float[Tensor, "B 3 H W"], source: Keypoints, driving: Keypoints
    ) -> Motion:
        """Return the flow ``sum_k m_k(z) T_k(z)``, with ``T_0`` the identity, and the occlusion.

        The masks m_k are a softmax over k (FOMM, section 3.1), the occlusion is a sigmoid.
        """
        image = self.downsample(source_01)
        motions = self.candidate_motions(source, driving, image)
        heatmaps = self.heatmap_differences(source, driving, image)

        # One warped source per motion, beside the heatmap that says where the motion belongs.
        num_motions = motions.shape[1]
        warped = warp(
            repeat(image, "b c h w -> (b k) c h w", k=num_motions),
            rearrange(motions, "b k h w c -> (b k) h w c"),
        )
        warped = rearrange(warped, "(b k) c h w -> b k c h w", k=num_motions)
        stacked = torch.cat((heatmaps[:, :, None], warped), dim=2)
        features = self.hourglass(rearrange(stacked, "b k c h w -> b (k c) h w"))

        masks = self.mask(features).softmax(dim=1)
        flow = einsum(masks, motions, "b k h w, b k h w c -> b h w c")
        return Motion(flow=flow, masks=masks, occlusion=self.occlusion(features).sigmoid())

    def candidate_motions(
        self, source: Keypoints, driving: Keypoints, image: Float[Tensor, "B 3 h w"]
    ) -> Float[Tensor, "B K1 h w 2"]:
        """Return the identity (the background) and the K local affine motions."""
        height, width = image.shape[-2:]
        identity = coordinate_grid(height, width, like=image)
        still = repeat(identity, "h w c -> b 1 h w c", b=image.shape[0])
        return torch.cat((still, local_affine_motions(source, driving, identity)), dim=1)

    def heatmap_differences(
        self, source: Keypoints, driving: Keypoints, image: Float[Tensor, "B 3 h w"]
    ) -> Float[Tensor, "B K1 h w"]:
        """Return the Gaussians at the driving keypoints minus those at the source's; 0 at k = 0."""
        grid = coordinate_grid(image.shape[-2], image.shape[-1], like=image)
        difference = keypoint_gaussians(
            driving.positions, grid, self.gaussian_variance
        ) - keypoint_gaussians(source.positions, grid, self.gaussian_variance)
        return F.pad(difference, (0, 0, 0, 0, 1, 0))
