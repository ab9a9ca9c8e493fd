"""FOMM, the first baseline: the same keypoints, motion and encoder with a residual decoder.

Siarohin et al., "First Order Motion Model for Image Animation", NeurIPS 2019.

Shapes: S sources (one, or one per frame), B driving frames, H and W pixels. RGB in [0, 1].
"""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from fnevr.config.models import FOMMConfig
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.warps import warp
from fnevr.models.blocks import ConvBlock, ResidualBlock
from fnevr.models.encoded_source import EncodedSource
from fnevr.models.portrait import Generated, ReferenceModel


class ResidualDecoder(nn.Module):
    """Residual blocks at low resolution, then up-sampling to the image."""

    def __init__(self, width: int, max_width: int, num_ups: int, num_blocks: int) -> None:
        super().__init__()
        widths = [min(max_width, width * 2**level) for level in range(num_ups + 1)]
        self.bottleneck = nn.ModuleList(ResidualBlock(widths[-1]) for _ in range(num_blocks))
        self.up = nn.ModuleList(
            ConvBlock(widths[level + 1], widths[level], resample="up")
            for level in reversed(range(num_ups))
        )
        self.to_image = nn.Conv2d(widths[0], 3, 7, padding=3)

    def forward(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B 3 H W"]:
        """Return the image, in (0, 1)."""
        for block in (*self.bottleneck, *self.up):
            features = block(features)
        return self.to_image(features).sigmoid()


class FOMM(ReferenceModel):
    """Animate a source image with the keypoints of a driving image."""

    architecture: ClassVar[str] = "fomm"
    config: FOMMConfig

    def __init__(self, config: FOMMConfig) -> None:
        super().__init__(config)
        encoder = config.encoder
        self.decoder = ResidualDecoder(
            encoder.width, encoder.max_width, encoder.num_downs, config.num_bottleneck_blocks
        )

    def render(self, source: EncodedSource, driving: Keypoints, *, details: bool) -> Generated:
        """Draw the source as the driving keypoints have it; see `KeypointModel.render`."""
        source = self.one_each(source, driving)
        motion = self.motion(source.image_01, source.keypoints, driving)
        return Generated(
            image=self.decoder(motion.warp_features(source.features)),
            occlusion=motion.occlusion,
            masks=motion.masks,
            flow=motion.flow,
            warped=warp(source.image_01, motion.flow) if details else None,
        )
