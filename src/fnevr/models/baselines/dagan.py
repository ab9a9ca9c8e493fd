"""DaGAN: FOMM's motion from pictures with depth, attention between depth and warped features.

Hong et al., "Depth-Aware Generative Adversarial Network for Talking Head Video Generation", CVPR
2022; with its depth network, and either of the released decoders.

Shapes: S sources (one, or one per frame), B driving frames, C channels, H and W pixels. RGB and
depth in [0, 1].
"""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fnevr.config.models import DaGANConfig
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.warps import warp
from fnevr.models.baselines.depth import DepthNetwork
from fnevr.models.baselines.fomm import ResidualDecoder
from fnevr.models.baselines.spade import ResidualSpadeDecoder
from fnevr.models.blocks import Encoder
from fnevr.models.encoded_source import EncodedSource, SourceFace
from fnevr.models.portrait import Generated, ReferenceModel

ATTENTION_REDUCTION = 8


class DepthAttention(nn.Module):
    """Attention: each place of the depth features chooses where to take warped features from."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(width, width // ATTENTION_REDUCTION, 1)
        self.key = nn.Conv2d(width, width // ATTENTION_REDUCTION, 1)
        self.value = nn.Conv2d(width, width, 1)
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(
        self, depth_features: Float[Tensor, "B C h w"], warped: Float[Tensor, "B C h w"]
    ) -> Float[Tensor, "B C h w"]:
        """Return ``warped + gain * softmax(q^T k) v`` over all places (DaGAN)."""
        query = F.relu(self.query(depth_features)).flatten(start_dim=2)
        key = F.relu(self.key(warped)).flatten(start_dim=2)
        value = F.relu(self.value(warped)).flatten(start_dim=2)
        attention = (query.transpose(1, 2) @ key).softmax(dim=-1)
        attended = (value @ attention.transpose(1, 2)).unflatten(2, tuple(warped.shape[-2:]))
        return warped + self.gain * attended


class GuidedSpadeDecoder(nn.Module):
    """The SPADE decoder modulated by the occluded picture and a few channels of the features."""

    def __init__(
        self,
        in_width: int,
        last_width: int,
        num_middle_blocks: int,
        guide_width: int,
        hidden_width: int,
    ) -> None:
        super().__init__()
        self.guide = nn.Conv2d(in_width, guide_width, 3, padding=1)
        self.spade = ResidualSpadeDecoder(
            in_width, last_width, num_middle_blocks, guide_width + 3, hidden_width
        )

    def forward(
        self, features: Float[Tensor, "B C h w"], warped: Float[Tensor, "B 3 H W"]
    ) -> Float[Tensor, "B 3 H W"]:
        """Return the image, in (0, 1)."""
        guide = F.interpolate(self.guide(features), size=warped.shape[-2:], mode="nearest")
        return self.spade(features, torch.cat((guide, warped), dim=1))


class UnguidedDecoder(ResidualDecoder):
    """FOMM's decoder, which looks at the features alone."""

    def forward(  # type: ignore[override]  # one call for both decoders
        self, features: Float[Tensor, "B C h w"], warped: Float[Tensor, "B 3 H W"]
    ) -> Float[Tensor, "B 3 H W"]:
        """Return the image, in (0, 1)."""
        del warped
        return super().forward(features)


class DaGAN(ReferenceModel):
    """Animate a source image with the keypoints of a driving image, both seen with depth."""

    architecture: ClassVar[str] = "dagan"
    config: DaGANConfig

    def __init__(self, config: DaGANConfig) -> None:
        super().__init__(config, detector_channels=4)
        encoder, width = config.encoder, config.encoder.out_width
        self.depth = DepthNetwork(config.depth_encoder_widths, config.depth_decoder_widths)
        self.depth_encoder = Encoder(
            encoder.width, encoder.max_width, encoder.num_downs, in_channels=1
        )
        self.attention = DepthAttention(width)
        self.decoder = (
            GuidedSpadeDecoder(
                width,
                encoder.width,
                config.num_decoder_blocks,
                config.guide_width,
                config.spade_width,
            )
            if config.decoder == "spade"
            else UnguidedDecoder(
                encoder.width, encoder.max_width, encoder.num_downs, config.num_decoder_blocks
            )
        )

    def keypoints(
        self,
        image_01: Float[Tensor, "B 3 H W"],
        depth_01: Float[Tensor, "B 1 H W"] | None = None,
    ) -> Keypoints:
        """Detect the keypoints of each image.

        Args:
            image_01: the images.
            depth_01: their depth; None asks the depth network.

        Raises:
            ValueError: if the images have a size that the networks cannot take.
        """
        self.check_image(image_01)
        depth_01 = self.depth(image_01) if depth_01 is None else depth_01
        return self.detector(torch.cat((image_01, depth_01), dim=1))

    def encode(
        self,
        source_01: Float[Tensor, "B 3 H W"],
        depth_01: Float[Tensor, "B 1 H W"] | None = None,
    ) -> Float[Tensor, "B C h w"]:
        """Return the features of the source and those of its depth, in one stack.

        Args:
            source_01: the sources.
            depth_01: their depth; None asks the depth network.

        Raises:
            ValueError: if the images have a size that the networks cannot take.
        """
        self.check_image(source_01)
        depth_01 = self.depth(source_01) if depth_01 is None else depth_01
        return torch.cat((self.encoder(source_01), self.depth_encoder(depth_01)), dim=1)

    def read_source(
        self, source_01: Float[Tensor, "S 3 H W"], face: SourceFace | None = None
    ) -> EncodedSource:
        """Return the keypoints and features of a source; its depth is estimated once."""
        del face
        self.check_image(source_01)
        depth_01 = self.depth(source_01)
        return EncodedSource(
            source_01, self.keypoints(source_01, depth_01), self.encode(source_01, depth_01)
        )

    def render(self, source: EncodedSource, driving: Keypoints, *, details: bool) -> Generated:
        """Draw the source as the driving keypoints have it; see `KeypointModel.render`.

        `details` changes nothing, because the decoder itself reads the warped source.
        """
        del details
        source = self.one_each(source, driving)
        features, depth_features = source.features.chunk(2, dim=1)
        motion = self.motion(source.image_01, source.keypoints, driving)
        warped_features = self.attention(depth_features, motion.warp_features(features))
        warped = warp(source.image_01, motion.flow)

        occlusion = F.interpolate(
            motion.occlusion, size=warped.shape[-2:], mode="bilinear", align_corners=False
        )
        return Generated(
            image=self.decoder(warped_features, warped * occlusion),
            occlusion=motion.occlusion,
            masks=motion.masks,
            flow=motion.flow,
            warped=warped,
        )
