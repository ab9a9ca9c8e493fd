"""Face vid2vid: 3D keypoints of a canonical head, turned by pose and expression, warp a 3D feature.

Wang et al., "One-Shot Free-View Neural Talking-Head Synthesis for Video Conferencing", CVPR 2021.
The authors released no code; this is the layout of the unofficial implementation that the field
compares with, in both of its forms: a residual decoder (Face vid2vid) or a SPADE decoder (-S).

Shapes: S sources (one, or one per frame), B driving frames, K keypoints, C channels, D depth
planes, H and W pixels. RGB in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fnevr.config.models import FaceVid2VidConfig
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.warps import warp
from fnevr.models.baselines.face_vid2vid_motion import CanonicalDetector, VolumeMotionNetwork
from fnevr.models.baselines.fomm import ResidualDecoder
from fnevr.models.baselines.head_pose import HeadMotion, HeadPoseEstimator
from fnevr.models.baselines.spade import ResidualSpadeDecoder
from fnevr.models.blocks import Encoder, ResidualBlock
from fnevr.models.encoded_source import EncodedSource
from fnevr.models.portrait import Generated, KeypointModel

SLOPE = 0.01  # of the leaky ReLU after the warp


@dataclass(frozen=True)
class HeadKeypoints(Keypoints):
    """Keypoints of an image and, in the same order, those of its head in canonical pose.

    Attributes:
        canonical: x_c, without the pose and the expression of the image.
    """

    canonical: Float[Tensor, "B K 3"]


class VolumeEncoder(nn.Module):
    """Source image to a feature volume."""

    def __init__(self, config: FaceVid2VidConfig) -> None:
        super().__init__()
        encoder = config.encoder
        self.num_planes = config.num_planes
        self.image = Encoder(
            encoder.width, encoder.max_width, encoder.num_downs, stem_size=config.stem_size
        )
        volume_channels = config.volume_width * config.num_planes
        self.lift = nn.Conv2d(encoder.out_width, volume_channels, 1)
        self.residual = nn.Sequential(
            *(ResidualBlock(config.volume_width, ndim=3) for _ in range(config.num_volume_blocks))
        )

    def forward(self, image_01: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C D h w"]:
        """Return f_s."""
        flat = self.lift(self.image(image_01))
        return self.residual(rearrange(flat, "b (c d) h w -> b c d h w", d=self.num_planes))


class Projection(nn.Module):
    """A warped volume to features of the image plane."""

    def __init__(self, in_width: int, out_width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_width, out_width, 3, padding=1)
        self.norm = nn.BatchNorm2d(out_width)
        self.mix = nn.Conv2d(out_width, out_width, 1)

    def forward(self, volume: Float[Tensor, "B C D h w"]) -> Float[Tensor, "B C2 h w"]:
        """Return the features."""
        flat = rearrange(volume, "b c d h w -> b (c d) h w")
        return self.mix(F.leaky_relu(self.norm(self.conv(flat)), SLOPE))


class SelfGuidedSpadeDecoder(ResidualSpadeDecoder):
    """The SPADE decoder modulated by its own input."""

    def forward(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B 3 H W"]:  # type: ignore[override]  # one argument serves as both
        """Return the image, in (0, 1)."""
        return super().forward(features, features)


class FaceVid2Vid(KeypointModel):
    """Animate a source image with the head pose and expression of a driving image."""

    architecture: ClassVar[str] = "face-vid2vid"
    config: FaceVid2VidConfig

    def __init__(self, config: FaceVid2VidConfig) -> None:
        super().__init__(config)
        width = config.encoder.out_width
        self.detector = CanonicalDetector(
            config.num_keypoints, config.detector, config.num_planes, config.plane_width
        )
        self.head_pose = HeadPoseEstimator(
            config.head_pose_stem_width,
            config.head_pose_widths,
            config.head_pose_blocks,
            config.num_bins,
            config.num_keypoints,
        )
        self.encoder = VolumeEncoder(config)
        self.motion = VolumeMotionNetwork(
            config.num_keypoints,
            config.volume_width,
            config.compressed_width,
            config.num_planes,
            config.motion_hourglass,
            config.gaussian_variance,
        )
        self.project = Projection(config.volume_width * config.num_planes, width)
        self.decoder: nn.Module
        if config.decoder == "spade":
            self.decoder = SelfGuidedSpadeDecoder(
                width, config.encoder.width, config.num_decoder_blocks, width, config.spade_width
            )
        else:
            self.decoder = ResidualDecoder(
                config.encoder.width,
                config.encoder.max_width,
                config.encoder.num_downs,
                config.num_decoder_blocks,
            )

    def keypoints(self, image_01: Float[Tensor, "B 3 H W"]) -> HeadKeypoints:
        """Detect the keypoints of each image: those of its own head, as it holds it.

        Raises:
            ValueError: if the images have a size that the networks cannot take.
        """
        self.check_image(image_01)
        return posed_keypoints(self.detector(image_01), self.head_pose(image_01))

    def driving_keypoints(
        self, driving_01: Float[Tensor, "B 3 H W"], source: Keypoints
    ) -> HeadKeypoints:
        """Turn the source's canonical keypoints as the driving heads are: R x_c + t + delta.

        Raises:
            ValueError: if the images have a size that the networks cannot take, or the source's
                keypoints are not of this model.
        """
        self.check_image(driving_01)
        if not isinstance(source, HeadKeypoints):
            raise ValueError("the source's keypoints must be those that `keypoints` returns")
        return posed_keypoints(source.canonical, self.head_pose(driving_01))

    def render(self, source: EncodedSource, driving: Keypoints, *, details: bool) -> Generated:
        """Draw the source as the driving keypoints have it; see `KeypointModel.render`.

        The flow that is returned is the mean over depth, and `warped` shows it.
        """
        source = self.one_each(source, driving)
        volume = source.features
        motion = self.motion(volume, source.keypoints, driving)
        warped_volume = F.grid_sample(
            volume, motion.flow, mode="bilinear", padding_mode="zeros", align_corners=False
        )
        flow = motion.flow[..., :2].mean(dim=1)
        return Generated(
            image=self.decoder(self.project(warped_volume) * motion.occlusion),
            occlusion=motion.occlusion,
            masks=motion.masks,
            flow=flow,
            warped=warp(source.image_01, flow) if details else None,
        )


def posed_keypoints(canonical: Float[Tensor, "#B K 3"], head: HeadMotion) -> HeadKeypoints:
    """Return R x_c + t + delta (Face vid2vid, Eq. 1); there are no Jacobians, so J = 1."""
    turned = canonical @ head.rotation().transpose(1, 2)
    positions = turned + head.translation[:, None] + head.expression
    identity = torch.eye(3, device=positions.device, dtype=positions.dtype)
    return HeadKeypoints(
        positions, identity.expand(*positions.shape[:2], 3, 3), canonical.expand_as(positions)
    )
