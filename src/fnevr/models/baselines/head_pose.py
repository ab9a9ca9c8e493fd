"""Face vid2vid's head-pose and expression estimator: a ResNet-50 with five linear heads.

Shapes: B batch, C channels, K keypoints, A bins of an angle, H and W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

BIN_DEG, FIRST_BIN_DEG = 3.0, -99.0
# What the released code turns degrees to radians with; its weights were trained so.
RELEASED_PI = 3.14


@dataclass(frozen=True)
class HeadMotion:
    """What the estimator says of an image, as the network gives it.

    Attributes:
        yaw_bins, pitch_bins, roll_bins: logits over angles of -99, -96, ... 96 degrees.
        translation: t.
        expression: delta_k, how far each keypoint is from where the head's pose puts it.
    """

    yaw_bins: Float[Tensor, "B A"]
    pitch_bins: Float[Tensor, "B A"]
    roll_bins: Float[Tensor, "B A"]
    translation: Float[Tensor, "B 3"]
    expression: Float[Tensor, "B K 3"]

    def rotation(self) -> Float[Tensor, "B 3 3"]:
        """Return R = R_pitch R_yaw R_roll of the bins' mean angles."""
        bins = (self.yaw_bins, self.pitch_bins, self.roll_bins)
        return rotation(*(expected_degrees(logits) for logits in bins))


class Bottleneck(nn.Module):
    """ResNet's block of 1x1, 3x3 and 1x1 convolutions (He et al., 2016), with biases."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width // 4, 1)
        self.norm1 = nn.BatchNorm2d(width // 4)
        self.conv2 = nn.Conv2d(width // 4, width // 4, 3, stride=stride, padding=1)
        self.norm2 = nn.BatchNorm2d(width // 4)
        self.conv3 = nn.Conv2d(width // 4, width, 1)
        self.norm3 = nn.BatchNorm2d(width)
        self.has_learned_skip = stride != 1
        if self.has_learned_skip:
            self.skip = nn.Conv2d(width, width, 1, stride=stride)
            self.skip_norm = nn.BatchNorm2d(width)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C h w"]:
        """Return the activated sum of the skip connection and the residual."""
        skip = self.skip_norm(self.skip(x)) if self.has_learned_skip else x
        x = F.relu(self.norm1(self.conv1(x)))
        x = F.relu(self.norm2(self.conv2(x)))
        return F.relu(skip + self.norm3(self.conv3(x)))


class Stage(nn.Module):
    """A widening, then bottlenecks, the first of which halves the resolution."""

    def __init__(self, in_width: int, width: int, num_blocks: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_width, width, 1)
        self.norm = nn.BatchNorm2d(width)
        self.blocks = nn.ModuleList(
            Bottleneck(width, stride if index == 0 else 1) for index in range(num_blocks)
        )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 h w"]:
        """Return features of the stage's width."""
        x = F.relu(self.norm(self.conv(x)))
        for block in self.blocks:
            x = block(x)
        return x


class HeadPoseEstimator(nn.Module):
    """Image to rotation, translation and expression (Face vid2vid, section 3.1)."""

    def __init__(
        self,
        stem_width: int,
        widths: tuple[int, ...],
        blocks: tuple[int, ...],
        num_bins: int,
        num_keypoints: int,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, stem_width, 7, stride=2, padding=3)
        self.norm = nn.BatchNorm2d(stem_width)
        self.stages = nn.ModuleList(
            Stage(before, width, count, stride=1 if index == 0 else 2)
            for index, (before, width, count) in enumerate(
                zip((stem_width, *widths[:-1]), widths, blocks, strict=True)
            )
        )
        self.yaw = nn.Linear(widths[-1], num_bins)
        self.pitch = nn.Linear(widths[-1], num_bins)
        self.roll = nn.Linear(widths[-1], num_bins)
        self.translation = nn.Linear(widths[-1], 3)
        self.expression = nn.Linear(widths[-1], 3 * num_keypoints)

    def forward(self, image_01: Float[Tensor, "B 3 H W"]) -> HeadMotion:
        """Return the raw estimates."""
        x = F.relu(self.norm(self.conv(image_01)))
        x = F.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        for stage in self.stages:
            x = stage(x)
        x = x.mean(dim=(2, 3))
        return HeadMotion(
            self.yaw(x),
            self.pitch(x),
            self.roll(x),
            self.translation(x),
            self.expression(x).unflatten(1, (-1, 3)),
        )


def expected_degrees(logits: Float[Tensor, "B A"]) -> Float[Tensor, " B"]:
    """Return the mean angle under the softmax of the bins (Hopenet's rule)."""
    bins = torch.arange(logits.shape[1], device=logits.device, dtype=logits.dtype)
    return (logits.softmax(dim=1) * bins).sum(dim=1) * BIN_DEG + FIRST_BIN_DEG


def rotation(
    yaw_deg: Float[Tensor, " B"], pitch_deg: Float[Tensor, " B"], roll_deg: Float[Tensor, " B"]
) -> Float[Tensor, "B 3 3"]:
    """Return R = R_x(pitch) R_y(yaw) R_z(roll), with the released code's value of pi."""
    yaw, pitch, roll = (angle / 180 * RELEASED_PI for angle in (yaw_deg, pitch_deg, roll_deg))
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
    x = (one, zero, zero, zero, pitch.cos(), -pitch.sin(), zero, pitch.sin(), pitch.cos())
    y = (yaw.cos(), zero, yaw.sin(), zero, one, zero, -yaw.sin(), zero, yaw.cos())
    z = (roll.cos(), -roll.sin(), zero, roll.sin(), roll.cos(), zero, zero, zero, one)
    about_x, about_y, about_z = (torch.stack(m, dim=1).unflatten(1, (3, 3)) for m in (x, y, z))
    return about_x @ about_y @ about_z
