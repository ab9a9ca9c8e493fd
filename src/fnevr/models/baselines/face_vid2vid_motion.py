"""Face vid2vid's canonical keypoint detector and its dense motion, both in 3D.

Shapes: B batch, K keypoints, C channels, D depth planes, H and W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from einops import einsum, rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fnevr.config.stages import DetectorConfig, HourglassConfig
from fnevr.geometry.grids import coordinate_volume, keypoint_gaussians
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.warps import local_affine_motions
from fnevr.models.blocks import AntiAliasDownsample, ConvBlock, Hourglass


class CanonicalDetector(nn.Module):
    """Find the K keypoints of a head as it would be from the front, without expression.

    A 2D encoder, its deepest features read as a volume, a 3D decoder without skip connections.
    """

    def __init__(
        self, num_keypoints: int, config: DetectorConfig, num_planes: int, plane_width: int
    ) -> None:
        super().__init__()
        self.temperature, self.num_planes = config.temperature, num_planes
        shape = config.hourglass
        widths = [min(shape.max_width, shape.width * 2**i) for i in range(shape.num_levels + 1)]
        down_widths = (3, *widths[1:])
        up_widths = (plane_width, *reversed(widths[:-1]))
        self.downsample = AntiAliasDownsample(3, config.downscale)
        self.down = nn.ModuleList(
            ConvBlock(before, after, resample="down") for before, after in pairwise(down_widths)
        )
        self.lift = nn.Conv2d(widths[-1], plane_width * num_planes, 1)
        self.up = nn.ModuleList(
            ConvBlock(before, after, resample="up", ndim=3) for before, after in pairwise(up_widths)
        )
        self.heatmap = nn.Conv3d(widths[0], num_keypoints, 3, padding=1)

    def forward(self, image_01: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K 3"]:
        """Return x_c = sum_z M_k(z) z."""
        x = self.downsample(image_01)
        for block in self.down:
            x = block(x)
        x = rearrange(self.lift(x), "b (c d) h w -> b c d h w", d=self.num_planes)
        for block in self.up:
            x = block(x)
        logits = self.heatmap(x) / self.temperature
        heatmaps = logits.flatten(start_dim=2).softmax(dim=2).unflatten(2, tuple(x.shape[2:]))
        volume = coordinate_volume(x.shape[2], x.shape[3], x.shape[4], like=heatmaps)
        return einsum(heatmaps, volume, "b k d h w, d h w c -> b k c")


@dataclass(frozen=True)
class VolumeMotion:
    """How to get from the source's volume to the driving one.

    Attributes:
        flow: for each cell of the driving volume, where it looks in the source's, in [-1, 1].
        masks: weight of each motion, which sum to 1; motion 0 keeps still.
        occlusion: 1 where the source shows what is needed, 0 where it has to be made up.
    """

    flow: Float[Tensor, "B D H W 3"]
    masks: Float[Tensor, "B K1 D H W"]
    occlusion: Float[Tensor, "B 1 H W"]


class VolumeMotionNetwork(nn.Module):
    """Predict masks and occlusion from what each motion makes of the compressed source volume."""

    def __init__(
        self,
        num_keypoints: int,
        in_width: int,
        compressed_width: int,
        num_planes: int,
        hourglass: HourglassConfig,
        gaussian_variance: float,
    ) -> None:
        super().__init__()
        self.gaussian_variance = gaussian_variance
        num_motions = num_keypoints + 1
        self.compress = nn.Conv3d(in_width, compressed_width, 1)
        self.norm = nn.BatchNorm3d(compressed_width)
        self.hourglass = Hourglass(
            num_motions * (compressed_width + 1),
            hourglass.width,
            hourglass.max_width,
            hourglass.num_levels,
            ndim=3,
        )
        width = self.hourglass.out_width
        self.mix = ConvBlock(width, width, ndim=3)
        self.mask = nn.Conv3d(width, num_motions, 7, padding=3)
        self.occlusion = nn.Conv2d(width * num_planes, 1, 7, padding=3)

    def forward(
        self, volume: Float[Tensor, "B C D H W"], source: Keypoints, driving: Keypoints
    ) -> VolumeMotion:
        """Return the flow ``sum_k m_k(z) T_k(z)``, with ``T_0`` the identity, and the occlusion."""
        x = F.relu(self.norm(self.compress(volume)))
        grid = coordinate_volume(x.shape[2], x.shape[3], x.shape[4], like=x)
        still = repeat(grid, "d h w c -> b 1 d h w c", b=x.shape[0])
        motions = torch.cat((still, local_affine_motions(source, driving, grid)), dim=1)
        difference = keypoint_gaussians(
            driving.positions, grid, self.gaussian_variance
        ) - keypoint_gaussians(source.positions, grid, self.gaussian_variance)
        heatmaps = F.pad(difference, (0, 0, 0, 0, 0, 0, 1, 0))

        # One warped volume per motion, beside the heatmap that says where the motion belongs.
        num_motions = motions.shape[1]
        warped = F.grid_sample(
            repeat(x, "b c d h w -> (b k) c d h w", k=num_motions),
            rearrange(motions, "b k d h w c -> (b k) d h w c"),
            mode="bilinear",
            padding_mode="zeros",
            align_corners=False,
        )
        warped = rearrange(warped, "(b k) c d h w -> b k c d h w", k=num_motions)
        stacked = torch.cat((heatmaps[:, :, None], warped), dim=2)
        features = self.mix(self.hourglass(rearrange(stacked, "b k c d h w -> b (k c) d h w")))

        masks = self.mask(features).softmax(dim=1)
        flow = einsum(masks, motions, "b k d h w, b k d h w c -> b d h w c")
        occlusion = self.occlusion(rearrange(features, "b c d h w -> b (c d) h w")).sigmoid()
        return VolumeMotion(flow=flow, masks=masks, occlusion=occlusion)
